"""Usage logs of old periods in files, outside the database."""

__all__ = ["archive_file", "archive_job", "archived"]
