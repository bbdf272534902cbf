from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = "Billing"

    def ready(self) -> None:
        from billing import checks, jobs  # noqa: F401 - importing the checks registers them

        jobs.register()
