"""`record`, `resume`, `fork` and `record_states`: what writes down the states of a run as they pass."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import Any

import attrs

from purenet import tree
from purenet.arguments import check_count
from purenet.errors import ArgumentError, DtypeError, ReplayError
from purenet.fingerprint import environment
from purenet.history.check import state_check
from purenet.history.files import check_path
from purenet.history.opened import History, as_history, chain_at, open_history, position
from purenet.history.policy import Keeper, Snapshots, as_policy, policy_from_json, policy_to_json
from purenet.history.reader import HistoryReader
from purenet.history.recipe import ARRAYS, describe, relative_path
from purenet.history.run import Program, Run, advance, loss_of, program_of, start_of
from purenet.history.writer import HistoryWriter
from purenet.records import fields_of
from purenet.safetensors import PathLike
from purenet.training import State
from purenet.tree import same_structure

Progress = Callable[[Any], object]
Steps = Iterator[tuple[Any, tuple[float, ...], bool]]
"""States as they come, each with its metrics, and whether the run stops there."""


def record(
    run: Run,
    path: PathLike,
    *,
    snapshots: Snapshots | None = None,
    trees: Mapping[str, Any] = MappingProxyType({}),
    progress: Progress | None = None,
) -> History:
    """Go through a run and write it down: every loss, metric and check, and some of the states.

    The folder appears with the first step and grows with the run; if that step fails, there is none. A process that is
    killed loses the steps of the last quarter of a second; `resume` goes on from there, and ends on the same bits.

    Args:
        run: the run.
        path: a folder that is not there yet, or is empty.
        snapshots: which states are stored; by default one about every second, thinned out beyond 1 GiB.
        trees: what belongs to the history beside its states, by names in small letters, such as the scales of the data:
            trees that `pn.save` takes. `history.load(name)` has them again, and forks inherit them.
        progress: called with every state after it was written down.

    Returns:
        The history, opened.

    Raises:
        DtypeError: if a metric gives no number.
        WriteError: if it cannot be written; what was written stays, and can be resumed.
        NonFiniteError: in the step whose loss is NaN or infinite; what came before is written.

    Example:
        >>> import pathlib, tempfile
        >>> import numpy as np
        >>> import purenet as pn
        >>> data = pn.Dataset(np.ones((4, 1)), 3 * np.ones((4, 1)))
        >>> objective = pn.objective(pn.losses.mean_squared_error)
        >>> run = pn.Run(pn.Dense(np.zeros((1, 1))), objective, pn.sgd(0.25), pn.Batches(data, size=None), steps=3)
        >>> pn.record(run, pathlib.Path(tempfile.mkdtemp(), "first")).losses
        array([9.    , 2.25  , 0.5625])
    """
    if not isinstance(run, Run):
        raise DtypeError(f"expected a pn.Run, got {type(run).__name__}", path="record.run")
    policy = as_policy(snapshots or Snapshots(), "record")
    place = _checked_place("record", path, progress)
    start = start_of(run)
    steps = _steps(program_of(run), start, 0, run.steps)
    with _create(run, place, policy, trees) as writer:
        _write(writer, policy, steps, start, progress)
    return _opened(place, path)


def resume(
    history: History | PathLike,
    steps: int | None = None,
    *,
    step: Callable[[Any, Any], Any] | None = None,
    batches: Any = None,
    classes: Iterable[Any] = (),
    snapshots: Snapshots | None = None,
    progress: Progress | None = None,
) -> History:
    """Go on with a run where its history ends, up to the planned number of steps or to `steps`.

    The history is then the one of a run that was never interrupted. Where there is nothing left to do, nothing is done:
    so it is where the run's `stop` has ended it, whatever `steps` says; a fork with another `stop` goes on from there.

    Args:
        history: the history or its path.
        steps: how many steps the history shall have in the end, more than planned or fewer.
        step, batches, classes: as for `open_history`, if it is given by its path.
        snapshots: another policy than the one that it was recorded with.
        progress: as for `record`.

    Raises:
        ReplayError: if it was recorded in native arithmetic elsewhere, or a state does not come out as recorded.
        StorageError: if it is damaged.
        WriteError: if someone else is writing it.

    Example:
        >>> import pathlib, tempfile
        >>> import numpy as np
        >>> import purenet as pn
        >>> data = pn.Dataset(np.ones((4, 1)), 3 * np.ones((4, 1)))
        >>> objective = pn.objective(pn.losses.mean_squared_error)
        >>> run = pn.Run(pn.Dense(np.zeros((1, 1))), objective, pn.sgd(0.25), pn.Batches(data, size=None), steps=3)
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> history = pn.record(run, folder / "first")
        >>> pn.resume(folder / "first", steps=5).losses
        array([9.       , 2.25     , 0.5625   , 0.140625 , 0.03515625])
    """
    opening: dict[str, Any] = {"step": step, "batches": batches, "classes": tuple(classes)}
    if not isinstance(history, History):
        check_path("resume.history", history)
        history = open_history(history, **opening)
    elif opening != {"step": None, "batches": None, "classes": ()}:
        raise ArgumentError("an open history has its step, batches and classes; pass its path", path="resume.history")
    _check_progress("resume", progress)
    with HistoryWriter.reopen(history.reader.folder) as writer:
        history = history.reopened()
        run = history.run
        planned = run.steps if run is not None else history.steps
        end = planned if steps is None else check_count("resume.steps", steps, at_least=0)
        policy = as_policy(snapshots or policy_from_json(history.reader.manifest.get("snapshots")), "resume")
        if history.steps < end:
            if run is not None and history.changed_environment:
                changed = "; ".join(history.changed_environment)
                problem = (
                    f"recorded in native arithmetic elsewhere; going on here would mix the bits of two ({changed})"
                )
                raise ReplayError(f"{problem}; fork it instead: pn.fork(path, -1, new_path)", path=str(history.path))
            program, state = history.program, history[-1]
            is_over = program.stop is not None and history.steps > history.start and program.stop(state)
            if not is_over:
                _write(writer, policy, _steps(program, state, writer.stop, end), state, progress)
    return history.reopened()


def fork(
    history: History | PathLike,
    t: int,
    path: PathLike,
    *,
    snapshots: Snapshots | None = None,
    progress: Progress | None = None,
    **changes: Any,
) -> History:
    """Go on from any state of a history with something changed, and write that down as a history of its own.

    The fork knows its parent, where it finds the states before step `t`; it stores the one that it starts from, so that
    it can go on alone. The state of the optimizer is kept if that of a changed one has the same form, and begins anew
    if not.

    Args:
        history: the parent, or its path.
        t: after how many steps to leave it; negative counts from the end.
        path: a folder that is not there yet, or is empty.
        snapshots, progress: as for `record`.
        changes: the fields of the run that are different: `optimizer`, `batches`, `objective`, `net`, `steps`, ...

    Raises:
        ArgumentError: if a run has no such field, or ends before `t`.
        StepError: if there is no state `t`.

    Example:
        >>> import pathlib, tempfile
        >>> import numpy as np
        >>> import purenet as pn
        >>> data = pn.Dataset(np.ones((4, 1)), 3 * np.ones((4, 1)))
        >>> objective = pn.objective(pn.losses.mean_squared_error)
        >>> run = pn.Run(pn.Dense(np.zeros((1, 1))), objective, pn.sgd(0.25), pn.Batches(data, size=None), steps=3)
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> history = pn.record(run, folder / "first")
        >>> pn.fork(history, 1, folder / "second", optimizer=pn.sgd(0.125), steps=4).losses
        array([9.        , 2.25      , 1.265625  , 0.71191406])
    """
    parent = as_history(history, "fork.history")
    at = position(t, parent.steps)
    if parent.run is None:
        raise ArgumentError("it holds states alone, no run to go on with", path="fork.history")
    unknown = sorted(set(changes) - set(fields_of(Run).names))
    if unknown:
        raise ArgumentError(f"a run has no {unknown[0]!r}, only {', '.join(fields_of(Run).names)}", path="fork.changes")
    run = Run(**{**_values(parent.run), **changes})
    if run.steps < at:
        problem = f"it would end after {run.steps} steps, before it begins at {at}; pass steps="
        raise ArgumentError(problem, path="fork.steps")
    policy = as_policy(snapshots or Snapshots(), "fork")
    place = _checked_place("fork", path, progress)
    state = _changed_start(parent[at], run, changes)
    trees = {name: parent.load(name) for name in parent.trees}
    lineage = _lineage(parent, at, place)
    steps = _steps(program_of(run), state, at, run.steps)
    with _create(run, place, policy, trees, parent=lineage, start=at, state=state) as writer:
        _write(writer, policy, steps, state, progress)
    return _opened(place, path, parent.classes)


def record_states(states: Iterable[Any], path: PathLike, *, snapshots: Snapshots | None = None) -> History:
    """Write down states that come from a step function of one's own, the start state first.

    A state is any tree that `pn.save` takes. Its loss is its attribute or entry `loss`, NaN where it has none. To
    compute again what is not stored, open the history with what made the states:
    `pn.open_history(path, step=step, batches=batches)`.

    Args:
        states: such as `toolz.accumulate(step, batches, start)`; it has to end.
        path: a folder that is not there yet, or is empty.
        snapshots: which states are stored, as for `record`.

    Raises:
        ArgumentError: if there is no state at all.
        WriteError: if it cannot be written.

    Example:
        >>> import pathlib, tempfile
        >>> from itertools import accumulate
        >>> import numpy as np
        >>> import purenet as pn
        >>> def step(state, batch):
        ...     return {"w": state["w"] + batch, "loss": float(batch)}
        >>> states = accumulate([1.0, 2.0, 3.0], step, initial={"w": np.zeros(2), "loss": 0.0})
        >>> path = pathlib.Path(tempfile.mkdtemp(), "own")
        >>> pn.record_states(states, path).losses
        array([1., 2., 3.])
        >>> pn.open_history(path, step=step, batches=lambda t: t + 1.0)[2]["w"]
        array([3., 3.])
    """
    policy = as_policy(snapshots or Snapshots(), "record_states")
    place = _checked_place("record_states", path, None)
    following = iter(states)
    try:
        start = next(following)
    except StopIteration:
        raise ArgumentError("expected at least the start state, got none", path="record_states.states") from None
    about = {"arithmetic": "native", "parent": None, **_common(policy)}
    steps = _begun((state, (), False) for state in following)
    with HistoryWriter.create(place, about, state=start) as writer:
        _write(writer, policy, steps, start)
    return _opened(place, path)


def _create(
    run: Run,
    path: PathLike,
    policy: Snapshots,
    trees: Mapping[str, Any] = MappingProxyType({}),
    *,
    parent: Any = None,
    start: int = 0,
    state: Any = attrs.NOTHING,
) -> HistoryWriter:
    if ARRAYS in trees:
        raise ArgumentError(f"{ARRAYS!r} is the name of the run itself; choose another", path="record.trees")
    about, arrays = describe(run, path)
    names = [name for name, _ in run.metrics]
    everything = {**about, "parent": parent, **_common(policy)}
    return HistoryWriter.create(
        path, everything, metrics=names, start=start, trees={**trees, ARRAYS: arrays}, state=state
    )


def _common(policy: Snapshots) -> dict[str, Any]:
    return {"environment": environment().to_json(), "snapshots": policy_to_json(policy)}


def _checked_place(function: str, path: PathLike, progress: Progress | None) -> Path:
    """Where to write, from the root: the work may change the folder that the process is in."""
    check_path(f"{function}.path", path)
    _check_progress(function, progress)
    return Path(path).absolute()


def _check_progress(function: str, progress: Progress | None) -> None:
    if progress is not None and not callable(progress):
        raise DtypeError(f"expected a function of the state, got {progress!r:.60}", path=f"{function}.progress")


def _opened(place: Path, path: PathLike, classes: tuple[Any, ...] = ()) -> History:
    """The history that was written in a place, by the name that it was given."""
    return History(attrs.evolve(HistoryReader.open(place), path=Path(path)), None, classes, None)


def _steps(program: Program, state: Any, begin: int, end: int) -> Steps:
    """What steps `begin` to `end` (excluded) give, from the state before them."""
    return _begun(_taken(program, state, begin, end))


def _taken(program: Program, state: Any, begin: int, end: int) -> Steps:
    metrics, stop = program.metrics, program.stop
    for _, (batch, after) in zip(range(begin, end), advance(program, state, begin), strict=False):
        yield after, program.measure(after, batch) if metrics else (), stop is not None and bool(stop(after))


def _begun(steps: Steps) -> Steps:
    """The same steps, of which the first is taken now: if that fails, nothing has been written yet."""
    return chain(list(islice(steps, 1)), steps)


def _write(
    writer: HistoryWriter, policy: Snapshots, steps: Steps, state: Any, progress: Progress | None = None
) -> None:
    """Append a record for each step until the run stops, and store states as the policy says."""
    keeper, append = Keeper(policy, writer), writer.append
    step, every = writer.stop, policy.every or sys.maxsize
    for state, numbers, is_last in steps:
        append(step, loss_of(state), state_check(state), numbers)
        step += 1
        if monotonic() >= keeper.due or not step % every:
            keeper.store(step, state)
        if progress is not None:
            progress(state)
        if is_last:
            break
    if step > writer.start:
        keeper.store(step, state)


def _changed_start(state: State, run: Run, changes: Mapping[str, Any]) -> State:
    """The state that a fork starts from."""
    net = changes.get("net", state.net)
    # Not only a changed optimizer: the state may be of a history before the parent, which had another one.
    fresh, optimizer = run.optimizer.init(net), state.optimizer
    forms = [[(leaf.dtype, leaf.shape) for leaf in tree.leaves(one)] for one in (fresh, optimizer)]
    optimizer = optimizer if same_structure(fresh, optimizer) and forms[0] == forms[1] else fresh
    return State(**{**_values(state), "net": net, "optimizer": optimizer, "key": run.key})


def _lineage(parent: History, at: int, path: PathLike) -> dict[str, Any]:
    """What the manifest of a fork says of its parent."""
    while at < parent.start and parent.parent is not None:
        parent = parent.parent
    folder = os.path.realpath(parent.reader.folder)
    where = {"path": relative_path(folder, path), "absolute": folder}
    return {**where, "digest": parent.digest, "step": at, "chain": chain_at(parent, at)}


def _values(record: Any) -> dict[str, Any]:
    """The fields of a record by their names."""
    return {name: getattr(record, name) for name in fields_of(type(record)).names}
