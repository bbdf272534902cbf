"""Checks that every stored statement equals the statement that its sources give now.

Two things may change after a statement was written. First detections move usage from a declared label to an actual provider.
And an archive takes the logs: then the use at the bounds of segments within a day is only known to the day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings
from django.db.models import Q, Sum

from billing.accounts import usage_periods
from billing.accounts.usage_periods import Period
from billing.ledger import rollups
from billing.models import Account, Archive, Statement
from billing.plans import plans
from billing.reports import reports
from billing.statements import cumulative_use, dated_terms, segments, statements
from billing.statements.dated_terms import DatedTerms
from billing.statements.segments import Segment
from billing.statements.statements import FIGURE_COLUMNS
from billing.verification.differences import CheckedPart, Difference

PAGE_SIZE = 500  # statements
BUILT_COLUMNS = (*FIGURE_COLUMNS, "total_cents", "lines", "plan_id", "allowance_nano", "segments")
USAGE_COUNTERS = {"calls": "calls", "tokens": "tokens_total", "nano": "cost_nano"}  # of a usage line, and of a rollup

Columns = dict[str, tuple[object, object]]  # name -> stored, expected


def check(where: Q = Q()) -> Iterator[CheckedPart]:  # noqa: B008 - never changed
    """Check the statements matching `where` part by part; the caller opens a snapshot."""
    ordered = Statement.objects.filter(where).select_related("account").order_by("account_id", "period")
    page = list(ordered[:PAGE_SIZE])
    while page:
        wrong = [(statement, columns) for statement in page if (columns := _wrong_columns(statement))]
        differences = [Difference("statements", (row.account_id, row.period), columns) for row, columns in wrong]
        yield CheckedPart(len(page), differences)
        last = page[-1]
        later = Q(account_id=last.account_id, period__gt=last.period) | Q(account_id__gt=last.account_id)
        page = list(ordered.filter(later)[:PAGE_SIZE])


def _wrong_columns(stored: Statement) -> Columns:
    try:
        period = usage_periods.period_from(stored.account.schedule, stored.period)
        parts = [segments.whole_period(stored)] if stored.rules == 1 else _derive(stored, period)
        built = statements.build(stored.account, period, parts, rules=stored.rules)
        usage_pair = (stored.usage, _expected_usage(stored, built, period))
    except (LookupError, TypeError, ValueError) as error:  # a damaged row, or a zone that this host does not know
        return {"sources": (repr(error), "readable")}
    pairs = {name: (getattr(stored, name), getattr(built, name)) for name in BUILT_COLUMNS} | {"usage": usage_pair}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _derive(stored: Statement, period: Period) -> list[Segment]:
    """The segments of the period by its sources; of an archived one, with the stored use where it may be right."""
    stated = segments.for_statement(stored)
    terms = _terms(stored, stated, period)
    archived = Archive.objects.filter(account_id=stored.account_id, period=stored.period, deleted__gt=0)
    if not archived.exists():
        return segments.derive(stored.account, period, terms)
    stated_use = {part.starts_at: part.used_from_nano for part in stated}
    used = [0]
    for part in terms[1:]:
        low, high = cumulative_use.bounds(stored.account, period, part.starts_at)
        used.append(min(max(stated_use.get(part.starts_at, low), low, used[-1]), high))
    return segments.combine(terms, [*used, reports.cost_nano_between(stored.account, period.start, period.end)])


def _terms(stored: Statement, stated: Iterable[Segment], period: Period) -> list[DatedTerms]:
    """The terms by the account's history. The setting DEFAULT_PLAN has none: it may have named any stated plan."""
    catalog, stated_terms = plans.current().plans, [part.terms for part in stated]
    slugs = {catalog[part.plan].slug if part.plan else "" for part in stated_terms}
    candidates = [
        dated_terms.in_period(stored.account, period, default_plan=slug)
        for slug in (settings.DEFAULT_PLAN, *sorted(slugs - {settings.DEFAULT_PLAN}))
    ]
    return next((terms for terms in candidates if terms == stated_terms), candidates[0])


def _expected_usage(stored: Statement, built: Statement, period: Period) -> list[dict[str, Any]]:
    """The stored usage by provider if first detections since then explain how it differs from the newly built one."""
    unchanged = _without_labels(stored.usage) == _without_labels(built.usage)
    usage: list[dict[str, Any]] = stored.usage if unchanged or _is_explained(stored, built, period) else built.usage
    return usage


def _is_explained(stored: Statement, built: Statement, period: Period) -> bool:
    """Whether the lines are well formed, add up as newly built ones, and each provider is within its bounds.

    Usage with different declared and actual providers may have been stated under either; all other usage under its own.
    """
    lines = sorted(_without(stored.usage, "cents"), key=lambda line: (-line["nano"], line["provider"]))
    by_provider = {line["provider"]: line for line in lines}
    if statements.with_cents(lines) != stored.usage or len(by_provider) != len(lines):
        return False
    low, high = _bounds_by_provider(stored.account, period)
    return all(
        sum(line[name] for line in lines) == sum(line[name] for line in built.usage)
        and all(
            low.get((slug, name), 0) <= by_provider.get(slug, {}).get(name, 0) <= high.get((slug, name), 0)
            for slug in {*by_provider, *(provider for provider, _ in high)}
        )
        for name in USAGE_COUNTERS
    )


def _bounds_by_provider(account: Account, period: Period) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    """The least and the highest usage that each label can have been stated with, by (label, counter)."""
    low, high = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    days = rollups.days_between(account, period.start, period.end).order_by()
    sums = {f"sum_{name}": Sum(column) for name, column in USAGE_COUNTERS.items()}
    for declared, actual, *values in days.values_list("declared", "actual").annotate(**sums):
        for name, value in zip(USAGE_COUNTERS, map(int, values), strict=True):
            low[declared, name] += value if declared == actual else 0
            for label in {declared, actual}:
                high[label, name] += value
    return low, high


def _without_labels(usage: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A provider's label may have changed since."""
    return _without(usage, "label")


def _without(usage: list[dict[str, Any]], left_out: str) -> list[dict[str, Any]]:
    return [{name: value for name, value in line.items() if name != left_out} for line in usage]
