"""Every figure that pages, API and exports show."""

__all__ = ["log_rows", "metrics", "provider_health", "reports", "trends", "unpriced"]
