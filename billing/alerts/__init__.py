"""Usage alerts, and their delivery by e-mail and webhook."""
