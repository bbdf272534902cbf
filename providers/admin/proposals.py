"""Price proposals in the admin: a list to decide on one, several or all new ones, and a page with the whole difference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import User
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
from providers.admin import proposal_words as words
from providers.admin.proposal_filters import FILTERS
from providers.models import PriceProposal

SHOWN = 3  # changes in a row of the list; the proposal's page has them all


class Decision(NamedTuple):
    """What can be done with proposals, and how it is told."""

    verb: str
    done: str
    of: PriceProposal.State  # those that it is for
    act: Callable[..., price_decisions.Decided]


STATE = PriceProposal.State
DECISIONS = {
    "accept": Decision("Accept", "accepted, in force from now on", STATE.OPEN, price_decisions.accept),
    "reject": Decision("Reject", "rejected; the same statement will not come back", STATE.OPEN, price_decisions.reject),
    "reopen": Decision("Reopen", "open again", STATE.REJECTED, price_decisions.reopen),
}


@admin.register(PriceProposal)
class PriceProposalAdmin(changelist.ReadOnlyAdmin):
    list_display = ["model_id", "kind_and_day", "change", "flags", "asked", "source", "state"]
    list_display_links = ["model_id"]
    list_filter = FILTERS
    search_fields = ["pattern"]
    search_help_text = "A part of a model's id"
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
        offers = _open_new().values("source").annotate(count=Count("pk")).order_by("source")
        new = [(one["source"], PriceProposal.Source(one["source"]).label, one["count"]) for one in offers]
        extra = {"export_url": export, "new": new if self.has_decide_permission(request) else []}
        return super().changelist_view(request, {**(extra_context or {}), **extra})

    @admin.display(description="Model and provider")
    def model_id(self, proposal: PriceProposal) -> SafeString:
        company = self.labels.get(proposal.provider, proposal.provider_name)
        return format_html('{} <span class="declared">{}</span>', proposal.pattern, company)

    @admin.display(description="Kind, valid from")
    def kind_and_day(self, proposal: PriceProposal) -> SafeString:
        return format_html('{} <span class="declared">{}</span>', proposal.get_kind_display(), proposal.valid_from)

    @admin.display(description="USD per million units, now → proposed")
    def asked(self, proposal: PriceProposal) -> SafeString:
        lines = list(words.lines(proposal))
        more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        shown = ((line,) for line in [*lines[:SHOWN], *more])
        return format_html_join("", '<span class="declared">{}</span>', shown)

    @admin.display(description="Change")
    def change(self, proposal: PriceProposal) -> SafeString:
        return format_html('<span class="num">{}</span>', words.percent(words.largest(proposal)))

    @admin.display(description="Flags")
    def flags(self, proposal: PriceProposal) -> SafeString:
        flags = ((flag,) for flag in words.flags(proposal))
        return format_html_join(" ", '<span class="badge warning">{}</span>', flags)

    def export(self, request: HttpRequest) -> HttpResponseBase:
        """The proposals that the page's filters show."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self.get_changelist_instance(request).get_queryset(request)
        return csv_stream.response("price-proposals.csv", words.COLUMNS, map(words.row, found.iterator(500)))

    # Decisions

    @admin.action(description="Accept the selected proposals", permissions=["decide"])
    def accept_chosen(self, request: HttpRequest, queryset: QuerySet[PriceProposal]) -> HttpResponse | None:
        return self._confirm_chosen(request, "accept", queryset)

    @admin.action(description="Reject the selected proposals", permissions=["decide"])
    def reject_chosen(self, request: HttpRequest, queryset: QuerySet[PriceProposal]) -> HttpResponse | None:
        return self._confirm_chosen(request, "reject", queryset)

    @admin.action(description="Reopen the selected proposals", permissions=["decide"])
    def reopen_chosen(self, request: HttpRequest, queryset: QuerySet[PriceProposal]) -> HttpResponse | None:
        return self._confirm_chosen(request, "reopen", queryset)

    def _confirm_chosen(
        self, request: HttpRequest, name: str, queryset: QuerySet[PriceProposal]
    ) -> HttpResponse | None:
        decision = DECISIONS[name]
        chosen = queryset.filter(state=decision.of)
        if not chosen.exists():
            messages.warning(request, f"None of the selected proposals is {decision.of.label}.")
            return None
        if self._confirmed(request, chosen):
            self._act(request, decision, chosen)
            return None
        across = request.POST.get("select_across") == "1"  # a thousand ids are more fields than a form may have
        ticked = request.POST.getlist(ACTION_CHECKBOX_NAME)
        hidden: list[tuple[str, object]] = [
            ("action", f"{name}_chosen"),
            ("select_across", int(across)),
            ("index", 0),
            *((ACTION_CHECKBOX_NAME, pk) for pk in (ticked[:1] if across else ticked)),
        ]
        return self._confirmation(request, decision, chosen, hidden=hidden)

    def all_new(self, request: HttpRequest, source: str) -> HttpResponse:
        """Accepts every new price of one source; the flagged ones only where that is ticked."""
        if not self.has_decide_permission(request):
            raise PermissionDenied
        if source not in PriceProposal.Source.values:
            raise Http404
        chosen = _open_new().filter(source=source)
        if request.method == "POST" and self._confirmed(request, chosen):
            flagged = request.POST.get("flagged") == "on"
            self._act(request, DECISIONS["accept"], chosen if flagged else chosen.exclude(price_sync.FLAGGED))
            return HttpResponseRedirect(reverse("admin:providers_priceproposal_changelist"))
        label = PriceProposal.Source(source).label
        return self._confirmation(request, DECISIONS["accept"], chosen, all_new_of=label)

    def decide(self, request: HttpRequest, pk: int) -> HttpResponse:
        """A button of a proposal's page."""
        decision = DECISIONS.get(request.POST.get("decision", ""))
        if not self.has_decide_permission(request):
            raise PermissionDenied
        if decision is None:
            raise Http404
        chosen = PriceProposal.objects.filter(pk=pk, state=decision.of)
        if chosen:
            self._act(request, decision, chosen)
        else:
            messages.error(request, f"Nothing has changed: this proposal is not {decision.of.label} any more.")
        return HttpResponseRedirect(reverse("admin:providers_priceproposal_change", args=[pk]))

    def _confirmed(self, request: HttpRequest, chosen: QuerySet[PriceProposal]) -> bool:
        """Whether what is chosen is still what the operator was shown: other content is always another row."""
        confirmed = request.POST.get("confirmed")
        if confirmed and confirmed != _fingerprint(chosen):
            messages.error(request, "Nothing has changed: the proposals are others by now. Look again.")
        return confirmed == _fingerprint(chosen)

    def _confirmation(
        self, request: HttpRequest, decision: Decision, chosen: QuerySet[PriceProposal], **extra: object
    ) -> HttpResponse:
        counts = chosen.order_by().aggregate(
            all=Count("pk"),
            flagged=Count("pk", filter=price_sync.FLAGGED),
            **{kind: Count("pk", filter=Q(kind=kind)) for kind in PriceProposal.Kind.values},
            **{flag: Count("pk", filter=Q(**{flag: True})) for flag in words.FLAGS},
        )
        context = self.admin_site.each_context(request) | {
            "opts": self.opts,
            "title": f"{decision.verb} price proposals",
            "decision": decision,
            "counts": counts,
            "unflagged": counts["all"] - counts["flagged"],
            "confirmed": _fingerprint(chosen),
            **extra,
        }
        return TemplateResponse(request, "admin/providers/priceproposal/confirm.html", context)

    def _act(self, request: HttpRequest, decision: Decision, chosen: QuerySet[PriceProposal]) -> None:
        ids = list(chosen.order_by().values_list("pk", flat=True))
        decided = decision.act(ids, actor=cast("User", request.user), at=timezone.now())
        if decided.done:
            messages.success(request, f"{len(decided.done):,} {decision.done}.")
        if decided.stale:
            messages.error(request, words.stale(decided.stale))

    # A proposal's page

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        proposal = self.get_object(request, object_id)
        extra = _page(proposal, may_decide=self.has_decide_permission(request)) if proposal else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **extra})


def _page(proposal: PriceProposal, *, may_decide: bool) -> dict[str, Any]:
    """What a proposal's page shows: the difference, and the buttons that its state allows."""
    return {
        "proposal": proposal,
        "rows": words.table(proposal),
        "flags": words.flags(proposal),
        "names": words.new_aliases(proposal),
        "buttons": [(name, one.verb) for name, one in DECISIONS.items() if may_decide and one.of == proposal.state],
        "title": proposal.pattern,
    }


def _open_new() -> QuerySet[PriceProposal]:
    return PriceProposal.objects.filter(state=STATE.OPEN, kind=PriceProposal.Kind.NEW)


def _fingerprint(chosen: QuerySet[PriceProposal]) -> str:
    """Of exactly these proposals; what one of them proposes never changes."""
    chosen_ids = list(chosen.order_by().values_list("pk", flat=True))
    return str(ids.key_of(",".join(map(str, sorted(chosen_ids)))))
