"""The totals of a check or an import: counts, totals by provider and model, and the first refusals, as stored JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, NamedTuple

from billing.events.events import Event
from billing.events.lines import ImportLine
from billing.recording.bulk_import import ImportCounts
from billing.recording.metering import Result
from providers import model_ids

MAX_MODELS = 200  # pairs of provider and model; the others are summed
MAX_REFUSALS = 1_000  # stored; all are counted by reason
MAX_DETAIL_LENGTH = 300
OTHER_MODELS = ("other models", "")
UNREADABLE = ("", "")  # rows whose provider could not be read
COUNTERS = ("calls", "tokens", "cost_nano", "unpriced", "already_stored", "refused")


class Refusal(NamedTuple):
    """Why a row was refused; `line` and `column` (or field) say where, `column` may be empty."""

    line: str
    column: str
    code: str
    detail: str


@dataclass(slots=True)
class ModelTotals:
    """Accepted calls of one model with their tokens, cost in nano-USD and unpriced calls; and rows of the other outcomes."""

    provider: str
    model: str
    calls: int = 0
    tokens: int = 0
    cost_nano: int = 0
    unpriced: int = 0
    already_stored: int = 0
    refused: int = 0

    def add(self, line: ImportLine, result: Result) -> None:
        if result.status == "accepted" and isinstance(line.event, Event):
            calls, usage = max(line.event.usage.requests, 1), line.event.usage
            self.calls += calls
            self.tokens += usage.input_tokens + usage.output_tokens
            self.cost_nano += result.cost_nano or 0
            self.unpriced += 0 if result.priced else calls
        elif result.status == "duplicate":
            self.already_stored += 1
        else:
            self.refused += 1


@dataclass(slots=True)
class ImportTotals:
    """All outcomes so far. Adding is in memory; `as_json` and `from_json` keep it in the import's row."""

    counts: ImportCounts = field(default_factory=ImportCounts)
    models: dict[tuple[str, str], ModelTotals] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)

    @classmethod
    def from_json(cls, stored: dict[str, Any] | None) -> ImportTotals:
        if not stored:
            return cls()
        counts = stored["counts"]
        counters = {name: Counter[str](counts[name]) for name in ("statuses", "reasons")}
        models = (ModelTotals(provider, model, *numbers) for provider, model, *numbers in stored["models"])
        return cls(
            ImportCounts(**{**counts, **counters}),
            {(total.provider, total.model): total for total in models},
            [Refusal(*refusal) for refusal in stored["refusals"]],
        )

    def as_json(self) -> dict[str, Any]:
        values = attrgetter("provider", "model", *COUNTERS)
        return {
            "counts": {item.name: getattr(self.counts, item.name) for item in fields(ImportCounts)},
            "models": [values(total) for total in self.models.values()],
            "refusals": self.refusals,
        }

    def add(self, lines: Iterable[ImportLine], results: Iterable[Result]) -> None:
        for line, result in zip(lines, results, strict=True):
            self.counts.add(line, result)
            self._model(line, result).add(line, result)
            if result.refused and len(self.refusals) < MAX_REFUSALS:
                refused = result.refused
                self.refusals.append(
                    Refusal(line.name, refused.attr or "", refused.code, refused.detail[:MAX_DETAIL_LENGTH])
                )

    def by_cost(self) -> list[ModelTotals]:
        """The models, dearest first; unreadable rows last."""
        return sorted(
            self.models.values(),
            key=lambda total: (not total.provider, -total.cost_nano, -total.calls, total.provider, total.model),
        )

    def total(self) -> ModelTotals:
        sums = {name: sum(getattr(total, name) for total in self.models.values()) for name in COUNTERS}
        return ModelTotals("", "", **sums)

    def reasons(self) -> Iterator[tuple[str, int]]:
        """Reasons of refusals with the number of rows, most frequent first."""
        yield from self.counts.reasons.most_common()

    def _model(self, line: ImportLine, result: Result) -> ModelTotals:
        key = UNREADABLE
        if isinstance(line.event, Event):
            key = (result.actual_provider or model_ids.normalize(line.event.provider), line.event.model or "")
        if key not in self.models and len(self.models) >= MAX_MODELS:
            key = OTHER_MODELS
        return self.models.setdefault(key, ModelTotals(*key))
