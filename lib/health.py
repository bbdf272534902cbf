"""The registry of readiness checks. Apps register theirs when they start; /readyz and the `health` command run them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "critical"]

_SEVERITY: tuple[Status, ...] = ("ok", "warning", "critical")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. `/readyz` is open to all, so `detail` names no host, no account and no error message."""

    status: Status
    detail: str


Check = Callable[[], Finding]

_checks: dict[str, Check] = {}


def register(name: str, check: Check) -> None:
    _checks[name] = check


def run() -> dict[str, Finding]:
    """The finding of every check, in the order of registration."""
    return {name: _found(check) for name, check in _checks.items()}


def worst(findings: Iterable[Finding]) -> Status:
    return max((finding.status for finding in findings), key=_SEVERITY.index, default="ok")


def _found(check: Check) -> Finding:
    try:
        return check()
    except Exception as error:  # A check that cannot tell is the worst news.
        return Finding("critical", f"could not be checked: {type(error).__name__}")
