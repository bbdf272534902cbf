"""Rate limits: exact within a window, bounded in memory, and a grammar that the start checks."""

from __future__ import annotations

import pytest

from lib import rate_limit


class Seconds:
    """Replaces the module `time`; it stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 7200.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Seconds:
    seconds = Seconds()
    monkeypatch.setattr(rate_limit, "time", seconds)
    return seconds


def names() -> int:
    return sum(len(counts.by_name) for counts in rate_limit._counts.values())


def test_a_window_allows_exactly_its_number_of_requests(seconds: Seconds) -> None:
    assert [rate_limit.allow("a", "3/hour") for _ in range(5)] == [True, True, True, False, False]
    assert rate_limit.allow("b", "3/hour")
    seconds.now += 3599
    assert not rate_limit.allow("a", "3/hour")
    assert rate_limit.seconds_until_reset("3/hour") == 1
    seconds.now += 1
    assert [rate_limit.allow("a", "3/hour") for _ in range(4)] == [True, True, True, False]


def test_names_of_one_rate_do_not_reset_those_of_another(seconds: Seconds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "MAX_NAMES", 100)
    assert [rate_limit.allow("letters", "1/hour") for _ in range(2)] == [True, False]
    for number in range(1000):
        rate_limit.allow(f"client {number}", "60/minute")
    assert not rate_limit.allow("letters", "1/hour")


def test_memory_is_bounded_and_the_oldest_counts_go_first(seconds: Seconds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "MAX_NAMES", 100)
    for number in range(150):
        rate_limit.allow(f"client {number}", "1/hour")
    assert names() == 100
    assert [rate_limit.allow(f"client {number}", "1/hour") for number in (50, 149)] == [False, False]
    assert rate_limit.allow("client 49", "1/hour")


def test_ended_windows_are_dropped_one_by_one(seconds: Seconds) -> None:
    for number in range(100):
        rate_limit.allow(f"client {number}", "1/hour")
    seconds.now += 3600
    sizes = []
    for number in range(60):
        rate_limit.allow(f"newcomer {number}", "1/hour")
        sizes.append(names())
    assert sizes[:3] == [99, 98, 97]
    assert sizes[-1] == 60
    assert not any(rate_limit.allow(f"newcomer {number}", "1/hour") for number in range(60))


@pytest.mark.parametrize(
    ("rate", "parsed"),
    [
        ("1/second", (1, 1)),
        ("60/minute", (60, 60)),
        ("3/hour", (3, 3600)),
        ("600/day", (600, 86400)),
        ("999999999/day", (999_999_999, 86400)),
    ],
)
def test_a_rate_is_a_number_for_each_unit_of_time(rate: str, parsed: tuple[int, int]) -> None:
    assert rate_limit.parse(rate) == parsed
    assert rate_limit.allow("a", rate)


@pytest.mark.parametrize(
    "rate", ["", "600", "/day", "0/day", "-1/day", "6e2/day", "600/days", "600/week", "600/day ", "1.5/hour", "٣/hour"]
)
def test_anything_else_is_not_a_rate(rate: str) -> None:
    with pytest.raises(ValueError, match=r"is not a rate such as 60/minute; the units are second, minute, hour, day"):
        rate_limit.parse(rate)
