"""API shapes as tables: which fields of a usage object are read into which quantities, and which are informational. Pure.

A formula names fields: `a + b` adds them, `a | b` are two names of the same number (the first that is not 0; another that
differs is unread), `a / b` takes b only where no a is stated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import translate
from typing import NamedTuple

# Durations and rates beside the counts, by which no vendor of tokens bills, the parts of a stated cost, and estimates of it.
INFORMATIONAL = (
    "*_time *_time_* *_latency *_ms *_per_sec* *_duration time_to_* acceptance_rate cost.* cost_details.* *cost_estimate"
    " estimated_cost"
)

Terms = tuple[str, ...]
Formula = tuple[tuple[Terms, ...], ...]  # fallbacks of alternatives of terms


class Shape(NamedTuple):
    """One API shape. `marks`: sets of names; the shape fits where all names of a set occur."""

    name: str
    marks: tuple[frozenset[str], ...]
    reads: Mapping[str, Formula]  # quantity -> formula
    totals: Mapping[str, Formula]  # stated total -> sums that it may equal
    ignored: re.Pattern[str]
    excludes_cached: bool
    names: frozenset[str]  # of all that is read, in some formula

    def reads_name(self, name: str) -> bool:
        return any(name in terms for text in self.reads.values() for sums in text for terms in sums)


def formula(text: str) -> Formula:
    return tuple(
        tuple(tuple(term.strip() for term in sum_.split("+")) for sum_ in alternatives.split("|"))
        for alternatives in text.split("/")
    )


def shape(
    name: str,
    marks: str,
    reads: Mapping[str, str],
    *,
    totals: Mapping[str, str] | None = None,
    ignored: str = "",
    excludes_cached: bool = False,
) -> Shape:
    """`marks`: names separated by spaces, `a&b` for names that must occur together. `ignored`: names with wildcards."""
    patterns = "|".join(translate(pattern) for pattern in f"{ignored} {INFORMATIONAL}".split())
    formulas = {quantity: formula(text) for quantity, text in reads.items()}
    sums = {total: formula(text) for total, text in (totals or {}).items()}
    terms = (
        name for text in (*formulas.values(), *sums.values()) for sums_ in text for terms in sums_ for name in terms
    )
    return Shape(
        name,
        tuple(frozenset(mark.split("&")) for mark in marks.split()),
        formulas,
        sums,
        re.compile(patterns),
        excludes_cached,
        frozenset(terms) | sums.keys(),
    )
