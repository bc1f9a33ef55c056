"""Measuring several contenders side by side: interleaved rounds, medians, and ratios within a round."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from statistics import median, quantiles
from time import perf_counter, sleep
from types import MappingProxyType
from typing import Any

Turn = Callable[[int], Callable[[], Any]]
"""`turn(n)` prepares n units of work, untimed, and returns the function that does them, which is timed."""

PAUSE = 0.03
"""Seconds between two contenders: idle threads of a BLAS spin for about as long before they sleep."""

NOISY = 0.1
"""The spread from which a figure is not to be trusted."""


def interleave(
    contenders: Mapping[str, Turn],
    *,
    rounds: int = 15,
    seconds: float = 0.03,
    least: int = 1,
    pause: float = PAUSE,
    net: Mapping[str, str] = MappingProxyType({}),
    clock: Callable[[], float] = perf_counter,
) -> dict[str, list[float]]:
    """Seconds for one unit of work, of each contender in each round.

    Every round has a turn of each contender, in order in even rounds and backwards in odd ones, so that whatever slows
    the machine down for a while slows all of them, and none always comes after the same other. A contender does as many
    units in its turn as take `seconds`, and an untimed one before, to find its caches and threads as it likes them.

    Args:
        contenders: the work of each, by name.
        rounds: how many rounds.
        seconds: how long a turn has to last.
        least: the fewest units in a turn, for work where the first differs from the others.
        pause: seconds to wait between two turns.
        net: contenders whose turns cost something once, each with a name for that: a turn of one unit is timed before
            every turn, and stands in the result under that name; what more units take longer is what they cost.
        clock: where the time is read.

    Example:
        >>> times = interleave({"sum": lambda n: lambda: [sum(range(100)) for _ in range(n)]}, rounds=3, seconds=1e-4)
        >>> len(times["sum"])
        3
    """
    units = {name: max(least, calibrate(turn, seconds, clock)) for name, turn in contenders.items()}
    times: dict[str, list[float]] = {name: [] for name in (*contenders, *net.values())}
    # what was imported and compiled so far is never garbage; otherwise whoever makes records or tuples pays for
    # walking over the modules of all the other libraries
    gc.collect()
    gc.freeze()
    try:
        for i in range(rounds):
            for name in reversed(list(contenders)) if i % 2 else contenders:
                sleep(pause)
                turn = contenders[name]
                turn(1)()
                if name not in net:
                    times[name].append(_timed(turn(units[name]), clock) / units[name])
                    continue
                once, count = _timed(turn(1), clock), max(2, units[name])
                times[net[name]].append(once)
                times[name].append((_timed(turn(count), clock) - once) / (count - 1))
    finally:
        gc.unfreeze()
    return times


def calibrate(turn: Turn, seconds: float, clock: Callable[[], float] = perf_counter) -> int:
    """How many units of work take at least `seconds`; the first turn of each size is not timed, for it may compile."""
    units = 1
    while True:
        turn(units)()
        elapsed = _timed(turn(units), clock)
        if elapsed >= seconds:
            return units
        units = max(units + 1, min(64 * units, ceil(1.2 * units * seconds / max(elapsed, 1e-9))))


def _timed(work: Callable[[], Any], clock: Callable[[], float]) -> float:
    began = clock()
    work()
    return clock() - began


def ratio(times: Sequence[float], reference: Sequence[float]) -> float:
    """The median over the rounds of the ratio within a round.

    Example:
        >>> ratio([2.0, 20.0, 6.0], [1.0, 10.0, 2.0])
        2.0
    """
    return median(a / b for a, b in zip(times, reference, strict=True))


def spread(times: Sequence[float]) -> float:
    """The distance between the quartiles over the median.

    Example:
        >>> spread([1.0, 1.0, 1.0, 1.0])
        0.0
    """
    if len(times) < 2:
        return 0.0
    low, _, high = quantiles(times, n=4, method="inclusive")
    return (high - low) / median(times)
