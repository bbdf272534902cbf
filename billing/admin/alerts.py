"""Alerts to see and to mark as read; their deliveries, to try again; and the webhooks that are told."""

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
from billing.plans.meters import PER_DAY
from lib import changelist, outbound

State = Delivery.State
BADGES = {State.PENDING: "warning", State.DELIVERED: "ok", State.FAILED: "critical"}
MAY_READ, MAY_RETRY = "billing.change_usagealert", "billing.change_delivery"
SHOWN = 30  # characters of an address or an error in the list


class ReadFilter(admin.SimpleListFilter):
    title = "read"
    parameter_name = "read"

    def lookups(self, *_args: object, **_kwargs: object) -> list[tuple[str, str]]:
        return [("no", "Unread"), ("yes", "Read")]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[UsageAlert]) -> QuerySet[UsageAlert]:
        wanted = {"no": True, "yes": False}.get(self.value() or "")
        return queryset if wanted is None else queryset.filter(read_at__isnull=wanted)


class ThresholdFilter(admin.SimpleListFilter):
    """Those of the settings: to list what is stored would take a read of the whole table."""

    title = "threshold"
    parameter_name = "threshold"

    def lookups(self, *_args: object, **_kwargs: object) -> list[tuple[str, str]]:
        percents = sorted({*settings.ALERT_COST_PERCENTS, *settings.ALERT_PERCENTS})
        return [*((str(one), f"{one} %") for one in percents), (str(PROJECTED), "projected to exceed")]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[UsageAlert]) -> QuerySet[UsageAlert]:
        chosen = self.value()
        return queryset.filter(threshold=int(chosen)) if chosen in dict(self.lookup_choices) else queryset


class MeterFilter(admin.SimpleListFilter):
    """Of limits per period and per day alike."""

    title = "meter"
    parameter_name = "meter"

    def lookups(self, *_args: object, **_kwargs: object) -> list[tuple[str, str]]:
        return [(meter.slug, meter.label) for meter in plans.current().meters]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[UsageAlert]) -> QuerySet[UsageAlert]:
        chosen = self.value()
        return queryset.filter(meter__in=[chosen, chosen + PER_DAY]) if chosen else queryset


@admin.register(UsageAlert)
class UsageAlertAdmin(changelist.ReadOnlyAdmin):
    empty_state = "Nobody is near a limit. An alert is raised when a part of a limit is used, at most a minute later."
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
        one = self.get_object(request, object_id)
        extra = _alert_page(one) if one else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **extra})

    def has_read_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(MAY_READ))

    @admin.action(description="Mark the selected alerts as read", permissions=["read"])
    def mark_read(self, request: HttpRequest, queryset: QuerySet[UsageAlert]) -> None:
        messages.success(request, f"{alerts.mark_read(queryset, timezone.now())} marked as read.")

    @admin.display(description="Raised (UTC)")
    def raised(self, alert: UsageAlert) -> str:
        return f"{alert.raised_at:%Y-%m-%d %H:%M}"

    @admin.display(description="Threshold")
    def threshold_words(self, alert: UsageAlert) -> str:
        return format_html('<span class="badge {}">{}</span>', alert_text.badge(alert), alert_text.threshold(alert))

    @admin.display(description="Used, of the limit")
    def used_words(self, alert: UsageAlert) -> str:
        return f"{alert_text.shown(alert, alert.used)} of {alert_text.shown(alert, alert.cap)}"

    @admin.display(description="Period from")
    def from_day(self, alert: UsageAlert) -> str:
        return str(alert.period)

    @admin.display(description="Read", boolean=True)
    def read(self, alert: UsageAlert) -> bool:
        return alert.read_at is not None


def _alert_page(alert: UsageAlert) -> dict[str, Any]:
    sent = list(alert.deliveries.filter(account_id=alert.account_id).select_related("webhook").order_by("id"))
    return {
        "sentence": alert_text.sentence(alert),
        "badge": alert_text.badge(alert),
        "threshold": alert_text.threshold(alert),
        "sent": [(one, BADGES[State(one.state)]) for one in sent],
        "title": "Alert",
    }


