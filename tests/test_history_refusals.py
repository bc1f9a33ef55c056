"""What runs and histories refuse: wrong arguments, functions without a name, hostile manifests."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from history_cases import KEY, X, Y, is_small, own_step, run_of

import purenet as pn
from purenet import history as ph
from purenet.arithmetic.modes import Native
from purenet.errors import (
    ArgumentError,
    DtypeError,
    NonFiniteError,
    PurenetError,
    ShapeError,
    StepError,
    StorageError,
    WriteError,
)
from purenet.fingerprint import environment


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"objective": lambda net, batch: 0.0}, ArgumentError, r"Run.objective: .*pn.register"),
        ({"objective": pn.objective(lambda p, t: 0.0)}, ArgumentError, r"Run.objective.loss: .*pn.register"),
        ({"metrics": {"m": lambda state, batch: 0.0}}, ArgumentError, r"Run.metrics: .*pn.register"),
        ({"stop": lambda state: True}, ArgumentError, r"Run.stop: .*pn.register"),
        ({"metrics": {"m": 3}}, DtypeError, "Run.metrics: expected functions"),
        ({"metrics": (("m", is_small), ("m", is_small))}, ArgumentError, "one name"),
        ({"stop": 3}, DtypeError, "Run.stop"),
        ({"steps": -1}, ArgumentError, "Run.steps"),
        ({"batches": pn.Dataset(X, Y)}, DtypeError, "Run.batches: expected a record with the method at"),
        ({"arithmetic": "portable"}, DtypeError, "Run.arithmetic: expected pn.Portable"),
        ({"optimizer": 1e-3}, DtypeError, "make_step.optimizer"),
    ],
)
def test_a_run_says_what_is_wrong_with_it(changes: Any, error: type[Exception], message: str) -> None:
    """What cannot be stored or executed is refused when the run is made."""
    with pytest.raises(error, match=message):
        run_of(**changes)


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    """Every function says which argument is wrong; nothing is left behind."""
    run = run_of(steps=5)
    history = ph.record(run, tmp_path / "run")
    cases: list[tuple[Any, type[Exception], str]] = [
        (lambda: history[6], StepError, "the states 0 to 5, got 6"),
        (lambda: history[-7], StepError, "got -7"),
        (lambda: history[1.5], DtypeError, "expected an integer"),
        (lambda: ph.train(3), DtypeError, "train.run"),
        (lambda: ph.record(3, tmp_path / "x"), DtypeError, "record.run"),
        (lambda: ph.record(run, tmp_path / "x", snapshots=100), ArgumentError, "record.snapshots"),
        (lambda: ph.record(run, tmp_path / "run"), WriteError, "run"),
        (lambda: ph.fork(history, 3, tmp_path / "x", rate=1), ArgumentError, "a run has no 'rate'"),
        (lambda: ph.fork(history, 3, tmp_path / "x", steps=2), ArgumentError, "fork.steps"),
        (lambda: ph.fork(history, 9, tmp_path / "x"), StepError, "got 9"),
        (lambda: ph.record_states([], tmp_path / "x"), ArgumentError, "at least the start"),
        (lambda: ph.open_history(tmp_path / "run", step=own_step), ArgumentError, "both"),
        (lambda: ph.open_history(tmp_path / "x", step=own_step, batches=iter([])), DtypeError, "iterator"),
        (lambda: ph.open_history(tmp_path / "x"), StorageError, "no history"),
        (lambda: ph.verify(history, -1), ArgumentError, "verify.replay"),
        (lambda: ph.verify(history, "some"), ArgumentError, "verify.replay: expected 'all', 'none', or how many"),
        (lambda: ph.verify(history, 1.5), DtypeError, "verify.replay"),
        (lambda: ph.diff(history, 3), DtypeError, "diff.b"),
        (lambda: ph.prune(history, -1), ArgumentError, "prune.budget"),
        (lambda: ph.record(run, 3), DtypeError, "record.path: expected a path, got int 3"),
        (lambda: ph.record(run, tmp_path / "x", progress=3), DtypeError, "record.progress"),
        (lambda: ph.fork(history, 3, None), DtypeError, "fork.path"),
        (lambda: ph.fork(history, 3, tmp_path / "x", progress=3), DtypeError, "fork.progress"),
        (lambda: ph.resume(3), DtypeError, "resume.history"),
        (lambda: ph.resume(history, classes=(int,)), ArgumentError, "resume.history"),
        (lambda: ph.resume(history, 9, progress=3), DtypeError, "resume.progress"),
        (lambda: ph.record_states([{"w": 0.0}], 3), DtypeError, "record_states.path"),
        (lambda: ph.open_history(3), DtypeError, "open_history.path"),
        (lambda: ph.open_history(tmp_path / "run", parent=3), DtypeError, "open_history.parent"),
        (lambda: ph.verify(3), DtypeError, "verify.history"),
        (lambda: ph.prune(3), DtypeError, "prune.history"),
        (lambda: ph.Snapshots(every=0), ArgumentError, "Snapshots.every"),
        (lambda: ph.Snapshots(seconds=0), ArgumentError, "Snapshots.seconds"),
    ]
    for call, error, message in cases:
        with pytest.raises(error, match=message):
            call()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["run"], message
    assert ph.verify(history)


@pn.register("tests.history.vector")
def vector(state: pn.State, batch: Any) -> Any:
    """No metric."""
    return np.ones(2)


@pn.register("tests.history.nothing")
def nothing(state: pn.State, batch: Any) -> Any:
    """No metric either."""


@pn.register("tests.history.no_answer")
def no_answer(state: pn.State) -> Any:
    """A reason to stop that cannot be asked."""
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"net": pn.mlp(KEY, (4, 2))}, ShapeError, None),
        ({"stop": no_answer}, ZeroDivisionError, None),
        ({"metrics": {"two": vector}}, DtypeError, r"Run.metrics\['two'\]: expected a number, got ndarray"),
        ({"metrics": {"none": nothing}}, DtypeError, r"Run.metrics\['none'\]: expected a number, got NoneType"),
    ],
)
def test_a_first_step_that_fails_leaves_nothing(
    changes: Any, error: type[Exception], message: str | None, tmp_path: Path
) -> None:
    """Neither of a run nor of a fork, so that the mended one can be written in the same place."""
    history = ph.record(run_of(steps=5), tmp_path / "run")
    for write in (
        lambda: ph.record(run_of(steps=5, **changes), tmp_path / "x"),
        lambda: ph.fork(history, 2, tmp_path / "x", **changes),
    ):
        with pytest.raises(error, match=message):
            write()
        assert [path.name for path in tmp_path.iterdir()] == ["run"]
    with pytest.raises(ZeroDivisionError):
        ph.record_states(({"w": 1.0 / n} for n in (1, 0)), tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_loss_that_is_not_finite_ends_the_recording(tmp_path: Path) -> None:
    """What came before it is there, verified and whole."""
    run = run_of(optimizer=pn.sgd(1e6), steps=400, arithmetic=Native())
    with np.errstate(over="ignore", invalid="ignore"):
        with pytest.raises(NonFiniteError):
            ph.record(run, tmp_path / "run")
        history = ph.open_history(tmp_path / "run")
        assert 0 < history.steps < 400
        assert ph.verify(history)


def test_hostile_manifests_are_refused(tmp_path: Path) -> None:
    """A manifest that someone wrote, digests and all, gives purenet's own errors and builds nothing but a run."""
    from purenet.history.writer import HistoryWriter

    deep: Any = "array"
    for _ in range(300):
        deep = {"tuple": [deep]}
    reference = {"array": "a", "dtype": "F64", "file": "/dev/zero", "offset": 0, "relative": "", "sha256": "0" * 64}
    parent = {"path": "..", "absolute": "x", "digest": "y", "chain": "z", "step": 3}
    here = environment().to_json()
    cases = [
        {"run": deep},
        {"run": {"function": "os.system"}},
        {"run": "array"},
        {"run": 3, "data": [reference]},
        {"run": 3, "data": [{**reference, "shape": [1 << 62]}]},
        {"run": 3, "data": [{**reference, "shape": [4], "file": "a\0b"}]},
        {"run": 3, "data": "all"},
        {"run": 3, "data": 3},
        {"run": 3, "data": {"a": 1}},
        *({"run": 3, "data": [{**reference, "shape": [4], name: "a" * 100_000}]} for name in ("file", "relative")),
        *({"run": None, "parent": {**parent, "path": path, "absolute": path}} for path in ("\0", "b" * 100_000)),
        {"run": None, "parent": {"path": "..", "absolute": "x", "digest": "y", "chain": "z", "step": "0"}},
        {"run": None, "parent": "other"},
        {"run": None, "parent": {"path": "../0", "absolute": "x", "digest": "y", "chain": "z", "step": 10**30}},
    ]
    for i, about in enumerate(cases):
        given = {"environment": here, "snapshots": {"every": "x"}, "parent": None, "data": [], **about}
        HistoryWriter.create(tmp_path / str(i), given, trees={"run": {}}, start=3).close()
        history = ph.open_history(tmp_path / str(i))
        for ask in (
            lambda h: h[0],
            lambda h: h.run and h.run.steps,
            lambda h: h.losses,
            lambda h: ph.resume(h.path, 9),
        ):
            with suppress(PurenetError):
                ask(history)
        repr(history)
        with pytest.raises(PurenetError):
            ph.fork(history, 3, tmp_path / "fork")
