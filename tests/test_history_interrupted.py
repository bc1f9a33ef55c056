"""A recording that is killed, that finds no room on the disk, or that is not alone: what is there stays and goes on."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from repository import ROOT

import purenet as pn
from purenet import history as ph
from purenet.arithmetic.modes import Native
from purenet.errors import NonFiniteError, WriteError
from purenet.history import recording, writer

KEY = pn.key(0)

PROGRAM = """
import sys
import purenet as pn
from purenet.history import Run, Snapshots, record, resume
from purenet.arithmetic.modes import Native
from purenet.history import recording, writer
from pathlib import Path

class Quick(writer.HistoryWriter):  # more instants to be killed at
    @classmethod
    def reopen(cls, path, flush_seconds=0.0):
        return super().reopen(path, 0.01)

recording.HistoryWriter = Quick
path, steps = Path(sys.argv[1]), int(sys.argv[2])
key = pn.key(0)
x, y = (pn.random.normal(pn.fold_in(key, name), (40, 3)) for name in "xy")
run = Run(pn.mlp(key, (3, 5, 3)), pn.objective(pn.losses.mean_squared_error), pn.adam(1e-3),
          pn.Batches(pn.Dataset(x, y), size=8, key=key), steps, arithmetic=Native())
snapshots = Snapshots(seconds=0.02, budget=30_000)
beginning = []

def progress(state):
    if not beginning:
        beginning.append(print("begins", flush=True))

if path.exists():
    resume(path, snapshots=snapshots, progress=progress)
else:
    record(run, path, snapshots=snapshots, progress=progress)
"""


def small_run(**changes: Any) -> ph.Run:
    """The run of the program above, of 40 steps."""
    x, y = (pn.random.normal(pn.fold_in(KEY, name), (40, 3)) for name in "xy")
    batches = pn.Batches(pn.Dataset(x, y), size=8, key=KEY)
    objective = pn.objective(pn.losses.mean_squared_error)
    given = {"net": pn.mlp(KEY, (3, 5, 3)), "optimizer": pn.adam(1e-3), "steps": 40, "arithmetic": Native(), **changes}
    return ph.Run(objective=objective, batches=batches, **given)


def start(path: Path, steps: int) -> subprocess.Popen[str]:
    """The program above, in a process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(path), str(steps)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def kill_and_resume(folder: Path, kills: int, steps: int) -> None:
    """Kill the program at random instants, and compare what it ends on with an uninterrupted run."""
    instants = pn.random.uniform(pn.fold_in(KEY, "instants"), (kills,)) * 0.2
    before, interrupted = 0, 0
    for instant in instants.tolist():
        with start(folder / "run", steps) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(instant)
            process.kill()
        history = ph.open_history(folder / "run")
        assert history.steps >= before
        interrupted += before < history.steps < steps
        before = history.steps
    assert interrupted, "it was never killed in the middle"
    with start(folder / "run", steps) as process:
        assert process.wait() == 0
    with start(folder / "whole", steps) as process:
        assert process.wait() == 0
    history, whole = (ph.open_history(folder / name) for name in ("run", "whole"))
    assert (folder / "run" / "journal").read_bytes() == (folder / "whole" / "journal").read_bytes()
    assert pn.same_bits(history[-1], whole[-1])
    assert ph.verify(history, 3, key=KEY)
    assert len(list((folder / "run" / "snapshots").iterdir())) == len(history.snapshots)


def test_a_killed_run_ends_on_the_same_bits(tmp_path: Path) -> None:
    """Killed three times while recording and resuming: every prefix opens, and the end is the uninterrupted one's."""
    kill_and_resume(tmp_path, kills=3, steps=10_000)


@pytest.mark.longer
def test_a_run_that_is_killed_often_ends_on_the_same_bits(tmp_path: Path) -> None:
    """The same, killed 40 times."""
    kill_and_resume(tmp_path, kills=40, steps=30_000)


def test_a_full_disk_stops_the_recording_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At whichever write the disk is full: a WriteError, a history that opens and verifies, and resumes to its end."""
    whole = ph.record(small_run(), tmp_path / "whole", snapshots=ph.Snapshots(every=8))
    real = os.write
    monkeypatch.setattr(recording, "HistoryWriter", EagerWriter)
    for failing in range(0, 44, 6):
        calls = 0

        def full(descriptor: int, data: Any, failing: int = failing) -> int:
            nonlocal calls
            calls += 1
            if calls > failing:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(descriptor, data)

        path = tmp_path / str(failing)
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", full)
            if failing < 40:
                with pytest.raises(WriteError, match="No space left"):
                    ph.record(small_run(), path, snapshots=ph.Snapshots(every=8))
        if not path.exists():
            continue
        history = ph.open_history(path)
        assert history.steps < 40
        assert ph.verify(history)
        resumed = ph.resume(path)
        assert (path / "journal").read_bytes() == (tmp_path / "whole" / "journal").read_bytes()
        assert pn.same_bits(resumed[-1], whole[-1])


class EagerWriter(writer.HistoryWriter):
    """A writer that keeps no record in memory."""

    def append(self, *args: Any) -> None:
        """Append and flush."""
        super().append(*args)
        self.flush()


def test_a_recording_has_its_folder_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever else would write meanwhile is refused at once; readers are not."""
    monkeypatch.setattr(recording, "HistoryWriter", EagerWriter)
    seen: list[int] = []

    def meddle(state: pn.State) -> None:
        if state.step in (3, 20):
            for write in (lambda: ph.resume(tmp_path / "run", 50), lambda: ph.prune(tmp_path / "run")):
                with pytest.raises(WriteError):
                    write()
            with pytest.raises(WriteError):
                ph.record(small_run(), tmp_path / "run")
            seen.append(ph.open_history(tmp_path / "run").steps)

    history = ph.record(small_run(), tmp_path / "run", snapshots=ph.Snapshots(every=10), progress=meddle)
    assert seen == [3, 20]
    assert history.steps == 40
    assert ph.verify(history)


def test_a_history_is_a_prefix_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is opened in between has the states of that time, and stays as it is."""
    monkeypatch.setattr(recording, "HistoryWriter", EagerWriter)
    opened: list[tuple[ph.History, list[Any]]] = []

    def look(state: pn.State) -> None:
        if state.step == 25:
            history = ph.open_history(tmp_path / "run")
            opened.append((history, [history[t] for t in range(len(history))]))

    whole = ph.record(small_run(), tmp_path / "run", snapshots=ph.Snapshots(every=10), progress=look)
    [(history, states)] = opened
    assert history.steps == 25
    assert pn.same_bits(states, list(whole[: len(states)]))
    assert pn.same_bits(history[-1], whole[history.steps])
    assert "of 40 steps" in repr(history)


def test_an_error_in_the_middle_leaves_what_came_before(tmp_path: Path) -> None:
    """A step, a metric or the progress that raises: the steps before are there, and the recording can go on."""

    def stumble(state: pn.State) -> None:
        if state.step == 17:
            raise RuntimeError("stumbled")

    with pytest.raises(RuntimeError, match="stumbled"):
        ph.record(small_run(), tmp_path / "run", progress=stumble)
    assert ph.open_history(tmp_path / "run").steps == 17
    assert ph.resume(tmp_path / "run").steps == 40
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError):
        ph.record(small_run(optimizer=pn.sgd(1e9)), tmp_path / "wild")
    wild = ph.open_history(tmp_path / "wild")
    assert 0 < wild.steps < 40
    assert np.isfinite(wild.losses).all()
