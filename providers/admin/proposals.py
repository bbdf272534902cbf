"""Price proposals in the admin: accept, reject or reopen one, several or all new ones, and see the differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from lib import changelist, csv_stream, ids
from providers import price_decisions, price_sync, rulebook
from providers.admin import proposal_text
from providers.admin.proposal_filters import FILTERS
from providers.models import PriceProposal

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MAX_CHANGES_IN_LIST = 3  # per proposal; its page shows them all


class Decision(NamedTuple):
    """A decision on proposals, with the texts of its button and its message."""

    verb: str
    result: str
    from_state: PriceProposal.State
    apply: Callable[..., price_decisions.DecisionResult]


STATE = PriceProposal.State
DECISIONS = {
    "accept": Decision("Accept", "accepted, in force from now on", STATE.OPEN, price_decisions.accept),
    "reject": Decision(
        "Reject", "rejected; the same price will not be proposed again", STATE.OPEN, price_decisions.reject
    ),
    "reopen": Decision("Reopen", "reopened", STATE.REJECTED, price_decisions.reopen),
}


@admin.register(PriceProposal)
class PriceProposalAdmin(changelist.ReadOnlyAdmin):
    list_display = ["model_id", "change", "flags", "rate_changes", "source", "state"]
    list_display_links = ["model_id"]
    list_filter = FILTERS
    search_fields = ["pattern"]
    search_help_text = "Search by part of a model id"
    actions = ["accept_chosen", "reject_chosen", "reopen_chosen"]
    change_list_template = "admin/providers/priceproposal/change_list.html"
    change_form_template = "admin/providers/priceproposal/change_form.html"

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("providers.change_priceproposal")

    def get_queryset(self, request: HttpRequest) -> QuerySet[PriceProposal]:
        return super().get_queryset(request).select_related("base", "decided_by").prefetch_related("base__rates")

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("export/", view(self.export), name="providers_priceproposal_export"),
            path("all-new/<str:source>/", view(self.all_new), name="providers_priceproposal_all_new"),
            path("<int:pk>/decide/", view(self.decide), name="providers_priceproposal_decide"),
            *super().get_urls(),
        ]

    # The list

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        self.labels = rulebook.current().labels
        query = request.GET.urlencode()
        export = reverse("admin:providers_priceproposal_export") + (f"?{query}" if query else "")
        counts = _open_new().values("source").annotate(count=Count("pk")).order_by("source")
        new = [(row["source"], PriceProposal.Source(row["source"]).label, row["count"]) for row in counts]
        extra = {"export_url": export, "new": new if self.has_decide_permission(request) else []}
        return super().changelist_view(request, {**(extra_context or {}), **extra})

    @admin.display(description="Model and provider")
    def model_id(self, proposal: PriceProposal) -> SafeString:
        provider = self.labels.get(proposal.provider, proposal.provider_name)
        return format_html('{} <span class="declared">{}</span>', proposal.pattern, provider)

    @admin.display(description="USD per million units, now → proposed")
    def rate_changes(self, proposal: PriceProposal) -> SafeString:
        changes = list(proposal_text.change_lines(proposal))
        hidden = len(changes) - MAX_CHANGES_IN_LIST
        lines = [*changes[:MAX_CHANGES_IN_LIST], *([f"and {hidden} more"] if hidden > 0 else [])]
        return format_html_join("", '<span class="declared">{}</span>', ((line,) for line in lines))

    @admin.display(description="Change, valid from")
    def change(self, proposal: PriceProposal) -> SafeString:
        change = proposal_text.largest_change(proposal)
        percent = "" if change is None else proposal_text.format_percent(change)
        day = proposal.valid_from
        return format_html('{} {} <span class="declared">{}</span>', proposal.get_kind_display(), percent, day)

    @admin.display(description="Flags")
    def flags(self, proposal: PriceProposal) -> SafeString:
        flags = ((flag,) for flag in proposal_text.flags(proposal))
        return format_html_join("", '<div><span class="badge warning">{}</span></div>', flags)

    def export(self, request: HttpRequest) -> HttpResponseBase:
        """The filtered proposals as CSV."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        proposals = self.get_changelist_instance(request).get_queryset(request)
        rows = map(proposal_text.csv_row, proposals.iterator(500))
        return csv_stream.response("price-proposals.csv", proposal_text.CSV_COLUMNS, rows)

    # Decisions

    @admin.action(description="Accept selected proposals", permissions=["decide"])
    def accept_chosen(self, request: HttpRequest, queryset: QuerySet[PriceProposal]) -> HttpResponse | None:
        return self._confirm_selected(request, "accept", queryset)

    @admin.action(description="Reject selected proposals", permissions=["decide"])
    def reject_chosen(self, request: HttpRequest, queryset: QuerySet[PriceProposal]) -> HttpResponse | None:
        return self._confirm_selected(request, "reject", queryset)

    @admin.action(description="Reopen selected proposals", permissions=["decide"])
    def reopen_chosen(self, request: HttpRequest, queryset: QuerySet[PriceProposal]) -> HttpResponse | None:
        return self._confirm_selected(request, "reopen", queryset)

    def _confirm_selected(
        self, request: HttpRequest, name: str, queryset: QuerySet[PriceProposal]
    ) -> HttpResponse | None:
        decision = DECISIONS[name]
        selected = queryset.filter(state=decision.from_state)
        if not selected.exists():
            messages.warning(
                request, f"Nothing changed: none of the selected proposals is {decision.from_state.label}."
            )
            return None
        if self._confirmed(request, selected):
            self._apply(request, decision, selected)
            return None
        across = request.POST.get("select_across") == "1"  # a form may not have a thousand fields
        ticked = request.POST.getlist(ACTION_CHECKBOX_NAME)
        hidden: list[tuple[str, object]] = [
            ("action", f"{name}_chosen"),
            ("select_across", int(across)),
            ("index", 0),
            *((ACTION_CHECKBOX_NAME, pk) for pk in (ticked[:1] if across else ticked)),
        ]
        return self._confirmation(request, decision, selected, hidden=hidden)

    def all_new(self, request: HttpRequest, source: str) -> HttpResponse:
        """Accepts every new price from one source; flagged ones only if the operator ticks the box."""
        if not self.has_decide_permission(request):
            raise PermissionDenied
        if source not in PriceProposal.Source.values:
            raise Http404
        selected = _open_new().filter(source=source)
        if request.method == "POST" and self._confirmed(request, selected):
            if request.POST.get("flagged") != "on":
                selected = selected.exclude(price_sync.FLAGGED)
            self._apply(request, DECISIONS["accept"], selected)
            return HttpResponseRedirect(reverse("admin:providers_priceproposal_changelist"))
        label = PriceProposal.Source(source).label
        return self._confirmation(request, DECISIONS["accept"], selected, all_new_of=label)

    def decide(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Handles a button of a proposal's page."""
        decision = DECISIONS.get(request.POST.get("decision", ""))
        if not self.has_decide_permission(request):
            raise PermissionDenied
        if decision is None:
            raise Http404
        selected = PriceProposal.objects.filter(pk=pk, state=decision.from_state)
        if selected:
            self._apply(request, decision, selected)
        else:
            messages.error(request, f"Nothing changed: this proposal is no longer {decision.from_state.label}.")
        return HttpResponseRedirect(reverse("admin:providers_priceproposal_change", args=[pk]))

    def _confirmed(self, request: HttpRequest, selected: QuerySet[PriceProposal]) -> bool:
        """Whether these are the proposals the operator saw. A row's content never changes, so its id is enough."""
        confirmed = request.POST.get("confirmed")
        if confirmed and confirmed != _fingerprint(selected):
            messages.error(
                request,
                "Nothing changed: the list of proposals has changed since you opened this page. Review it again.",
            )
        return confirmed == _fingerprint(selected)

    def _confirmation(
        self, request: HttpRequest, decision: Decision, selected: QuerySet[PriceProposal], **extra: object
    ) -> HttpResponse:
        counts = selected.order_by().aggregate(
            all=Count("pk"),
            flagged=Count("pk", filter=price_sync.FLAGGED),
            **{kind: Count("pk", filter=Q(kind=kind)) for kind in PriceProposal.Kind.values},
            **{flag: Count("pk", filter=condition) for flag, condition in price_sync.FLAGS.items()},
        )
        context = self.admin_site.each_context(request) | {
            "opts": self.opts,
            "title": f"{decision.verb} price proposals",
            "decision": decision,
            "counts": counts,
            "flag_counts": [(label.capitalize(), counts[flag]) for flag, label in proposal_text.FLAGS.items()],
            "unflagged": counts["all"] - counts["flagged"],
            "confirmed": _fingerprint(selected),
            **extra,
        }
        return TemplateResponse(request, "admin/providers/priceproposal/confirm.html", context)

    def _apply(self, request: HttpRequest, decision: Decision, selected: QuerySet[PriceProposal]) -> None:
        ids = list(selected.order_by().values_list("pk", flat=True))
        options = {"drop_rates": request.POST.get("drop_rates") == "on"} if decision is DECISIONS["accept"] else {}
        outcome = decision.apply(ids, actor=cast("User", request.user), at=timezone.now(), **options)
        if outcome.done:
            noun = "proposal" if len(outcome.done) == 1 else "proposals"
            messages.success(request, f"{len(outcome.done):,} {noun} {decision.result}.")
        if outcome.stale:
            messages.error(request, proposal_text.stale_message(outcome.stale))
        if outcome.unconfirmed:
            messages.error(request, proposal_text.unconfirmed_message(outcome.unconfirmed))

    # A proposal's page

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        proposal = self.get_object(request, object_id)
        extra = _context(proposal, may_decide=self.has_decide_permission(request)) if proposal else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **extra})


def _context(proposal: PriceProposal, *, may_decide: bool) -> dict[str, Any]:
    """The template context of a proposal's page, with the buttons that its state allows."""
    decisions = [(name, decision) for name, decision in DECISIONS.items() if decision.from_state == proposal.state]
    return {
        "proposal": proposal,
        "rows": proposal_text.rate_rows(proposal),
        "flags": proposal_text.flags(proposal),
        "dropped": proposal_text.dropped_rates(proposal) if proposal.state == STATE.OPEN else [],
        "new_aliases": proposal_text.new_aliases(proposal),
        "buttons": [(name, decision.verb) for name, decision in decisions] if may_decide else [],
        "title": proposal.pattern,
    }


def _open_new() -> QuerySet[PriceProposal]:
    return PriceProposal.objects.filter(state=STATE.OPEN, kind=PriceProposal.Kind.NEW)


def _fingerprint(selected: QuerySet[PriceProposal]) -> str:
    """Identifies exactly these proposals; the content of a proposal never changes."""
    proposal_ids = list(selected.order_by().values_list("pk", flat=True))
    return str(ids.lookup_key(",".join(map(str, sorted(proposal_ids)))))
