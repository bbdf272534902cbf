"""Plans in force: read from the tables, held in memory by version, asked for every decision about a limit.

A change of a plan, a meter or an override counts for the next decision in every process: the version of all plans stands
in the database, and so does each account's own (`config_version`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import F, Max

from billing.accounts.accounts import Known
from billing.models import Account, LimitOverride, Per, PlanLimit
from billing.models import Meter as MeterRow
from billing.models import Plan as PlanRow
from billing.plans import current_subscription
from billing.plans.meters import Limit, Meter
from lib import periods
from providers.versioned_cache import VersionedCache

MOST_ACCOUNTS = 10_000  # whose overrides are held in memory


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


@dataclass(frozen=True, slots=True)
class Catalog:
    """All plans and meters as they stood at one version; `latest` is the newest version of each plan, in their order."""

    version: int
    meters: tuple[Meter, ...]
    plans: Mapping[int, Plan]
    latest: Mapping[str, Plan]

    @property
    def default(self) -> Plan:
        """The plan of an account without another. Without the one that is named, nothing is limited by a plan."""
        return self.latest.get(settings.DEFAULT_PLAN) or NO_PLAN


NO_PLAN = Plan(0, "", 0, "", 0, 0, active=False, limits=())


class Override(NamedTuple):
    """One account's own cap, until a local day (not included) or for good."""

    meter: str
    per: str
    amount: int | None
    hard: bool
    expires_on: date | None


def of_account(account: Account | Known, at: datetime, catalog: Catalog | None = None) -> Plan:
    """The plan that an account has: the default one, as long as it has subscribed to no other."""
    catalog = catalog or current()
    plan_id = current_subscription.plan_id(account, at)
    return catalog.default if plan_id is None else catalog.plans[plan_id]


def inactive(account: Account, at: datetime) -> str | None:
    """Why nothing may run for this account, in words; None where it may."""
    return current_subscription.inactive(account, at) if account.active else "This account is deactivated."


def effective_limits(
    account: Account | Known, at: datetime, catalog: Catalog | None = None, plan: Plan | None = None
) -> tuple[Limit, ...]:
    """Every meter's cap for the account: the plan's limits with its overrides; ordered by meter, the period before the day.

    `plan` where it is another one than the account has `at` this moment, as for a period that is over.
    """
    catalog = catalog or current()
    meters = {meter.slug: meter for meter in catalog.meters}
    plan = plan or of_account(account, at, catalog)
    limits = {limit.key: limit for limit in limits_of(plan, catalog)}
    today = periods.local_day(account.schedule, at)
    for own in _overrides(account):
        if own.meter in meters and (own.expires_on is None or today < own.expires_on):
            limits[own.meter, own.per] = Limit(meters[own.meter], own.per, own.amount, own.hard)
    return _in_order(limits.values(), catalog)


def limits_of(plan: Plan, catalog: Catalog) -> tuple[Limit, ...]:
    """Every meter's cap under a plan: what the plan does not name is unlimited."""
    limits = {(meter.slug, str(Per.PERIOD)): Limit(meter, Per.PERIOD, None, hard=True) for meter in catalog.meters}
    return _in_order((limits | {limit.key: limit for limit in plan.limits}).values(), catalog)


def _in_order(limits: Iterable[Limit], catalog: Catalog) -> tuple[Limit, ...]:
    """The fixed order in which limits are told, and refuse: of the meters, the period before the day."""
    place = {meter.slug: number for number, meter in enumerate(catalog.meters)}
    return tuple(sorted(limits, key=lambda limit: (place[limit.meter.slug], limit.per != Per.PERIOD)))


_held: dict[int, tuple[int, tuple[Override, ...]]] = {}  # account -> its config_version, and its overrides then


def _overrides(account: Account | Known) -> tuple[Override, ...]:
    """An account's own caps, from memory as long as its configuration is the same."""
    version, overrides = _held.get(account.pk, (0, ()))
    if version == account.config_version:
        return overrides
    rows = LimitOverride.objects.filter(account_id=account.pk).order_by()  # an account yet to be made has none
    overrides = tuple(Override(*row) for row in rows.values_list("meter__slug", "per", "amount", "hard", "expires_on"))
    if len(_held) >= MOST_ACCOUNTS:
        _held.clear()
    _held[account.pk] = (account.config_version, overrides)
    return overrides


def configuration_changed(account: Account) -> None:
    """Says to every process that an account's configuration changed; called in the transaction of the change."""
    _held.pop(account.pk, None)  # this process must not keep what it knows to be old
    current_subscription.forget(account)
    Account.objects.filter(pk=account.pk).update(config_version=F("config_version") + 1)


@transaction.atomic
def supersede(*, plan: PlanRow, limits: Iterable[PlanLimit], at: datetime) -> PlanRow:
    """Stores the plan with its limits as a new row: version 1, or the next one of its slug. Who has an older one keeps it."""
    newest = PlanRow.objects.filter(slug=plan.slug).aggregate(latest=Max("version"))["latest"]
    plan.pk, plan.shipped, plan.created_at, plan.version = None, False, at, (newest or 0) + 1
    plan.save(force_insert=True)
    PlanLimit.objects.bulk_create(
        PlanLimit(plan=plan, meter_id=limit.meter_id, per=limit.per, amount=limit.amount, hard=limit.hard)
        for limit in limits
    )
    changed()
    return plan


def _loaded(version: int) -> Catalog:
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
            limits=_in_order(limits.get(row.pk, ()), bare),
        )
        for row in PlanRow.objects.order_by("position", "slug", "version")
    ]
    return Catalog(version, bare.meters, {plan.id: plan for plan in plans}, {plan.slug: plan for plan in plans})


_editions = VersionedCache("plans", _loaded)
current, read_version, changed = _editions.current, _editions.read_version, _editions.changed
