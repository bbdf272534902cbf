"""Passes over the rows of a table in pages, so that a check needs little memory and can continue after any page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from billing.models import Account, UsageDay
from billing.verification.differences import CheckedPart

START = ""  # the cursor of the first page
MAX_ACCOUNTS, MAX_ROWS = 200, 20_000  # accounts in a range, and their rows of the daily rollup
ACCOUNTS_PER_QUERY = 200

Cursor = str
NextPage = Callable[[Cursor], tuple[Any, Cursor | None]]  # the page after a cursor, and its own cursor; None at the end


class Check(NamedTuple):
    """`compares` says in words what is compared; `compare` takes a page."""

    compares: str
    compare: Callable[[Any], CheckedPart]


class Scan(NamedTuple):
    """One pass over rows: each check compares every page."""

    next_page: NextPage
    checks: Mapping[str, Check]


@dataclass(frozen=True, slots=True)
class AccountRange:
    """Accounts with after < id <= upto; `upto` is None in the last range, which also has rows of accounts that do not exist."""

    after: int
    upto: int | None

    def where(self, column: str = "account_id") -> Q:
        rest = Q(**{f"{column}__gt": self.after})
        return rest if self.upto is None else rest & Q(**{f"{column}__lte": self.upto})

    def accounts(self) -> list[Account]:
        return list(Account.objects.filter(self.where("pk")).order_by("pk"))


def next_accounts(cursor: Cursor) -> tuple[AccountRange, Cursor | None]:
    """The next accounts with about MAX_ROWS rows of the daily rollup; an account is never divided."""
    after = int(cursor or 0)
    rest = Account.objects.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)
    ids = list(rest[: MAX_ACCOUNTS + 1])
    upto = _last_fitting(ids[:MAX_ACCOUNTS])
    if not ids or upto == ids[-1]:
        return AccountRange(after, None), None
    return AccountRange(after, upto), str(upto)


def _last_fitting(ids: Sequence[int]) -> int | None:
    if not ids:
        return None
    days = UsageDay.objects.filter(account_id__gte=ids[0], account_id__lte=ids[-1]).order_by()
    counts: dict[int, int] = dict(days.values_list("account_id").annotate(rows=Count("day")))
    rows, last = 0, ids[0]
    for account_id in ids:
        rows += counts.get(account_id, 0)
        if rows > MAX_ROWS and account_id != ids[0]:
            break
        last = account_id
    return last


def account_ranges() -> Iterator[AccountRange]:
    """Ranges that together cover all rows that have an account."""
    cursor: Cursor | None = START
    while cursor is not None:
        accounts, cursor = next_accounts(cursor)
        yield accounts


def whole_table(_cursor: Cursor) -> tuple[None, None]:
    """A single page, for checks in which the database sums or searches the table."""
    return None, None


def id_pages(rows: QuerySet[Any], *, size: int) -> NextPage:
    """Pages by UUID, which is about the order of creation."""
    ordered = rows.order_by("id")

    def next_page(cursor: Cursor) -> tuple[list[Any], Cursor | None]:
        rest = ordered.filter(id__gt=UUID(cursor)) if cursor else ordered
        page = list(rest[:size])
        return page, str(page[-1].id) if len(page) == size else None

    return next_page


def find_pairs(rows: QuerySet[Any], column: str, pairs: Iterable[tuple[int, UUID | None]]) -> Iterator[Any]:
    """The rows with these pairs of account and UUID. With two long IN lists, a database would search their product."""
    by_account: dict[int, set[UUID]] = {}
    for account_id, id_ in pairs:
        if id_ is not None:
            by_account.setdefault(account_id, set()).add(id_)
    conditions = [Q(**{"account_id": account_id, f"{column}__in": ids}) for account_id, ids in by_account.items()]
    for start in range(0, len(conditions), ACCOUNTS_PER_QUERY):
        yield from rows.filter(reduce(or_, conditions[start : start + ACCOUNTS_PER_QUERY]))