@admin.register(Delivery)
class DeliveryAdmin(changelist.ReadOnlyAdmin):
    empty_state = "Nothing was sent. Alerts go to an account's owners by e-mail, and to webhooks."
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
        one = self.get_object(request, object_id)
        may_retry = one is not None and one.state == State.FAILED and request.user.has_perm(MAY_RETRY)
        extra = {"may_retry": may_retry, "badge": BADGES[State(one.state)] if one else "", "title": "Delivery"}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **extra})

    def retry(self, request: HttpRequest, id: Any) -> HttpResponse:  # noqa: A002, ANN401 - a UUID, of the address
        if not request.user.has_perm(MAY_RETRY):
            raise PermissionDenied
        one = Delivery.objects.select_related("webhook").filter(pk=id).first()
        if one is None:
            raise Http404
        found = Delivery.objects.filter(account_id=one.account_id, pk=one.pk)

        def work(_values: dict[str, Any]) -> str:
            due = deliveries.retry(found, timezone.now())
            return "It is sent again within seconds." if due else "It was not given up: there is nothing to try again."

        return confirm.confirm(
            request,
            title="Retry",
            sentences=(f"The alert is sent to {one} again, and for another day if that fails.",),
            form=forms.Form,
            work=work,
            about="Delivery",
            back=reverse("admin:billing_delivery_change", args=[one.pk]),
        )

    @admin.display(description="Planned (UTC)")
    def created(self, one: Delivery) -> str:
        return f"{one.created_at:%Y-%m-%d %H:%M}"

    @admin.display(description="Alert")
    def alert_words(self, one: Delivery) -> str:
        return str(one.alert)

    @admin.display(description="To")
    def to(self, one: Delivery) -> str:
        return Truncator(one.target.partition("://")[2] or one.target).chars(SHOWN)

    @admin.display(description="State")
    def status(self, one: Delivery) -> str:
        return format_html('<span class="badge {}">{}</span>', BADGES[State(one.state)], one.get_state_display())

    @admin.display(description="Next attempt (UTC)")
    def next_attempt(self, one: Delivery) -> str:
        return f"{one.due_at:%Y-%m-%d %H:%M:%S}" if one.state == State.PENDING else "-"

    @admin.display(description="Answer")
    def answer(self, one: Delivery) -> str:
        return str(one.response_status or Truncator(one.error).chars(SHOWN) or "-")


class WebhookForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Webhook
        fields = ("account", "url", "active")

    def clean_url(self) -> str:
        url = str(self.cleaned_data["url"])
        try:
            outbound.target(url)
        except outbound.NotAllowed as error:
            raise forms.ValidationError(str(error)) from error
        return url


@admin.register(Webhook)
class WebhookAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Its secret is shown when it is made, and never again; one that lost it is switched off for a new one."""

    empty_state = "Add a webhook to have alerts sent to a system of yours."
    form = WebhookForm
    list_display = ("url", "reach", "active", "created_at")
    list_filter = ("active",)
    list_select_related = ("account",)
    search_fields = ("url", "account__external_id__startswith")
    autocomplete_fields = ("account",)

    def get_readonly_fields(self, request: HttpRequest, obj: Webhook | None = None) -> tuple[str, ...]:
        """Whom it is about is fixed when it is made."""
        return ("account", "created_at") if obj else ()

    def save_model(self, request: HttpRequest, obj: Webhook, form: Any, change: bool) -> None:  # noqa: ANN401
        if change:
            obj.save(update_fields=["url", "active"])
            return
        obj.created_at = timezone.now()
        obj.save(force_insert=True)
        messages.warning(request, f"The secret, shown only now: {webhooks.secret(obj)}")

    def has_delete_permission(self, request: HttpRequest, obj: Webhook | None = None) -> bool:
        return False

    @admin.display(description="Account")
    def reach(self, one: Webhook) -> str:
        return one.account.external_id if one.account else "all"
