"""Usage logs of old periods in files, outside the database."""
