from datetime import timedelta

from django.apps import AppConfig

from lib import health, jobs


class MonitoringConfig(AppConfig):
    name = "monitoring"
    verbose_name = "Monitoring"

    def ready(self) -> None:
        from monitoring import checks, readiness, retention  # noqa: F401 - importing the checks registers them

        health.register("database", readiness.database)
        health.register("migrations", readiness.migrations)
        health.register("jobs", readiness.jobs)
        health.register("request_log", readiness.request_log)
        jobs.register("prune_requests", retention.prune, every=timedelta(minutes=10))
