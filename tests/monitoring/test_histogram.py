"""The histogram of durations: its columns, and percentiles computed from them."""

import pytest

from monitoring import histogram
from monitoring.models import RequestMinute


@pytest.mark.parametrize(
    ("duration_us", "column"),
    [
        (0, "ms_1"),
        (1_000, "ms_1"),
        (1_001, "ms_2"),
        (2_000, "ms_2"),
        (4_999, "ms_5"),
        (10_000_000, "ms_10000"),
        (10_000_001, "ms_more"),
        (10**15, "ms_more"),
    ],
)
def test_a_bound_falls_in_the_column_with_its_name(duration_us: int, column: str) -> None:
    assert histogram.COLUMNS[histogram.column_index(duration_us)] == column


def counts(**columns: int) -> list[int]:
    return [columns.get(column, 0) for column in histogram.COLUMNS]


@pytest.mark.parametrize(
    ("columns", "percent", "expected"),
    [
        ({}, 50, None),
        ({"ms_1": 1}, 50, 0.5),
        ({"ms_5": 100}, 50, 3.5),
        ({"ms_5": 100}, 99, 5.0),
        ({"ms_5": 90, "ms_100": 10}, 50, 3.7),
        ({"ms_5": 90, "ms_100": 10}, 90, 5.0),
        ({"ms_5": 90, "ms_100": 10}, 95, 75.0),
        ({"ms_100": 10, "ms_1000": 10}, 75, 750.0),
        ({"ms_more": 1}, 50, 10000.0),
        ({"ms_1": 99, "ms_more": 1}, 99, 1.0),
        ({"ms_1": 98, "ms_more": 2}, 99, 10000.0),
    ],
)
def test_a_percentile_is_interpolated_within_its_column(
    columns: dict[str, int], percent: int, expected: float | None
) -> None:
    assert histogram.percentile(counts(**columns), percent) == expected


def test_the_table_has_every_column() -> None:
    fields = [field.name for field in RequestMinute._meta.fields]
    assert tuple(name for name in fields if name.startswith("ms_")) == histogram.COLUMNS
