"""`verify`: whether a history is as it was written, and whether its run gives it again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from purenet import random
from purenet.arguments import check_count
from purenet.canonical import differences
from purenet.errors import ArgumentError, PurenetError
from purenet.history.check import state_check
from purenet.history.files import check_path
from purenet.history.integrity import problems
from purenet.history.opened import History, leaves_shown, open_history
from purenet.history.run import Program, advance, loss_of
from purenet.keys import Key, key as new_key
from purenet.records import static, struct
from purenet.safetensors import PathLike

MOST_SHOWN = 20
_DIFFERENT_LEAVES = 3  # of one state
_HERE = map


@struct
class Verification:
    """What `verify` found: true if nothing is wrong; printed, it says what is.

    Attributes:
        path: the folder of the history.
        steps: how many steps the history has.
        replayed: how many of them were executed again.
        problems: what is wrong: a damaged place in a file, a step that gives other bits or cannot be executed.
        environment: what is different here from where it was recorded, if that may be why.
    """

    path: str = static()
    steps: int = static()
    replayed: int = static()
    problems: tuple[str, ...] = static()
    environment: tuple[str, ...] = static(default=())

    def __bool__(self) -> bool:
        return not self.problems

    def __str__(self) -> str:
        done = f"{self.replayed} of {self.steps} steps executed again" if self.replayed else "no step executed again"
        if not self.problems:
            return f"{self.path}: every byte as written; {done}{', with the same bits' if self.replayed else ''}"
        more = [f"and {len(self.problems) - MOST_SHOWN} more"] if len(self.problems) > MOST_SHOWN else []
        count = f"{len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}"
        here = [f"recorded and here: {'; '.join(self.environment)}"] if self.environment else []
        return "\n  ".join([f"{self.path}: {count}; {done}", *self.problems[:MOST_SHOWN], *more, *here])


class Segment(NamedTuple):
    """A part of a history to execute again, by itself and in any process: from a stored state to the next."""

    path: str
    begin: int
    end: int
    given: Program | None
    classes: tuple[Any, ...]


def verify(
    history: History | PathLike,
    replay: Literal["all", "none"] | int = "all",
    *,
    key: Key | None = None,
    map: Callable[..., Iterable[Any]] = map,
) -> Verification:
    """Compare every byte of a history with its digests, execute its run again, and compare the bits of every step.

    The run is executed in segments, each from one stored state to the next, which need nothing from one another. A fork
    is verified from where it begins; its parent is a history of its own.

    Args:
        history: the history or its path.
        replay: `"all"` steps; `"none"`, to look at the files alone; or a number of segments, drawn at random.
        key: which segments are drawn; `pn.key(0)` if there is none.
        map: what calls a function for each segment: such as `executor.map`, to use several processes.

    Returns:
        A report, which is true if all is well.

    Example:
        >>> import pathlib, tempfile
        >>> import numpy as np
        >>> import purenet as pn
        >>> data = pn.Dataset(np.ones((4, 1)), 3 * np.ones((4, 1)))
        >>> objective = pn.objective(pn.losses.mean_squared_error)
        >>> run = pn.Run(pn.Dense(np.zeros((1, 1))), objective, pn.sgd(0.25), pn.Batches(data, size=None), steps=3)
        >>> history = pn.record(run, pathlib.Path(tempfile.mkdtemp(), "first"), snapshots=pn.Snapshots(every=2))
        >>> bool(pn.verify(history)), pn.verify(history, replay=1).replayed in (1, 2)
        (True, True)
    """
    if isinstance(replay, str) and replay not in ("all", "none"):
        raise ArgumentError(f"expected 'all', 'none', or how many segments, got {replay!r:.60}", path="verify.replay")
    if not isinstance(replay, str):
        replay = check_count("verify.replay", replay, at_least=0)
    if not isinstance(history, History):
        check_path("verify.history", history)
    path, folder = (history.path, history.reader.folder) if isinstance(history, History) else (history, history)
    found = [str(problem) for problem in problems(folder) if not problem.is_tail]
    try:
        opened = history.reopened() if isinstance(history, History) else open_history(path)
    except PurenetError as error:
        return Verification(str(path), 0, 0, tuple(found or [str(error)]))
    if found or replay == "none":
        return Verification(str(path), opened.steps, 0, tuple(found))
    try:
        run, changed = opened.run, opened.changed_environment
    except PurenetError as error:
        return Verification(str(path), opened.steps, 0, (f"no step can be executed again: {error}",))
    if run is None and opened.given is None:
        problem = "it holds states alone; open it with the step and the batches that made them, and pass it"
        raise ArgumentError(f"{problem}, or verify it with replay='none'", path="verify.history")
    segments = _segments(opened, replay, key)
    if segments:
        opened.warn_of_environment()
    # In this process, what is open already does; another opens the history for itself.
    execute = partial(_replayed, opened) if map is _HERE else replay_segment
    replayed = 0
    for texts, executed in map(execute, segments):
        found += texts
        replayed += executed
    return Verification(str(path), opened.steps, replayed, tuple(found), changed if found else ())


def replay_segment(segment: Segment) -> tuple[list[str], int]:
    """Execute one segment again: what differs, in words, and how many steps were executed and compared."""
    step, batches = (None, None) if segment.given is None else segment.given[:2]
    try:
        return _replayed(open_history(segment.path, step=step, batches=batches, classes=segment.classes), segment)
    except PurenetError as error:
        return [f"steps {segment.begin} to {segment.end - 1} cannot be executed again: {error}"], 0


def _replayed(history: History, segment: Segment) -> tuple[list[str], int]:
    found: list[str] = []
    executed = 0
    try:
        for compared, text in _differences(history, segment.begin, segment.end):
            executed = compared
            found += [text] if text else []
    except Exception as error:  # whatever a function of the run raises is what there is to report
        problem = str(error) if isinstance(error, PurenetError) else f"{type(error).__name__}: {error}"
        steps = f"steps {segment.begin + executed} to {segment.end - 1}"
        found.append(f"{steps} cannot be executed again: {problem}")
    return found, executed


def _segments(history: History, replay: str | int, key: Key | None) -> list[Segment]:
    """The parts between stored states; some of them, if `replay` is a number."""
    begin = history.start
    ends = sorted({begin, *history.snapshots, history.steps})
    path = os.path.realpath(history.reader.folder)
    every = [Segment(path, i, j, history.given, history.classes) for i, j in pairwise(ends)]
    if isinstance(replay, int) and replay < len(every):
        order = random.permutation(new_key(0) if key is None else key, len(every))
        return [every[i] for i in sorted(order[:replay].tolist())]
    return every


def _differences(history: History, begin: int, end: int) -> Iterator[tuple[int, str]]:
    """What a part of a history, from a stored state to the next, has other than it comes out now.

    The text, empty for a step that is as it was, stands behind the number of steps that were compared by then.
    """
    _, state = history.nearest(begin)
    stored = {begin: state} | ({end: history.nearest(end)[1]} if end in history.snapshots else {})
    for t, one in stored.items():
        if t > history.start and state_check(one) != history.reader.checks[t - 1 - history.start].tobytes():
            yield 0, f"the state stored after {t} steps is not the one that the journal has"
    losses, metrics = history.reader.losses, history.reader.metrics
    program, checks = history.program, history.reader.checks
    for t, (batch, following) in zip(range(begin, end), advance(program, state, begin), strict=False):
        i, state = t - history.start, following
        recorded, check = checks[i].tobytes(), state_check(state)
        numbers = {"the loss": (losses[i], loss_of(state))}
        for name, now in zip(metrics, program.measure(state, batch), strict=False):
            numbers[f"the metric {name}"] = (metrics[name][i], now)
        compared = t + 1 - begin
        yield compared, ""
        for name, (was, now) in numbers.items():
            for different in differences(float(was), float(now)):
                yield compared, f"step {t}: {name} was recorded and came out as {different.why}"
        if check != recorded:
            where = leaves_shown(state, check, recorded)
            yield compared, f"step {t}: the state after it is not the recorded one{where}"
            yield from ((compared, text) for text in _against_stored(history, state, t, end))
            return


def _against_stored(history: History, state: Any, t: int, end: int) -> Iterator[str]:
    """What differs at the next stored state, after a step has come out differently."""
    if end not in history.snapshots:
        return
    for _, (_, following) in zip(range(t + 1, end), advance(history.program, state, t + 1), strict=False):
        state = following
    for i, different in enumerate(differences(history.reader.load_snapshot(end, history.classes), state)):
        if i >= _DIFFERENT_LEAVES:
            return
        yield f"after {end} steps: {different} (stored, and computed again)"
