"""`diff`: how two histories differ: their runs, data and environments, and the first step at which their bits part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from purenet import tree
from purenet.arithmetic.modes import Native
from purenet.canonical import Difference, differences
from purenet.errors import PurenetError
from purenet.history.check import leaves_that_differ, state_check
from purenet.history.opened import History, as_history
from purenet.history.run import Program, Run, advance
from purenet.keys import fold_in
from purenet.optimizers.part import portable_parts
from purenet.records import assemble, fields_of, static, struct
from purenet.registry import has_name, name_of
from purenet.safetensors import PathLike
from purenet.training import make_step
from purenet.transforms.portability.function import portable
from purenet.transforms.reverse import value_and_grad
from purenet.walk import same_static

_DATA = "batches.dataset"
MOST_SHOWN = 12


@struct
class Comparison:
    """In what two histories differ: true if their runs, data or bits do; printed, it says in what.

    Attributes:
        runs: the fields of the runs that differ, with their paths.
        data: the arrays of the data that differ.
        environments: what was different where they were recorded.
        step: the step that gives the first different bits; None if there is none.
        part: where in that step they part: `start`, `batch`, `loss`, `gradient`, `update` or `state`; or `recording`,
            if both give the same bits now, and did not when they were recorded.
        leaf: the path of the first leaf that differs there; empty if it cannot be told.
        why: how it differs.
        cause: what makes the difference, in words.
    """

    runs: tuple[str, ...] = static(default=())
    data: tuple[str, ...] = static(default=())
    environments: tuple[str, ...] = static(default=())
    step: int | None = static(default=None)
    part: str = static(default="")
    leaf: str = static(default="")
    why: str = static(default="")
    cause: str = static(default="")
    compared: int = static(default=0)

    def __bool__(self) -> bool:
        return bool(self.runs or self.data or self.step is not None)

    def __str__(self) -> str:
        lines = []
        parts = {"run": self.runs, "data": self.data, "environment": self.environments}
        for title, found in parts.items():
            shown = [*found[:MOST_SHOWN], *([f"and {len(found) - MOST_SHOWN} more"] if len(found) > MOST_SHOWN else [])]
            lines += [f"{title}: {line}" for line in shown]
        if self.step is None:
            return "\n".join([*lines, f"the same bits in all {self.compared} steps that both have"])
        where = f"step {self.step} {'starts from another state' if self.part == 'start' else 'gives different bits'}"
        leaf = f"{self.leaf}: {self.why}" if self.leaf else self.why
        before = f"; the {self.step} steps before it are the same" if self.step else ""
        return "\n".join(
            [*lines, f"{where}{before}", f"first different: {self.part} {leaf}".rstrip(), f"cause: {self.cause}"]
        )


class Found(NamedTuple):
    """Where two executions of a step part."""

    part: str
    leaf: str
    why: str
    cause: str


def diff(a: History | PathLike, b: History | PathLike) -> Comparison:
    """Compare two histories: what was run, on what, and the first step, leaf and bit in which their states differ.

    The step is found by the checks in the journals. It alone is executed again, for both, to see which part of it
    differs first: the batch, the loss, the gradient, the update or the new state.

    Args:
        a, b: two histories, or their paths.

    Returns:
        A record that is true if the runs, their data or their bits differ, and prints in what.

    Raises:
        StorageError: if a history is damaged, or the parent of a fork is missing.

    Example:
        >>> import pathlib, tempfile
        >>> import numpy as np
        >>> import purenet as pn
        >>> data = pn.Dataset(np.ones((4, 1)), 3 * np.ones((4, 1)))
        >>> objective = pn.objective(pn.losses.mean_squared_error)
        >>> run = pn.Run(pn.Dense(np.zeros((1, 1))), objective, pn.sgd(0.25), pn.Batches(data, size=None), steps=6)
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> history = pn.record(run, folder / "first")
        >>> found = pn.diff(history, pn.fork(history, 4, folder / "second", optimizer=pn.sgd(0.125)))
        >>> found.step, found.part, found.leaf
        (4, 'update', 'weight')
    """
    first, second = as_history(a, "diff.a"), as_history(b, "diff.b")
    compared = min(first.steps, second.steps)
    known = _outside(first, second, compared)
    step = _first_different(first, second, compared)
    if step is None:
        return known
    found = _at_start(first, second, step) or _inside(_holder(first, step), _holder(second, step), step)
    whole = {name: getattr(known, name) for name in fields_of(Comparison).names}
    return assemble(Comparison, {**whole, "step": step, **found._asdict()})


def _outside(a: History, b: History, compared: int) -> Comparison:
    """In what two histories differ, apart from their bits. How many steps were planned makes no difference."""
    found = [] if a.run is None or b.run is None else list(run_differences(a.run, b.run))
    runs = tuple([line for line in found if not line.startswith((_DATA, "steps:"))])
    data = tuple([line for line in found if line.startswith(_DATA)])
    return Comparison(runs, data, a.environment.differences(b.environment), compared=compared)


def run_differences(a: Run, b: Run) -> Iterator[str]:
    """In what two runs differ, in words: a line for each place, functions by their names."""
    for found in differences(a, b):
        if found.path == "metrics":
            ours, theirs = dict(a.metrics), dict(b.metrics)
            names = [name for name in {**ours, **theirs} if not same_static(ours.get(name), theirs.get(name))]
            yield from [f"metrics[{name!r}]: {_shown(ours.get(name))} and {_shown(theirs.get(name))}" for name in names]
            if not names:
                yield f"metrics: in the order {', '.join(ours)} and {', '.join(theirs)}"
        elif has_name(found.left) or has_name(found.right):
            yield f"{found.path}: {_shown(found.left)} and {_shown(found.right)}"
        else:
            yield str(found)


def _shown(value: Any) -> str:
    return name_of(value) if has_name(value) else f"{value!r:.80}"


def _holder(history: History, t: int) -> History:
    """The history that holds step t: this one, or the one of its ancestors that it was forked from after that step."""
    while t < history.start and history.parent is not None:
        history = history.parent
    return history


def _first_different(a: History, b: History, count: int) -> int | None:
    """The first step after which the states differ, or the one before which they do, where a run starts; or None."""
    is_other = (a.checks[:count] != b.checks[:count]).any(axis=1)
    losses = [np.ascontiguousarray(one.losses[:count]).view(np.uint64) for one in (a, b)]
    different = np.flatnonzero(is_other | (losses[0] != losses[1]))
    first = int(different[0]) if len(different) else None
    for start in sorted({a.start, b.start}):
        if (first is None or start <= first) and start <= count and next(_start_differences(a, b, start), None):
            return start
    return first


def _start_differences(a: History, b: History, t: int) -> Iterator[Difference]:
    """In what the states after t steps differ, of which at least one is the start of its history."""
    if a.start == t == b.start or t == 0:
        return differences(a[t], b[t])
    started, other = (a, b) if a.start == t else (b, a)
    state = started[t]
    if state_check(state) == other.checks[t - 1].tobytes():
        return iter(())
    return differences(other[t], state) if other is a else differences(state, other[t])


def _at_start(a: History, b: History, step: int) -> Found | None:
    if step not in (a.start, b.start):
        return None
    found = next(_start_differences(a, b, step), None)
    if found is None:
        return None
    part = found.path.partition(".")[0].partition("[")[0]
    cause = {"net": "the parameters are different", "optimizer": "the optimizer's state is different"}
    return Found("start", found.path, found.why, f"{cause.get(part, 'the state is different')} where the run starts")


def _inside(a: History, b: History, step: int) -> Found:
    """Where in a step two histories part that had the same state before it."""
    known = _outside(a, b, step)
    state, problem = _common_state(a, b, step)
    if state is not None and a.run is not None and b.run is not None:
        found = _execute_both(a.run, b.run, state, a.program, b.program)
        if found is not None:
            return _with_cause(found, known)
    return _as_recorded(a, b, step, state, known, problem)


def _common_state(a: History, b: History, step: int) -> tuple[Any, str]:
    """The state before a step, from whichever history gives it with the recorded bits."""
    problem = ""
    for history in (a, b):
        try:
            return history[step], ""
        except PurenetError as error:
            problem = str(error)
    return None, problem


def _execute_both(a: Run, b: Run, state: Any, ours: Program, theirs: Program) -> Found | None:
    """Execute one step of both runs from one state, part by part, until one differs."""
    pairs = zip(_parts(a, state, ours), _parts(b, state, theirs), strict=True)
    for (part, left), (_, right) in pairs:
        found = next(differences(left, right), None)
        if found is not None:
            return Found(part, found.path, found.why, "")
    return None


def _parts(run: Run, state: Any, program: Program) -> Iterator[tuple[str, Any]]:
    """What a step computes, in order."""
    batch = run.batches.at(state.step)
    yield "batch", batch
    step = make_step(run.objective, run.optimizer)
    function, optimizer = value_and_grad(run.objective), run.optimizer
    if not isinstance(run.arithmetic, Native):
        function = portable(function, slices=run.arithmetic.slices)
        optimizer = portable_parts(optimizer, run.arithmetic)
    key = None if state.key is None else fold_in(state.key, state.step)
    if key is None or step.key_by is None:
        loss, gradient = function(state.net, batch)
    elif step.key_by == "name":
        loss, gradient = function(state.net, batch, key=key)
    else:
        loss, gradient = function(state.net, batch, key)
    yield "loss", loss
    yield "gradient", gradient
    yield "update", optimizer.update(gradient, state.optimizer, state.net, state.step)[0]
    yield "state", program.step(state, batch)


def _with_cause(found: Found, known: Comparison) -> Found:
    """Name the difference between the runs that explains where they part."""
    arithmetic = [line for line in known.runs if line.startswith("arithmetic")]
    owners = {
        "batch": ("batches", "the batch is different"),
        "loss": ("objective", "the objective is different"),
        "gradient": ("objective", "the objective is different"),
        "update": ("optimizer", "the optimizer is different"),
        "state": ("optimizer", "the optimizer is different"),
    }
    owner, cause = owners[found.part]
    lines = [line for line in known.runs if line.startswith(owner)]
    if found.part == "batch" and known.data:
        lines, cause = list(known.data), "the batch is different, because the data is"
    elif found.part != "batch" and arithmetic:
        lines, cause = arithmetic, "the arithmetic is different"
    elif not lines:
        lines, cause = (
            list(known.runs),
            "the runs are different" if known.runs else "the step is not a function of its run",
        )
    return found._replace(cause=f"{cause} ({lines[0]})" if lines else cause)


def _as_recorded(a: History, b: History, step: int, state: Any, known: Comparison, problem: str) -> Found:
    """What can be said of a step that is the same here for both, and was not when they were recorded."""
    recorded = [history.checks[step].tobytes() for history in (a, b)]
    after = [_stored(history, step + 1) for history in (a, b)]
    if state is not None:
        computed = _computed(a, state, step) or _computed(b, state, step)
        if computed is not None:
            is_ours = [check == state_check(computed) for check in recorded]
            after = [one if one is not None or not same else computed for one, same in zip(after, is_ours, strict=True)]
            deviant = [str(history.path) for history, same in zip((a, b), is_ours, strict=True) if not same]
            problem = f"executed again here, the step gives other bits than {' and '.join(deviant)} recorded"
    leaf = why = ""
    if recorded[0] == recorded[1]:  # what was computed is the same, and one journal says something else
        leaf, why = "loss", " and ".join([f"{float(history.losses[step])!r}" for history in (a, b)])
    elif after[0] is not None and after[1] is not None:
        found = next(differences(*after), None)
        leaf, why = (found.path, found.why) if found else ("", "")
    elif any(one is not None for one in (*after, state)):
        names = tree.paths(next(one for one in (*after, state) if one is not None))
        marked = leaves_that_differ(recorded[0], recorded[1], len(names))
        leaf = names[marked[0]] if marked else ""
        why = "its bits differ; by how much cannot be told, because the state after the step is not stored"
    native = any(history.reader.manifest.get("arithmetic") == "native" for history in (a, b))
    if native and known.environments:
        cause = f"native arithmetic in different environments ({'; '.join(known.environments)})"
    else:
        cause = "what was recorded is not what the run computes: a bit was changed, or the step uses more than its run"
    return Found("recording", leaf, why, f"{cause}; {problem}" if problem else cause)


def _stored(history: History, t: int) -> Any:
    """The state after t steps, if it is stored."""
    is_there = t in history.snapshots and not history.reader.lacks(t)
    return history.reader.load_snapshot(t, history.classes) if is_there else None


def _computed(history: History, state: Any, step: int) -> Any:
    """The state after a step, executed here, if the history has what executes it."""
    if history.run is None and history.given is None:
        return None
    return next(advance(history.program, state, step))[1]
