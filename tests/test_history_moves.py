"""An open history while its world changes: states pruned, folders moved, the process elsewhere, parents gone."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from history_cases import BATCHES, EVERY_7, KEY, X, Y, assert_states, own_batch, own_step, run_of, states_of

import purenet as pn
from purenet import history as ph
from purenet.errors import ReplayError, StorageError


def test_what_is_pruned_meanwhile_is_computed_again(tmp_path: Path) -> None:
    """A history that was open before has every state still, verifies, iterates, is compared, forked and resumed."""
    run = run_of()
    expected = states_of(run)
    history = ph.record(run, tmp_path / "run", snapshots=EVERY_7)
    other = ph.record(run, tmp_path / "other", snapshots=EVERY_7)
    ph.prune(tmp_path / "run")
    assert history.snapshots == (7, 14, 21, 28, 35, 40)
    assert_states(history, expected)
    for begin, stride in ((0, 1), (3, 10), (39, -13)):
        for ours, theirs in zip(history[begin::stride], expected[begin::stride], strict=True):
            assert pn.same_bits(ours, theirs)
    assert ph.verify(history)
    assert not ph.diff(history, other)
    assert pn.same_bits(ph.fork(history, 22, tmp_path / "fork")[-1], expected[-1])
    assert ph.resume(history, 41).steps == 41
    assert ph.prune(history) > 0
    (tmp_path / "run" / "snapshots").rename(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="missing"):
        history[20]


def test_a_relative_path_holds_wherever_the_process_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opened or recorded by a relative path: the process may change its folder, even during the run."""
    expected = states_of(run_of())
    (tmp_path / "deep").mkdir()

    def leave(state: Any) -> None:
        os.chdir(tmp_path / "deep")

    monkeypatch.chdir(tmp_path)
    recorded = ph.record(run_of(), "run", snapshots=EVERY_7, progress=leave)
    assert (str(recorded.path), Path.cwd()) == ("run", tmp_path / "deep")
    monkeypatch.chdir(tmp_path)
    forked = ph.fork("run", 20, "fork", progress=leave)
    monkeypatch.chdir(tmp_path)
    history, fork = ph.open_history("run"), ph.open_history("fork", parent="run")
    monkeypatch.chdir(tmp_path / "deep")
    for each in (history, recorded, forked, fork):
        assert_states(each, expected, (0, 3, 7, 25, 40))
        assert ph.verify(each)
    assert not ph.diff(history, fork)
    assert ph.fork(history, 8, "new").parent.path == tmp_path / "run"
    assert ph.resume(history, 42).steps == 42
    assert str(history.path) == "run"
    assert ph.prune(history) > 0
    (tmp_path / "run").rename(tmp_path / "gone")
    with pytest.raises(StorageError, match=r"run: it is missing"):
        history[7]


def test_a_link_to_a_history_is_a_history(tmp_path: Path) -> None:
    """Its states are loaded and computed, it verifies, and it is resumed where it is."""
    ph.record(run_of(), tmp_path / "run", snapshots=EVERY_7)
    try:
        (tmp_path / "link").symlink_to(tmp_path / "run", target_is_directory=True)
    except OSError:
        pytest.skip("this user may not make links")
    history = ph.open_history(tmp_path / "link")
    assert_states(history, states_of(run_of()), (0, 7, 9, 40))
    assert ph.verify(history)
    assert ph.resume(history, 42).steps == ph.open_history(tmp_path / "run").steps == 42


def test_a_fork_of_a_fork_from_before_it_began(tmp_path: Path) -> None:
    """It starts from the grandparent's state; the optimizer's is kept if it has the right form, else it is new."""
    first = ph.record(run_of(), tmp_path / "first")
    second = ph.fork(first, 20, tmp_path / "second", optimizer=pn.sgd(0.1))
    third = ph.fork(second, 10, tmp_path / "third")
    assert third.parent is not None
    assert third.parent.digest == first.digest
    assert pn.same_bits(third[10].net, first[10].net)
    assert pn.same_bits(third[10].optimizer, pn.sgd(0.1).init(first[10].net))
    assert ph.verify(third)
    assert not pn.same_bits(third[-1], second[-1])
    same = ph.fork(ph.fork(first, 20, tmp_path / "a", optimizer=pn.adam(0.1)), 10, tmp_path / "b")
    assert pn.same_bits(same[10].optimizer, first[10].optimizer)


