"""Whether a history is as it was written and its run gives it again: verify, other machines, data in other files."""

from __future__ import annotations

import warnings
from concurrent.futures import ProcessPoolExecutor
from itertools import accumulate
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from history_cases import EVERY_7, KEY, X, Y, assert_states, flip, run_of, states_of

import purenet as pn
from purenet import history as ph
from purenet.arithmetic.modes import Native
from purenet.errors import (
    EnvironmentWarning,
    ReplayError,
)
from purenet.fingerprint import environment
from purenet.history import recording


def test_verify_finds_damaged_bytes(tmp_path: Path) -> None:
    """A flipped bit in any kind of file makes the report false, names the file, and nothing is executed."""
    history = ph.record(run_of(), tmp_path / "run", snapshots=EVERY_7)
    for file in ("journal", "run.safetensors", "snapshots/000000000014.safetensors", "manifest.json"):
        path = tmp_path / "run" / file
        flip(path, path.stat().st_size // 2)
        report = ph.verify(tmp_path / "run")
        assert not report, file
        assert report.replayed == 0
        assert Path(file).name in str(report)
        flip(path, path.stat().st_size // 2)
    assert ph.verify(history)


def test_verify_finds_steps_that_come_out_differently(tmp_path: Path) -> None:
    """A step that its run does not give is named, with the leaf, and by how much it differs where that is stored."""
    run = run_of(arithmetic=Native())
    history = _deviating(run, tmp_path, 17)
    report = ph.verify(history)
    assert not report
    assert "step 17: the state after it is not the recorded one in net.layers[0].weight" in str(report)
    assert "after 21 steps: net.layers[0].weight" in str(report)
    assert "ulp apart" in str(report)
    assert len([p for p in report.problems if p.startswith("step ") and "state" in p]) == 1
    with pytest.raises(ReplayError, match=r"step 17 does not give the recorded bits here in net.layers\[0\].weight"):
        history[19]
    assert history[21].step == 21


FAILS_AT = [-1]


@pn.register("tests.history.fails")
def fails(net: Any, batch: Any) -> Any:
    """An objective of one's own that raises an error of its own, from the step on that it is told."""
    FAILS_AT[0] -= 1
    if FAILS_AT[0] == -1:
        raise KeyError("no such thing")
    return np.mean((pn.forward(net, batch[0]) - batch[1]) ** 2)


def test_verify_counts_what_it_compared(tmp_path: Path) -> None:
    """Not what comes after the first deviation, and not what cannot be executed, which is reported by its error."""
    history = _deviating(run_of(arithmetic=Native()), tmp_path, 17)
    assert ph.verify(history).replayed == 40 - 3
    assert ph.verify(history, map=map).replayed == ph.verify(history, map=_own_map).replayed == 37
    assert "37 of 40 steps executed again" in str(ph.verify(history))
    history = ph.record(run_of(objective=fails), tmp_path / "fails", snapshots=EVERY_7)
    FAILS_AT[0] = 17
    report = ph.verify(history)
    assert report.replayed == 40 - 4
    assert report.problems == ("steps 17 to 20 cannot be executed again: KeyError: 'no such thing'",)


def _own_map(function: Any, items: Any) -> Any:
    return [function(item) for item in items]


def test_verify_reports_what_keeps_it_from_executing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data that is missing or not as it was, a folder that is not there: false, and no error."""
    monkeypatch.setattr("purenet.history.recipe.LARGE", 500)
    np.save(tmp_path / "x.npy", X)
    batches = pn.Batches(pn.Dataset(pn.read_npy(tmp_path / "x.npy"), Y), size=16, key=KEY)
    history = ph.record(run_of(batches=batches), tmp_path / "run", snapshots=EVERY_7)
    assert ph.verify(history)
    np.save(tmp_path / "x.npy", X + 1)
    for each in (history, tmp_path / "run"):
        report = ph.verify(each)
        assert (bool(report), report.replayed) == (False, 0)
        assert "x.npy, which has other contents now" in str(report)
        assert ph.verify(each, "none")
    (tmp_path / "x.npy").unlink()
    assert "x.npy, which is not there" in str(ph.verify(history))
    report = ph.verify(tmp_path / "nope")
    assert str(report) == (
        f"{tmp_path / 'nope'}: 1 problem; no step executed again\n  there is no such folder, and so no history"
    )


def test_verify_names_another_machine_where_bits_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below what differs stands what is different here, which may be why; where nothing differs it does not."""
    here = environment()
    monkeypatch.setattr("purenet.history.recording.environment", lambda: attrs.evolve(here, blas_kernel="Elsewhere"))
    history = _deviating(run_of(arithmetic=Native()), tmp_path, 17)
    right = ph.record(run_of(arithmetic=Native()), tmp_path / "right")
    monkeypatch.undo()
    with pytest.warns(EnvironmentWarning):
        report = ph.verify(history)
    [line] = report.environment
    assert str(report).splitlines()[-1] == f"  recorded and here: {line}"
    assert "Elsewhere" in line
    with pytest.warns(EnvironmentWarning):
        assert ph.verify(right).environment == ()


def test_warnings_name_the_line_that_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever way a state is asked for, the warning points here and not into purenet."""
    here = environment()
    monkeypatch.setattr("purenet.history.recording.environment", lambda: attrs.evolve(here, blas_kernel="Elsewhere"))
    history = ph.record(run_of(arithmetic=Native()), tmp_path / "run", snapshots=EVERY_7)
    fork = ph.fork(history, 21, tmp_path / "fork")
    monkeypatch.undo()
    for ask in (
        lambda: history[8],
        lambda: fork[8],
        lambda: list(history[8:10]),
        lambda: history[8:10][1],
        lambda: ph.verify(history),
        lambda: ph.fork(history, 8, tmp_path / "new"),
    ):
        with pytest.warns(EnvironmentWarning) as caught:
            ask()
        assert {warning.filename for warning in caught} == {__file__}


def _deviating(run: ph.Run, folder: Path, k: int) -> ph.History:
    """A history whose journal claims to be of `run`, though a bit of a weight was flipped after step k."""
    states = states_of(attrs.evolve(run, steps=k + 1))
    weight = states[-1].net.layers[0].weight.copy()
    weight.view(np.uint64)[1, 2] ^= np.uint64(1)
    states[-1] = pn.tree.at(states[-1], "net.layers[0].weight", weight)
    step = pn.make_step(run.objective, run.optimizer)
    following = accumulate(map(run.batches.at, range(k + 1, run.steps)), step, initial=states.pop())
    with recording._create(run, folder / "deviating", EVERY_7) as writer:
        pairs = ((state, (), False) for state in [*states[1:], *following])
        recording._write(writer, EVERY_7, pairs, states[0])
    return ph.open_history(folder / "deviating")


def test_verify_takes_a_sample_and_any_map(tmp_path: Path) -> None:
    """A number of segments drawn by a key, the same for the same key; a pool of processes gives the same report."""
    history = ph.record(run_of(steps=70), tmp_path / "run", snapshots=EVERY_7)
    drawn = [ph.verify(history, 2, key=pn.key(seed)).replayed for seed in (1, 1)]
    assert drawn == [14, 14]
    assert ph.verify(history, 100).replayed == 70
    calls: list[Any] = []

    def recording_map(function: Any, items: Any) -> Any:
        calls.extend(items)
        return map(function, items)

    assert ph.verify(history, 2, key=pn.key(1), map=recording_map)
    assert len(calls) == 2
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        report = ph.verify(history, map=pool.map)
    assert report
    assert str(report) == str(ph.verify(history))


def test_native_histories_of_another_machine_warn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaying native arithmetic elsewhere warns and says what differs; going on or pruning there is refused."""
    here = environment()
    monkeypatch.setattr("purenet.history.recording.environment", lambda: attrs.evolve(here, blas_kernel="Elsewhere"))
    history = ph.record(run_of(arithmetic=Native()), tmp_path / "native", snapshots=EVERY_7)
    portable = ph.record(run_of(), tmp_path / "portable", snapshots=EVERY_7)
    monkeypatch.undo()
    assert history.environment.blas_kernel == "Elsewhere"
    assert "native" in repr(history)
    with pytest.warns(EnvironmentWarning, match=f"BLAS kernel: Elsewhere and {here.blas_kernel}"):
        history[8]
    with pytest.warns(EnvironmentWarning, match="BLAS kernel"):
        assert ph.verify(history)
    with pytest.raises(ReplayError, match=r"Elsewhere.*fork it instead"):
        ph.resume(tmp_path / "native", 50)
    with pytest.raises(ReplayError, match="may not be computed again"):
        ph.prune(history)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ph.verify(portable)
        assert history[7].step == 7
    assert ph.resume(tmp_path / "portable", 42).steps == 42


def test_large_mapped_data_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A memory-mapped array is referred to by place and digest: moved along it is found, changed or gone named."""
    monkeypatch.setattr("purenet.history.recipe.LARGE", 500)
    (tmp_path / "here").mkdir()
    np.save(tmp_path / "here" / "x.npy", X)
    mapped = pn.read_npy(tmp_path / "here" / "x.npy")
    run = run_of(batches=pn.Batches(pn.Dataset(mapped[8:], Y[8:]), size=16, key=KEY))
    history = ph.record(run, tmp_path / "here" / "run", snapshots=EVERY_7)
    [reference] = history.reader.manifest["data"]
    assert reference["array"] == "batches.dataset.x"
    assert reference["relative"] == "../x.npy"
    expected = states_of(run)
    assert_states(history, expected)
    assert (tmp_path / "here" / "run" / "run.safetensors").stat().st_size < X.nbytes + 3000
    del history, run, mapped
    (tmp_path / "here").rename(tmp_path / "there")
    assert_states(ph.open_history(tmp_path / "there" / "run"), expected)
    x = X.copy()
    x[9, 1] += 1
    np.save(tmp_path / "there" / "x.npy", x)
    moved = ph.open_history(tmp_path / "there" / "run")
    assert pn.same_bits(moved[7], expected[7])
    with pytest.raises(ReplayError, match=r"x.npy, which has other contents"):
        moved[8]
    (tmp_path / "there" / "x.npy").unlink()
    with pytest.raises(ReplayError, match=r"x.npy, which is not there"):
        ph.open_history(tmp_path / "there" / "run")[8]
