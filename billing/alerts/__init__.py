"""Usage alerts, and their delivery by e-mail and webhook."""

__all__ = ["alert_text", "alerts", "deliveries", "webhooks"]