def test_a_moved_grandparent_can_be_named(tmp_path: Path) -> None:
    """By its place in its child, which is handed over open; another history in its place is refused."""
    a = ph.record(run_of(), tmp_path / "a", snapshots=EVERY_7)
    expected = list(a[:11])
    b = ph.fork(a, 20, tmp_path / "b", steps=30)
    ph.fork(b, 25, tmp_path / "c", steps=30)
    (tmp_path / "a").rename(tmp_path / "moved")
    with pytest.raises(StorageError, match=r"which is missing: .*put it back"):
        ph.open_history(tmp_path / "c")[5]
    b = ph.open_history(tmp_path / "b", parent=tmp_path / "moved")
    assert_states(ph.open_history(tmp_path / "c", parent=b)[:11], expected)
    with pytest.raises(StorageError, match="it is another history"):
        ph.open_history(tmp_path / "c", parent=ph.open_history(tmp_path / "moved"))[5]


def test_a_run_that_has_stopped_is_over(tmp_path: Path) -> None:
    """`resume` does nothing, however many steps it is asked for, and takes open histories too; a fork goes on."""
    history = ph.record(run_of(stop=ends_at_9), tmp_path / "run")
    assert ph.resume(history, 30).steps == ph.resume(tmp_path / "run", 30).steps == history.steps == 9
    assert ph.fork(history, -1, tmp_path / "fork", stop=None, steps=12).steps == 12


@pn.register("tests.history.ends_at_9")
def ends_at_9(state: pn.State) -> bool:
    """A reason to stop."""
    return state.step == 9


@pn.register("tests.history.counted")
def counted(net: Any, batch: Any) -> Any:
    """An objective that may be unknown elsewhere."""
    return np.mean((pn.forward(net, batch[0]) - batch[1]) ** 2)


def test_what_cannot_be_computed_again_is_not_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data that has changed, a function that is not known here, states without their step: nothing is removed."""
    monkeypatch.setattr("purenet.history.recipe.LARGE", 500)
    np.save(tmp_path / "x.npy", X)
    batches = pn.Batches(pn.Dataset(pn.read_npy(tmp_path / "x.npy"), Y), size=16, key=KEY)
    data = ph.record(run_of(batches=batches), tmp_path / "data", snapshots=EVERY_7)
    np.save(tmp_path / "x.npy", X + 1)
    ph.record(run_of(objective=counted), tmp_path / "objective", snapshots=EVERY_7)
    unknown = {name: thing for name, thing in pn.registry._registered.items() if thing is not counted}
    monkeypatch.setattr("purenet.registry._registered", unknown)
    state = {"w": np.zeros(2), "moment": 0.0, "loss": 0.0}
    states = [state] + [state := own_step(state, own_batch(t)) for t in range(20)]
    ph.record_states(states, tmp_path / "states", snapshots=EVERY_7)
    for name, message in (("data", "other contents"), ("objective", "not known here"), ("states", "states alone")):
        before = sorted((tmp_path / name / "snapshots").iterdir())
        with pytest.raises((ReplayError, StorageError), match=message):
            ph.prune(tmp_path / name)
        assert sorted((tmp_path / name / "snapshots").iterdir()) == before
    with pytest.raises(ReplayError, match="other contents"):
        ph.prune(data)
    with pytest.raises(StorageError, match=r"pn.open_history\(path, classes=\(counted,\)\)"):
        ph.open_history(tmp_path / "objective").run  # noqa: B018
    own = ph.open_history(tmp_path / "states", step=own_step, batches=own_batch)
    assert ph.prune(own) > 0
    assert pn.same_bits(own[9], states[9])
    assert ph.verify(own)


def test_open_histories_need_no_descriptors(tmp_path: Path) -> None:
    """Where the interpreter can map a file without one (3.13); elsewhere each has one, and no more."""
    ph.record(run_of(steps=3, batches=BATCHES), tmp_path / "run")
    place = Path("/proc/self/fd")
    if not place.exists():
        pytest.skip("only Linux lists the open files of a process")
    before = len(list(place.iterdir()))
    opened = [ph.open_history(tmp_path / "run") for _ in range(20)]
    assert len(list(place.iterdir())) - before <= (0 if sys.version_info >= (3, 13) else len(opened))
