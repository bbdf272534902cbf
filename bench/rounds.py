"""Alternated rounds: what is compared runs turn by turn, so that a busy minute of the machine hits all alike."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

Contestant = Callable[[], float]  # one turn; returns its rate or its time


def alternated(rounds: int, ours: Contestant, theirs: Contestant) -> list[tuple[float, float]]:
    """Each round's two figures. Who comes first changes from round to round."""
    figures = []
    for number in range(rounds):
        gc.collect()
        if number % 2:
            second, first = theirs(), ours()
            figures.append((first, second))
        else:
            figures.append((ours(), theirs()))
    return figures


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def cpu_seconds(work: Callable[[], object]) -> float:
    """Of this process alone: for work that waits for nothing, so that neighbours on the machine don't count."""
    started = time.process_time()
    work()
    return time.process_time() - started
