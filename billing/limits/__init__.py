"""Whether calls may run: limits, decisions and reservations."""
