"""Which states of a run are stored: a policy that bounds the disk that they take and the time that a seek takes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import inf
from time import monotonic
from typing import Any

import numpy as np

from purenet.arguments import check_count, check_number
from purenet.errors import ArgumentError, PurenetError, StorageError
from purenet.history.writer import HistoryWriter
from purenet.records import fields_of, static, struct

_SHARE = 100  # writing snapshots takes at most one part in so many of the time of the run
_THINNED = 0.75  # of the budget is left when it was reached, so that thinning is rare


@struct
class Snapshots:
    """When a state is stored, and how much disk the stored ones may take; the last state is stored in any case.

    Which states are stored changes no bit of any state: one that is not is computed again from the one before it.

    Args:
        seconds: about how long it may take to compute again a state that is not stored. Where writing a snapshot takes
            more than a hundredth of that, they are written less often.
        every: store every so many steps, whatever time they take, instead.
        budget: how many bytes all snapshots may take, the first and last one apart. When they take more, some are
            removed: the older they are, the further apart are those that stay.

    Example:
        >>> import purenet as pn
        >>> pn.Snapshots(every=100, budget=10_000_000)
        Snapshots(seconds=1.0, every=100, budget=10000000)
    """

    seconds: float = static(default=1.0, converter=partial(check_number, "Snapshots.seconds", above=0))
    every: int | None = static(default=None)
    budget: int = static(default=1 << 30, converter=partial(check_count, "Snapshots.budget", at_least=0))

    def __attrs_post_init__(self) -> None:
        if self.every is not None:
            check_count("Snapshots.every", self.every)


class Keeper:
    """Stores the states that a policy asks for, as they pass; `due` is when the next one is, by the monotonic clock."""

    def __init__(self, policy: Snapshots, writer: HistoryWriter) -> None:
        self._policy, self._writer = policy, writer
        self.due = monotonic() + policy.seconds if policy.every is None else inf
        self._total = sum(snapshot.size for snapshot in writer.snapshots.values())

    def store(self, step: int, state: Any) -> None:
        """Store a state, and thin the stored ones out if they take more than the budget."""
        begin = monotonic()
        known = step in self._writer.snapshots
        self._writer.snapshot(step, state)
        self._total += 0 if known else self._writer.snapshots[step].size
        if self._total > self._policy.budget:
            sizes = {step: snapshot.size for step, snapshot in self._writer.snapshots.items()}
            gone = superfluous(sizes, int(_THINNED * self._policy.budget), keep=self._writer.start)
            if gone:
                self._writer.remove_snapshots(gone)
                self._total -= sum(sizes[step] for step in gone)
        if self._policy.every is None:
            end = monotonic()
            self.due = end + max(self._policy.seconds, _SHARE * (end - begin))


def superfluous(sizes: Mapping[int, int], budget: int, keep: int) -> list[int]:
    """The steps of the snapshots to remove for the rest to fit into a budget, but for the first at `keep` and the last.

    The next to go is always the one whose neighbours are closest together for its age, so that what stays is spaced by
    the logarithm of the age.
    """
    steps = np.array(sorted(sizes), np.int64)
    needed = {keep, *steps[-1:].tolist()}
    total = sum(size for step, size in sizes.items() if step not in needed)
    gone: list[int] = []
    while total > budget:
        before = np.concatenate([[keep], steps[:-1]])
        after = np.concatenate([steps[1:], steps[-1:]])
        cost = (after - before) / (steps[-1] - steps + 1.0)
        cost[np.isin(steps, list(needed))] = np.inf
        i = int(np.argmin(cost))
        gone.append(int(steps[i]))
        total -= sizes[gone[-1]]
        steps = np.delete(steps, i)
    return gone


def as_policy(value: Any, place: str) -> Snapshots:
    """A policy, or an `ArgumentError`."""
    if not isinstance(value, Snapshots):
        problem = f"expected a policy such as pn.Snapshots(every=100), got {value!r:.60}"
        raise ArgumentError(problem, path=f"{place}.snapshots")
    return value


def policy_to_json(policy: Snapshots) -> dict[str, Any]:
    """A policy as JSON values."""
    return {name: getattr(policy, name) for name in fields_of(Snapshots).names}


def policy_from_json(value: Any) -> Snapshots:
    """The policy that `policy_to_json` made JSON values of, or a `StorageError`."""
    try:
        return Snapshots(**value)
    except (PurenetError, TypeError) as error:
        raise StorageError(f"its manifest has no policy of snapshots, but {value!r:.80}") from error
