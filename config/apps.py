from functools import partial

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class TollgateAdminConfig(AdminConfig):
    default_site = "config.admin_site.TollgateAdminSite"


class ConfigConfig(AppConfig):
    name = "config"
    verbose_name = "Configuration"

    def ready(self) -> None:
        from config import isolation_check  # noqa: F401 - importing the check registers it
        from lib import readiness
        from monitoring import readiness_checks

        self._register_audited_models()
        readiness.register("ledger", partial(readiness_checks.last_result, "verify_ledger"))

    def _register_audited_models(self) -> None:
        """Register the models of the audit trail, which records configuration changes. Usage has its own history."""
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
            UnreadField,
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
            Price,
            PriceRate,
            PriceProposal,
        ):
            auditlog.register(model)
        for shipped_model in (Provider, DetectionRule):
            auditlog.register(shipped_model, exclude_fields=["shipped_values"])
        auditlog.register(ApiKey, exclude_fields=["secret_hash", "last_used_at"])
        auditlog.register(Invitation, exclude_fields=["token_hash"])
        gathered = ["calls", "recent_calls", "last_at", "example_value", "example_model"]
        auditlog.register(UnreadField, exclude_fields=gathered)
        auditlog.register(Webhook, exclude_fields=["salt"])
