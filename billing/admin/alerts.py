"""Admin pages of alerts (mark as read), their deliveries (retry) and webhooks."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.text import Truncator

from billing.admin import confirm
from billing.admin.filters import AccountFilter
from billing.alerts import alert_text, alerts, deliveries, webhooks
from billing.models import Delivery, UsageAlert, Webhook
from billing.models.alerts import PROJECTED
from billing.plans import plans
from billing.plans.meters import DAILY_SUFFIX
from lib import changelist, outbound
from lib.form_admin import FormAdmin

State = Delivery.State
BADGES = {State.PENDING: "warning", State.DELIVERED: "ok", State.FAILED: "critical"}
READ_PERMISSION, RETRY_PERMISSION = "billing.change_usagealert", "billing.change_delivery"
MAX_TEXT_LENGTH = 30  # characters of an address or an error in the list


class ReadFilter(admin.SimpleListFilter):
    title = "read status"
    parameter_name = "read"

    def lookups(self, *_args: object, **_kwargs: object) -> list[tuple[str, str]]:
        return [("no", "Unread"), ("yes", "Read")]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[UsageAlert]) -> QuerySet[UsageAlert]:
        is_unread = {"no": True, "yes": False}.get(self.value() or "")
        return queryset if is_unread is None else queryset.filter(read_at__isnull=is_unread)


class ThresholdFilter(admin.SimpleListFilter):
    """Thresholds from the settings: listing the stored ones would scan the table."""

    title = "threshold"
    parameter_name = "threshold"

    def lookups(self, *_args: object, **_kwargs: object) -> list[tuple[str, str]]:
        percents = sorted({*settings.ALERT_COST_PERCENTS, *settings.ALERT_PERCENTS})
        return [*((str(percent), f"{percent} %") for percent in percents), (str(PROJECTED), "projected to exceed")]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[UsageAlert]) -> QuerySet[UsageAlert]:
        threshold = self.value()
        return queryset.filter(threshold=int(threshold)) if threshold in dict(self.lookup_choices) else queryset


class MeterFilter(admin.SimpleListFilter):
    """Matches limits per period and per day."""

    title = "meter"
    parameter_name = "meter"

    def lookups(self, *_args: object, **_kwargs: object) -> list[tuple[str, str]]:
        return [(meter.slug, meter.label) for meter in plans.current().meters]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[UsageAlert]) -> QuerySet[UsageAlert]:
        slug = self.value()
        return queryset.filter(meter__in=[slug, slug + DAILY_SUFFIX]) if slug else queryset


@admin.register(UsageAlert)
class UsageAlertAdmin(changelist.ReadOnlyAdmin):
    empty_state = "No alerts yet. An alert is raised within a minute after an account reaches a threshold of a limit."
    list_display = ("raised", "account", "label", "threshold_words", "used_words", "read", "from_day")
    list_filter = (ReadFilter, ThresholdFilter, MeterFilter, AccountFilter)
    list_select_related = ("account",)
    ordering = ("-id",)
    search_fields = ("account__external_id__startswith",)
    actions = ("mark_read",)
    change_form_template = "admin/billing/usagealert/change_form.html"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        alert = self.get_object(request, object_id)
        extra = _alert_context(alert) if alert else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **extra})

    def has_read_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(READ_PERMISSION))

    @admin.action(description="Mark selected alerts as read", permissions=["read"])
    def mark_read(self, request: HttpRequest, queryset: QuerySet[UsageAlert]) -> None:
        count = alerts.mark_read(queryset, timezone.now())
        messages.success(request, f"{count} alert{'' if count == 1 else 's'} marked as read.")

    @admin.display(description="Raised (UTC)")
    def raised(self, alert: UsageAlert) -> str:
        return f"{alert.raised_at:%Y-%m-%d %H:%M}"

    @admin.display(description="Threshold")
    def threshold_words(self, alert: UsageAlert) -> str:
        return format_html(
            '<span class="badge {}">{}</span>', alert_text.badge(alert), alert_text.threshold_label(alert)
        )

    @admin.display(description="Used")
    def used_words(self, alert: UsageAlert) -> str:
        return f"{alert_text.format_amount(alert, alert.used)} of {alert_text.format_amount(alert, alert.cap)}"

    @admin.display(description="Period start")
    def from_day(self, alert: UsageAlert) -> str:
        return str(alert.period)

    @admin.display(description="Read", boolean=True)
    def read(self, alert: UsageAlert) -> bool:
        return alert.read_at is not None


def _alert_context(alert: UsageAlert) -> dict[str, Any]:
    sent = list(alert.deliveries.filter(account_id=alert.account_id).select_related("webhook").order_by("id"))
    return {
        "sentence": alert_text.message(alert),
        "badge": alert_text.badge(alert),
        "threshold": alert_text.threshold_label(alert),
        "deliveries": [(delivery, BADGES[State(delivery.state)]) for delivery in sent],
        "title": "Alert",
    }


@admin.register(Delivery)
class DeliveryAdmin(changelist.ReadOnlyAdmin):
    empty_state = "No deliveries yet. Alerts are sent by e-mail to an account's owners, and to webhooks."
    list_display = ("created", "status", "account", "alert_words", "to", "attempts", "next_attempt", "answer")
    list_filter = ("state", AccountFilter)
    list_select_related = ("account", "alert", "webhook")
    ordering = ("-id",)
    search_fields = ("account__external_id__startswith", "email__startswith")
    change_form_template = "admin/billing/delivery/change_form.html"

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.retry)
        return [path("<uuid:id>/retry/", view, name="billing_delivery_retry"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        delivery = self.get_object(request, object_id)
        may_retry = delivery is not None and delivery.state == State.FAILED and request.user.has_perm(RETRY_PERMISSION)
        badge = BADGES[State(delivery.state)] if delivery else ""
        extra = {"may_retry": may_retry, "badge": badge, "title": "Delivery"}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **extra})

    def retry(self, request: HttpRequest, id: Any) -> HttpResponse:  # noqa: A002, ANN401 - a UUID from the URL
        if not request.user.has_perm(RETRY_PERMISSION):
            raise PermissionDenied
        delivery = Delivery.objects.select_related("webhook").filter(pk=id).first()
        if delivery is None:
            raise Http404
        queryset = Delivery.objects.filter(account_id=delivery.account_id, pk=delivery.pk)

        def retry(_values: dict[str, Any]) -> str:
            is_due = deliveries.retry(queryset, timezone.now())
            return "The alert will be sent again within seconds." if is_due else "Nothing to retry: it has not failed."

        return confirm.confirm(
            request,
            title="Retry delivery",
            sentences=(f"The alert is sent to {delivery} again. If that fails, it is retried for another day.",),
            form_class=forms.Form,
            action=retry,
            parent_title="Delivery",
            back_url=reverse("admin:billing_delivery_change", args=[delivery.pk]),
        )

    @admin.display(description="Created (UTC)")
    def created(self, delivery: Delivery) -> str:
        return f"{delivery.created_at:%Y-%m-%d %H:%M}"

    @admin.display(description="Alert")
    def alert_words(self, delivery: Delivery) -> str:
        return str(delivery.alert)

    @admin.display(description="To")
    def to(self, delivery: Delivery) -> str:
        return Truncator(delivery.target.partition("://")[2] or delivery.target).chars(MAX_TEXT_LENGTH)

    @admin.display(description="State")
    def status(self, delivery: Delivery) -> str:
        return format_html(
            '<span class="badge {}">{}</span>', BADGES[State(delivery.state)], delivery.get_state_display()
        )

    @admin.display(description="Next attempt (UTC)")
    def next_attempt(self, delivery: Delivery) -> str:
        return f"{delivery.due_at:%Y-%m-%d %H:%M:%S}" if delivery.state == State.PENDING else "-"

    @admin.display(description="Response")
    def answer(self, delivery: Delivery) -> str:
        return str(delivery.response_status or Truncator(delivery.error).chars(MAX_TEXT_LENGTH) or "-")


class WebhookForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Webhook
        fields = ("account", "url", "active")

    def clean_url(self) -> str:
        url = str(self.cleaned_data["url"])
        try:
            outbound.parse_url(url)
        except outbound.AddressNotAllowed as error:
            raise forms.ValidationError(str(error)) from error
        return url


@admin.register(Webhook)
class WebhookAdmin(FormAdmin):
    """A webhook's secret is shown once, on creation. To replace a lost secret, add another webhook and deactivate this one."""

    empty_state = "No webhooks yet. Add one to send alerts to your own system."
    form = WebhookForm
    list_display = ("url", "reach", "active", "created_at")
    list_filter = ("active",)
    list_select_related = ("account",)
    search_fields = ("url", "account__external_id__startswith")
    autocomplete_fields = ("account",)

    def get_readonly_fields(self, request: HttpRequest, obj: Webhook | None = None) -> tuple[str, ...]:
        """The account is fixed on creation."""
        return ("account", "created_at") if obj else ()

    def save_model(self, request: HttpRequest, obj: Webhook, form: Any, change: bool) -> None:  # noqa: ANN401
        if change:
            obj.save(update_fields=["url", "active"])
            return
        obj.created_at = timezone.now()
        obj.save(force_insert=True)
        messages.warning(
            request, f"Copy the webhook's secret now; it will not be shown again: {webhooks.signing_secret(obj)}"
        )

    def has_delete_permission(self, request: HttpRequest, obj: Webhook | None = None) -> bool:
        return False

    @admin.display(description="Account")
    def reach(self, webhook: Webhook) -> str:
        return webhook.account.external_id if webhook.account else "all accounts"
