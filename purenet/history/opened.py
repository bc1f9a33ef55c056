"""`History`: a recorded run as a sequence of states, of which any is loaded or computed again when it is asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from operator import index
from pathlib import Path
from typing import Any, NoReturn, overload

import attrs
import numpy as np

from purenet import tree
from purenet.errors import (
    ArgumentError,
    DtypeError,
    EnvironmentWarning,
    PurenetError,
    ReplayError,
    StepError,
    StorageError,
    count,
)
from purenet.fingerprint import Environment, environment, from_json
from purenet.history.check import leaves_that_differ, state_check
from purenet.history.files import check_path
from purenet.history.reader import HistoryReader
from purenet.history.recipe import ARRAYS, build
from purenet.history.run import Program, Run, advance, program_of, start_of
from purenet.records import Array, fields_of, frozen
from purenet.safetensors import PathLike

DECISIVE = (
    *("purenet", "numpy", "machine", "c_library", "simd"),
    *("blas", "blas_version", "blas_configuration", "blas_kernel", "blas_threads"),
)
"""What in an environment the bits of native arithmetic can depend on."""


class History(Sequence[Any]):
    """A recorded run, opened: `history[t]` is the state after t steps, bit for bit, whether it is stored or not.

    A state that is not stored is computed again from the nearest one before it, and compared with the journal. Opened
    while it is being written, a history shows what had been written; open it again to see more. Stored states may be
    removed meanwhile. It keeps nothing that it computed, and may be used by several threads.

    Attributes:
        path: its folder, as it was named; where the process goes afterwards makes no difference.
        steps: how many steps have been taken; `len(history)` is one more.
        start: the number of the first step that it holds itself; a fork finds those before it in its parent.
        snapshots: after which steps the state is stored.
        digest: what identifies it, and what forks name it by.

    Example:
        >>> import pathlib, tempfile
        >>> import numpy as np
        >>> import purenet as pn
        >>> data = pn.Dataset(np.ones((4, 1)), 3 * np.ones((4, 1)))
        >>> objective = pn.objective(pn.losses.mean_squared_error)
        >>> run = pn.Run(pn.Dense(np.zeros((1, 1))), objective, pn.sgd(0.25), pn.Batches(data, size=None), steps=3)
        >>> history = pn.record(run, pathlib.Path(tempfile.mkdtemp(), "first"))
        >>> history.losses.tolist(), history[2].net.weight.tolist(), [state.step for state in history[1:]]
        ([9.0, 2.25, 0.5625], [[2.25]], [1, 2, 3])
    """

    def __init__(
        self,
        reader: HistoryReader,
        given: Program | None,
        classes: tuple[Any, ...],
        parent: History | PathLike | None,
    ) -> None:
        self.path, self.reader = reader.path, reader
        self.start, self.steps = reader.start, reader.stop
        self.snapshots = tuple(reader.snapshots)
        self.digest = reader.digest
        self.classes, self.given, self._parent = classes, given, parent

    def __len__(self) -> int:
        return self.steps + 1

    @overload
    def __getitem__(self, t: int) -> Any: ...
    @overload
    def __getitem__(self, t: slice) -> States: ...
    def __getitem__(self, t: int | slice) -> Any:
        if isinstance(t, slice):
            return States(self, range(*t.indices(len(self))))
        return self._seek(position(t, self.steps))

    def __iter__(self) -> Iterator[Any]:
        return iter(self[:])

    def __repr__(self) -> str:
        manifest = self.reader.manifest
        parts = [count(self.steps, "step"), count(len(self.snapshots), "snapshot")]
        planned = manifest.get("steps")
        if isinstance(planned, int) and self.steps < planned:
            parts[0] = f"{self.steps} of {planned} steps"
        if len(self.reader.losses):
            parts.append(f"last loss {self.reader.losses[-1]:.6g}")
        parts += [str(manifest["arithmetic"])] if "arithmetic" in manifest else []
        parts += [f"a fork that begins after {self.start}"] if self.is_fork else []
        return f"<History {str(self.path)!r}: {', '.join(parts)}>"

    @property
    def losses(self) -> Array:
        """The loss that each step computed, float64; for a fork, with those of its parent before it."""
        return self.whole(lambda reader: reader.losses, np.nan)

    @property
    def metrics(self) -> dict[str, Array]:
        """The metrics of each step by their names, float64; NaN for steps of a parent that did not have one."""
        return {
            name: self.whole(lambda reader, name=name: reader.metrics.get(name), np.nan)  # type: ignore[misc]
            for name in self.reader.metrics
        }

    @property
    def checks(self) -> Array:
        """The check of the state after each step, a row of 16 bytes (see docs/history-format.md)."""
        return self.whole(lambda reader: reader.checks, 0)

    @cached_property
    def run(self) -> Run | None:
        """The run, with its data; None if only states were recorded (`pn.record_states`)."""
        return build(self.reader, self.classes) if "run" in self.reader.manifest else None

    @cached_property
    def environment(self) -> Environment:
        """What it was recorded on."""
        return from_json(self.reader.manifest.get("environment"))

    @property
    def trees(self) -> tuple[str, ...]:
        """The names of what it holds beside its states (`pn.record(..., trees=...)`)."""
        return tuple(sorted(set(self.reader.manifest["files"]) - {ARRAYS}))

    def load(self, name: str) -> Any:
        """What it holds under a name beside its states.

        Raises:
            ArgumentError: if there is nothing of that name.
            StorageError: if it is damaged.
        """
        return self.reader.load(name, self.classes)

    @property
    def is_fork(self) -> bool:
        """Whether it begins in another history."""
        return self.reader.manifest.get("parent") is not None

    @cached_property
    def parent(self) -> History | None:
        """The history that this one is a fork of, opened; None if it is not a fork.

        Raises:
            StorageError: if it is not where it was, or is another one.
        """
        if not self.is_fork:
            return None
        return _open_parent(self.reader, self._parent, self.classes)

    @cached_property
    def program(self) -> Program:
        """The step and the batches that the states come from."""
        if self.given is not None:
            return self.given
        if self.run is None:
            problem = "it holds states alone; to compute others, open it with the step and the batches that made them"
            raise ReplayError(f"{problem}: pn.open_history(path, step=step, batches=batches)", path=str(self.path))
        return program_of(self.run)

    def reopened(self) -> History:
        """The same history as it is on the disk now."""
        reader = attrs.evolve(HistoryReader.open(self.reader.folder), path=self.path)
        return History(reader, self.given, self.classes, self._parent)

    def whole(self, part: Callable[[HistoryReader], Array | None], missing: Any) -> Array:
        """A column of the journal from step 0 on: of the parents first, then its own."""
        own = part(self.reader)
        own = np.full(self.steps - self.start, missing) if own is None else own
        if self.start == 0 or self.parent is None:
            return own
        before = self.parent.whole(part, missing)[: self.start]
        joined: Array = frozen(np.concatenate([before, own]))
        return joined

    def nearest(self, t: int) -> tuple[int, Any]:
        """The last stored state at or before step t, with its number; the start, if there is none."""
        for step in reversed([step for step in self.snapshots if step <= t]):
            try:
                return step, self.reader.load_snapshot(step, self.classes)
            except StorageError:
                if step == self.start or not self.reader.lacks(step):
                    raise  # what was pruned since this was opened can be computed
        if self.run is None or self.is_fork:
            raise StorageError("the state that it starts from is not stored", path=str(self.path))
        return 0, start_of(self.run)

    def states(self, begin: int, state: Any, end: int) -> Iterator[tuple[int, Any]]:
        """The states after `begin` + 1 to `end` steps, computed from the one after `begin`, each with its number.

        Raises:
            ReplayError: if one is not the recorded one.
        """
        if begin >= end:
            return
        self.warn_of_environment()
        checks = self.reader.checks
        for t, (_, following) in zip(range(begin, end), advance(self.program, state, begin), strict=False):
            recorded = checks[t - self.start].tobytes()
            check = state_check(following)
            if check != recorded:
                self._refuse(t, following, check, recorded)
            yield t + 1, following

    @cached_property
    def changed_environment(self) -> tuple[str, ...]:
        """In what this machine differs from the one of the recording, as far as its bits depend on it."""
        if self.reader.manifest.get("arithmetic", "native") != "native":
            return ()
        here = environment()
        names = fields_of(Environment).names
        there = {name: getattr(self.environment if name in DECISIVE else here, name) for name in names}
        return Environment(**there).differences(here)

    def warn_of_environment(self) -> None:
        """Warn, with an `EnvironmentWarning`, if native arithmetic may give other bits here than it did."""
        changed = self.changed_environment
        if changed:
            from warnings import warn

            text = f"{self.path}: recorded in native arithmetic elsewhere; its steps may have other bits here. "
            warn(text + "Recorded and here: " + "; ".join(changed), EnvironmentWarning, stacklevel=_level_outside())

    def _seek(self, t: int) -> Any:
        if t < self.start and self.parent is not None:
            return self.parent[t]
        begin, state = self.nearest(t)
        for _, following in self.states(begin, state, t):
            state = following
        return state

    def _refuse(self, t: int, state: Any, check: bytes, recorded: bytes) -> NoReturn:
        where = leaves_shown(state, check, recorded)
        changed = self.changed_environment
        why = "; recorded and here: " + "; ".join(changed) if changed else ""
        advice = f"the states after {list(self.snapshots)!r:.80} steps are stored"
        raise ReplayError(f"step {t} does not give the recorded bits here{where}{why}; {advice}", path=str(self.path))


class States(Sequence[Any]):
    """Some of the states of a history, in order; each is loaded or computed when it is asked for, and not kept."""

    def __init__(self, history: History, numbers: range) -> None:
        self.history, self.numbers = history, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, i: int) -> Any: ...
    @overload
    def __getitem__(self, i: slice) -> States: ...
    def __getitem__(self, i: int | slice) -> Any:
        if isinstance(i, slice):
            return States(self.history, self.numbers[i])
        return self.history[self.numbers[position(i, len(self) - 1)]]

    def __iter__(self) -> Iterator[Any]:
        """The states, each computed from the last where that is the shortest way."""
        at, state = -1, None
        for t in self.numbers:
            history: History = self.history
            while t < history.start and history.parent is not None:
                history = history.parent
            is_ahead = t > at + 1 and any(at < step <= t for step in history.snapshots)
            if not history.start <= at <= t:
                at, state = history.nearest(t)
            elif is_ahead:
                at, state = max((at, state), history.nearest(t), key=lambda found: found[0])  # it may be pruned now
            for _, following in history.states(at, state, t):
                state = following
            at = t
            yield state

    def __repr__(self) -> str:
        return f"<{len(self)} states of {self.history!r}>"


def open_history(
    path: PathLike,
    *,
    step: Callable[[Any, Any], Any] | None = None,
    batches: Any = None,
    classes: Iterable[Any] = (),
    parent: History | PathLike | None = None,
) -> History:
    """Open a recorded run. It takes milliseconds, however long the run, and runs nothing that the files name.

    Args:
        path: the folder of the history.
        step, batches: for a history of states alone (`pn.record_states`), what made them: `step(state, batch)`, and
            something with `at(t)`, or a function of t, for batch t.
        classes: records and functions of one's own that it may name, besides the registered ones.
        parent: the history that this one was forked from, or its path, if it is not where it was.

    Raises:
        StorageError: if there is no history, or it is damaged.

    Example:
        >>> import purenet as pn
        >>> pn.open_history("no/such/folder")
        Traceback (most recent call last):
        purenet.errors.StorageError: no/such/folder: there is no such folder, and so no history
    """
    if (step is None) != (batches is None):
        raise ArgumentError("pass both, step and batches, or neither", path="open_history")
    if step is not None and not (callable(batches) or callable(getattr(batches, "at", None))):
        problem = f"expected something with at(t), or a function of t, got {type(batches).__name__}"
        raise DtypeError(f"{problem}; an iterator cannot go back", path="open_history.batches")
    check_path("open_history.path", path)
    if parent is not None and not isinstance(parent, History):
        check_path("open_history.parent", parent)
        parent = Path(parent).absolute()
    given = None if step is None else Program(step, batches)
    return History(HistoryReader.open(path), given, tuple(classes), parent)


def as_history(value: Any, place: str) -> History:
    """A history, opened if it is given by its path."""
    if isinstance(value, History):
        return value
    if isinstance(value, str | os.PathLike):
        return open_history(value)
    raise DtypeError(f"expected a history or its path, got {type(value).__name__}", path=place)


def leaves_shown(state: Any, check: bytes, recorded: bytes) -> str:
    """Where a state differs from the recorded one, as far as their checks tell: ` in net.weight`; else nothing."""
    names = tree.paths(state)
    found = [names[i] for i in leaves_that_differ(check, recorded, len(names))]
    return f" in {', '.join(found[:3])}{' and others' if len(found) > 3 else ''}" if found else ""


def position(t: Any, last: int) -> int:
    """A number from 0 to `last` of an index, which counts from the end where it is negative."""
    try:
        number = index(t)
    except TypeError:
        raise DtypeError(f"expected an integer or a slice, got {t!r:.60}", path="history[t]") from None
    found = number + last + 1 if number < 0 else number
    if not 0 <= found <= last:
        raise StepError(f"there are the states 0 to {last}, got {number}", path="history[t]")
    return found


def _open_parent(reader: HistoryReader, given: History | PathLike | None, classes: tuple[Any, ...]) -> History:
    """The parent of a fork, wherever it is, if it is the same as when the fork was made."""
    about, here = reader.manifest["parent"], str(reader.path)
    names = {"absolute": str, "chain": str, "digest": str, "path": str, "step": int}
    if not isinstance(about, dict) or {name: type(value) for name, value in about.items()} != names:
        raise StorageError("its manifest names a parent in a way that purenet does not write", path=here)
    hints = [(reader.folder, about["path"]), (about["absolute"],)] if given is None else [(given,)]
    problems = []
    for hint in hints:
        try:
            found = hint[0]
            if not isinstance(found, History):
                found = History(HistoryReader.open(os.path.realpath(Path(*hint))), None, classes, None)
            if found.digest != about["digest"] or chain_at(found, about["step"]) != about["chain"]:
                raise StorageError("it is another history", path=str(found.path))
        except (PurenetError, OSError, ValueError) as error:  # also of names that no file can have
            problems.append(f"{error!s:.300}")
        else:
            return found
    advice = "name its place, pn.open_history(path, parent=...), or put it back"
    problem = f"it is a fork of {about['absolute']:.300} ({about['digest']:.16}), which is missing: {problems[0]}"
    raise StorageError(f"{problem}; {advice}", path=here)


def _level_outside() -> int:
    """The level in the stack, seen from the caller, of the first frame that is not purenet's."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "purenet":
        frame, level = frame.f_back, level + 1
    return level


def chain_at(history: History, t: int) -> str:
    """The value that stands for the first t steps of a history, in hexadecimal; empty where it begins."""
    if t == history.start:
        return ""
    if not history.start < t <= history.steps:
        raise StepError(f"it has the steps {history.start} to {history.steps}, not {t}", path=str(history.path))
    value: str = history.reader.chain[t - 1 - history.start].tobytes().hex()
    return value
