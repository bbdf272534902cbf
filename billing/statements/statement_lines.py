"""The lines of a statement: fees, overage, corrections of closed periods, and a credit carried over.

Statements store the texts of their lines, and `verify_ledger` compares them with newly built ones: never change the wording
of a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

from django.db.models import Count, Q, Sum

from billing.accounts.usage_periods import Period
from billing.models import Account, Statement, SubscriptionEvent, UsageAdjustment
from billing.plans import plans
from billing.plans.plans import Catalog
from billing.statements import cumulative_use, segments
from billing.statements.segments import Segment
from lib import money


@dataclass(frozen=True, slots=True)
class StatementLine:
    """An amount due, or a credit if negative, in nano-USD, for a `period`."""

    kind: str  # fee | overage | correction | carried
    text: str
    period: str
    nano: int


def fee_lines(account: Account, period: Period) -> list[StatementLine]:
    events = SubscriptionEvent.objects.filter(account_id=account.pk, billed_in=period.start).order_by("id")
    return [
        StatementLine("fee", part["text"], period.name, part["nano"]) for event in events for part in event.fee_lines
    ]


def overage_lines(period: Period, parts: Sequence[Segment]) -> list[StatementLine]:
    """One line for each segment that owes something; in a period with several segments it says which."""
    catalog = plans.current()
    return [
        StatementLine("overage", _overage_text(part, catalog, several=len(parts) > 1), period.name, part.overage_nano)
        for part in parts
        if part.overage_nano
    ]


def _overage_text(part: Segment, catalog: Catalog, *, several: bool) -> str:
    used, included = money.format_usd(part.used_nano), money.format_usd(part.used_nano - part.overage_nano)
    if not several:
        return f"Usage of {used}, of which the plan includes {included}"
    start, end = (f"{moment:%Y-%m-%d %H:%M}" for moment in (part.starts_at, part.ends_at))
    name = plan_name(part.plan, catalog)
    return f"{name}, {start} to {end} UTC: usage of {used}, of which the plan includes {included}"


def plan_name(plan_id: int | None, catalog: Catalog) -> str:
    return catalog.plans[plan_id].name if plan_id else "No plan"


def correction_lines(account: Account, period: Period) -> list[StatementLine]:
    """One line for each closed period that was corrected in this one, with the change of that period's overage.

    Correcting usage that the plan included changes no overage: the line has amount 0, and its text the change at cost.
    """
    late = UsageAdjustment.objects.filter(account_id=account.pk, late_at__isnull=False, period__lte=period.start)
    now, before = Q(period=period.start), Q(period__lt=period.start)
    rows = late.order_by().values("corrects_period")
    sums = rows.annotate(
        count=Count("id", filter=now), now=Sum("delta_nano", filter=now), before=Sum("delta_nano", filter=before)
    )
    corrected = {row["corrects_period"]: row for row in sums if row["count"]}
    statements = Statement.objects.filter(account_id=account.pk, period__in=corrected).order_by()
    stated = {statement.period: statement for statement in statements.select_related("account")}
    lines = []
    for start, row in sorted(corrected.items()):
        now_nano, before_nano = int(row["now"]), int(row["before"] or 0)
        change = _overage_change(stated[start], period, now_nano, before_nano) if start in stated else 0
        lines.append(_correction_line(start, row["count"], now_nano, change))
    return lines


def _overage_change(statement: Statement, period: Period, now_nano: int, before_nano: int) -> int:
    """The overage of a corrected period after the corrections that count in `period`, less that before them.

    `now_nano` and `before_nano` are the late corrections that count in this period and in earlier ones.
    """
    parts = segments.for_statement(statement)
    changes = partial(
        cumulative_use.late_changes, statement.account, statement.period, [part.starts_at for part in parts[1:]]
    )
    before = [0, *changes(Q(period__lt=period.start)), before_nano]
    after = [0, *changes(Q(period__lte=period.start)), before_nano + now_nano]
    return segments.total_overage(parts, after) - segments.total_overage(parts, before)


def _correction_line(start: date, count: int, now_nano: int, change_nano: int) -> StatementLine:
    what = "1 late correction" if count == 1 else f"{count} late corrections"
    text = f"{what} of {start:%Y-%m}: {money.format_usd(now_nano)} at cost"
    return StatementLine(
        "correction", text + ("" if change_nano else ", of included usage"), f"{start:%Y-%m}", change_nano
    )


def carried_lines(account: Account, period: Period) -> list[StatementLine]:
    """The credit of the previous statement, if its total was negative."""
    previous = Statement.objects.filter(account_id=account.pk, period__lt=period.start).order_by("-period").first()
    if previous is None or previous.total_cents >= 0:
        return []
    return [StatementLine("carried", f"Credit of {previous}", str(previous), previous.total_cents * money.CENT)]
