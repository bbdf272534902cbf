from functools import partial

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class TollgateAdminConfig(AdminConfig):
    default_site = "config.admin_site.TollgateAdminSite"


class ConfigConfig(AppConfig):
    name = "config"
    verbose_name = "Configuration"

    def ready(self) -> None:
        from lib import readiness
        from monitoring import readiness_checks

        self._audit()
        readiness.register("ledger", partial(readiness_checks.last_check, "verify_ledger"))

    def _audit(self) -> None:
        """The audit trail: who changed configuration. Usage has its own history, the log and its adjustments."""
        from auditlog.registry import auditlog

        from billing.models import (
            Account,
            ApiKey,
            Invitation,
            LimitOverride,
            Membership,
            Meter,
            Plan,
            PlanLimit,
            Webhook,
        )
        from providers.models import DetectionRule, Price, PriceProposal, PriceRate, Provider

        for model in (
            Account,
            Membership,
            Meter,
            Plan,
            PlanLimit,
            LimitOverride,
            Provider,
            DetectionRule,
            Price,
            PriceRate,
            PriceProposal,
        ):
            auditlog.register(model)
        auditlog.register(ApiKey, exclude_fields=["secret_hash", "last_used_at"])
        auditlog.register(Invitation, exclude_fields=["token_hash"])
        auditlog.register(Webhook, exclude_fields=["salt"])
