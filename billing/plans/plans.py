"""Plans and effective limits, cached in memory by version.

A change of a plan, a meter or an override takes effect with the next decision in every process: the database holds one
version for all plans and one for each account (`config_version`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import NamedTuple

from django.conf import settings
from django.db.models import F, Max

from billing.accounts.accounts import AccountRow
from billing.models import Account, LimitOverride, Per, PlanLimit
from billing.models import Meter as MeterRow
from billing.models import Plan as PlanRow
from billing.plans import current_subscription
from billing.plans.meters import Limit, Meter
from lib import periods, retry
from providers.versioned_cache import VersionedCache

MAX_CACHED_ACCOUNTS = 10_000
BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Plan:
    """One version of a plan, with its limits in the order of the meters."""

    id: int
    slug: str
    version: int
    name: str
    price_monthly_nano: int
    price_yearly_nano: int
    active: bool
    limits: tuple[Limit, ...]
    created_at: datetime = BEGINNING


@dataclass(frozen=True, slots=True)
class Catalog:
    """All plans and meters at one catalog version; `latest` is the newest version of each plan by slug, ordered by position."""

    version: int
    meters: tuple[Meter, ...]
    plans: Mapping[int, Plan]
    latest: Mapping[str, Plan]

    @property
    def default(self) -> Plan:
        """The plan of accounts without a subscription; a plan without limits where settings.DEFAULT_PLAN does not exist."""
        return self.latest.get(settings.DEFAULT_PLAN) or NO_PLAN

    def versions(self, slug: str) -> list[Plan]:
        """All versions of a plan, oldest first."""
        return sorted((plan for plan in self.plans.values() if plan.slug == slug), key=lambda plan: plan.version)


NO_PLAN = Plan(0, "", 0, "", 0, 0, active=False, limits=())


class Override(NamedTuple):
    """One account's own cap; ends before the local day `expires_on`, or never."""

    meter: str
    per: str
    amount: int | None
    hard: bool
    expires_on: date | None


def for_account(account: Account | AccountRow, at: datetime, catalog: Catalog | None = None) -> Plan:
    """The plan that an account has subscribed to, or the default plan."""
    catalog = catalog or current()
    plan_id = current_subscription.plan_id(account, at)
    return catalog.default if plan_id is None else catalog.plans[plan_id]


def inactive_reason(account: Account, at: datetime) -> str | None:
    """Why no call may run for this account; None where calls may."""
    return current_subscription.inactive_reason(account, at) if account.active else "This account is deactivated."


def effective_limits(
    account: Account | AccountRow, at: datetime, catalog: Catalog | None = None, plan: Plan | None = None
) -> tuple[Limit, ...]:
    """The plan's limits with the account's overrides, ordered by meter, the period's limit before the day's.

    `plan` replaces the account's current plan, e.g. for a past period.
    """
    catalog = catalog or current()
    meters = {meter.slug: meter for meter in catalog.meters}
    plan = plan or for_account(account, at, catalog)
    limits = {limit.key: limit for limit in limits_of_plan(plan, catalog)}
    today = periods.local_day(account.schedule, at)
    for override in _overrides(account):
        if override.meter in meters and (override.expires_on is None or today < override.expires_on):
            limit = Limit(meters[override.meter], override.per, override.amount, override.hard)
            limits[limit.key] = limit
    return _sorted(limits.values(), catalog)


def limits_of_plan(plan: Plan, catalog: Catalog) -> tuple[Limit, ...]:
    """The plan's limits, in order; a meter that the plan does not mention is unlimited."""
    limits = {(meter.slug, str(Per.PERIOD)): Limit(meter, Per.PERIOD, None, hard=True) for meter in catalog.meters}
    return _sorted((limits | {limit.key: limit for limit in plan.limits}).values(), catalog)


def _sorted(limits: Iterable[Limit], catalog: Catalog) -> tuple[Limit, ...]:
    """The order in which limits are listed and refuse: by meter, the period's limit before the day's."""
    positions = {meter.slug: position for position, meter in enumerate(catalog.meters)}
    return tuple(sorted(limits, key=lambda limit: (positions[limit.meter.slug], limit.per != Per.PERIOD)))


_override_cache: dict[
    int, tuple[int, tuple[Override, ...]]
] = {}  # account id -> its config_version, and its overrides then


def _overrides(account: Account | AccountRow) -> tuple[Override, ...]:
    version, overrides = _override_cache.get(account.pk, (0, ()))
    if version == account.config_version:
        return overrides
    rows = LimitOverride.objects.filter(account_id=account.pk).order_by()  # an unsaved account has none
    overrides = tuple(Override(*row) for row in rows.values_list("meter__slug", "per", "amount", "hard", "expires_on"))
    if len(_override_cache) >= MAX_CACHED_ACCOUNTS:
        _override_cache.clear()
    _override_cache[account.pk] = (account.config_version, overrides)
    return overrides


def bump_config_version(account: Account) -> None:
    """Invalidate every process's cache of the account. Needed in the transaction of each change to its configuration."""
    _override_cache.pop(account.pk, None)  # other processes compare config_version
    current_subscription.invalidate(account)
    Account.objects.filter(pk=account.pk).update(config_version=F("config_version") + 1)


@retry.atomic
def supersede(*, plan: PlanRow, limits: Sequence[PlanLimit], at: datetime) -> PlanRow:
    """Store the plan with its limits as the next version of its slug. Subscribers of an older version keep that version."""
    newest = PlanRow.objects.filter(slug=plan.slug).aggregate(latest=Max("version"))["latest"]
    plan.pk, plan.shipped, plan.created_at, plan.version = None, False, at, (newest or 0) + 1
    plan.save(force_insert=True)
    PlanLimit.objects.bulk_create(
        PlanLimit(plan=plan, meter_id=limit.meter_id, per=limit.per, amount=limit.amount, hard=limit.hard)
        for limit in limits
    )
    invalidate()
    return plan


def _load_catalog(version: int) -> Catalog:
    rows = MeterRow.objects.order_by("position", "slug")
    meters = {row.pk: Meter(row.slug, row.label, row.scope, frozenset(row.values), row.unit) for row in rows}
    limits: dict[int, list[Limit]] = {}
    for plan_id, meter_id, per, amount, hard in PlanLimit.objects.order_by().values_list(
        "plan_id", "meter_id", "per", "amount", "hard"
    ):
        limits.setdefault(plan_id, []).append(Limit(meters[meter_id], per, amount, hard))
    bare = Catalog(version, tuple(meters.values()), {}, {})
    plans = [
        Plan(
            id=row.pk,
            slug=row.slug,
            version=row.version,
            name=row.name,
            price_monthly_nano=row.price_monthly_nano,
            price_yearly_nano=row.price_yearly_nano,
            active=row.active,
            limits=_sorted(limits.get(row.pk, ()), bare),
            created_at=row.created_at,
        )
        for row in PlanRow.objects.order_by("position", "slug", "version")
    ]
    return Catalog(version, bare.meters, {plan.id: plan for plan in plans}, {plan.slug: plan for plan in plans})


_cache = VersionedCache("plans", _load_catalog)
current, read_version, invalidate = _cache.current, _cache.read_version, _cache.invalidate
