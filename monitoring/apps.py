from datetime import timedelta

from django.apps import AppConfig

from lib import jobs, readiness


class MonitoringConfig(AppConfig):
    name = "monitoring"
    verbose_name = "Monitoring"

    def ready(self) -> None:
        from monitoring import checks, readiness_checks, retention  # noqa: F401 - importing the checks registers them

        readiness.register("database", readiness_checks.database)
        readiness.register("migrations", readiness_checks.migrations)
        readiness.register("jobs", readiness_checks.jobs)
        readiness.register("request_log", readiness_checks.request_log)
        jobs.register("prune_requests", retention.prune, interval=timedelta(minutes=10))
