"""Times work in alternating rounds, so that other load on the machine affects both sides alike."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

Contender = Callable[[], float]  # runs one turn and returns its rate or its time


def alternate(rounds: int, ours: Contender, theirs: Contender) -> list[tuple[float, float]]:
    """The two figures of each round. The order changes from round to round."""
    figures = []
    for number in range(rounds):
        gc.collect()
        if number % 2:
            their_figure, our_figure = theirs(), ours()
            figures.append((our_figure, their_figure))
        else:
            figures.append((ours(), theirs()))
    return figures


def elapsed_seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def elapsed_cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of this process, for work without waiting: other processes do not influence it."""
    started = time.process_time()
    work()
    return time.process_time() - started
