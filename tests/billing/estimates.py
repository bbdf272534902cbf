"""Records calls whose usage is not completely known, as the caller of the test describes them."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from billing.ledger.ledger import NewLog
from billing.recording import metering
from billing.recording.metering import Result
from tests.billing.ledger_rows import NOON, record


def record_with_state(*raw: dict[str, Any], state: str, source: str = "estimate", **columns: Any) -> list[Result]:
    """Records events of this `usage_state` and, where they are priced, `cost_source`; `columns` are of their logs."""
    at = columns.pop("at", NOON)
    build = metering._build_log

    def build_with_state(*arguments: Any) -> NewLog:
        log = build(*arguments)
        log.usage_state = state
        if log.is_priced:
            log.cost_source = source
        for name, value in columns.items():
            setattr(log, name, value)
        return log

    with patch.object(metering, "_build_log", build_with_state):
        return record(*raw, at=at)
