"""Two histories compared: what differs in the runs, and the first step, part, leaf and bit, with its cause."""

from __future__ import annotations

import json
import time
import warnings
from itertools import accumulate
from pathlib import Path
from platform import machine
from typing import Any

import attrs
import numpy as np
import pytest
from repository import python

import purenet as pn
from purenet import history as ph
from purenet.arithmetic.modes import Native, Portable
from purenet.history import recording
from purenet.history.policy import Snapshots

KEY = pn.key(0)
X = pn.random.normal(pn.fold_in(KEY, "x"), (40, 3))
Y = pn.random.normal(pn.fold_in(KEY, "y"), (40, 2))
DROPS = pn.Sequential((pn.dense(KEY, 3, 8), pn.Relu(), pn.Dropout(0.5), pn.dense(KEY, 8, 2)))


@pn.register("tests.history.diff.other")
def other_loss(prediction: Any, target: Any) -> Any:
    """Another loss with the same value and another gradient."""
    error = prediction - target
    return np.mean(error * pn.stop_gradient(error))


@pn.register("tests.history.diff.changed")
@pn.struct
class Changed:
    """Batches of which one is another."""

    batches: pn.Batches
    at_step: int = pn.static()

    def at(self, t: int) -> Any:
        """Batch t."""
        x, y = self.batches.at(t)
        return (x, y + (np.arange(len(y)) == 3)[:, None]) if t == self.at_step else (x, y)


@pn.register("tests.history.diff.measured")
@pn.struct
class Measured:
    """A state whose loss is none of its leaves."""

    state: Any
    loss: float = pn.static()


def run_of(**changes: Any) -> ph.Run:
    """A small run in native arithmetic."""
    net = changes.pop("net", pn.mlp(KEY, (3, 5, 2), activation=pn.Tanh()))
    data = changes.pop("data", pn.Dataset(X, Y))
    given = {"objective": pn.objective(pn.losses.mean_squared_error), "optimizer": pn.adam(1e-2), "steps": 30}
    given |= {"batches": pn.Batches(data, size=16, key=KEY), "key": KEY, "arithmetic": Native()}
    return ph.Run(net, **{**given, **changes})


def flipped(states: list[Any], k: int, path: str, place: int = 1) -> Any:
    """A state in which one bit of one number of one leaf is another."""
    leaf = np.array(pn.tree.get(states[k], path))
    leaf.view(np.uint64).reshape(-1)[place] ^= np.uint64(1)
    return pn.tree.at(states[k], path, leaf)


def deviating(run: ph.Run, path: Path, k: int, leaf: str, snapshots: Snapshots, place: int = 1) -> ph.History:
    """The history of a process in which, during step k, a bit of memory changed."""
    states = list(ph.train(attrs.evolve(run, steps=k + 1)))
    step = pn.make_step(run.objective, run.optimizer)
    rest = accumulate(map(run.batches.at, range(k + 1, run.steps)), step, initial=flipped(states, k + 1, leaf, place))
    with recording._create(run, path, snapshots) as writer:
        recording._write(writer, snapshots, ((state, (), False) for state in [*states[1:-1], *rest]), states[0])
    return ph.open_history(path)


@pytest.mark.parametrize("arithmetic", [Native(), Portable()])
def test_the_same_run_has_no_difference(arithmetic: Any, tmp_path: Path) -> None:
    """Recorded twice, under different policies and to different lengths: false, and it says so."""
    a = ph.record(run_of(arithmetic=arithmetic), tmp_path / "a", snapshots=Snapshots(every=3))
    b = ph.record(run_of(arithmetic=arithmetic, steps=25), tmp_path / "b")
    found = ph.diff(a, tmp_path / "b")
    assert not found
    assert (found.step, found.runs) == (None, ())
    assert str(found) == "the same bits in all 25 steps that both have"
    assert not ph.diff(b, a)


def stepped(after: float) -> Any:
    """A rate of 0.01 for 13 steps, and `after` from then on."""
    return pn.adam(pn.schedules.piecewise({0: 1e-2, 13: after}))


Y_35 = np.where(np.arange(80).reshape(40, 2) == 70, 5.0, Y)
FIRST_WITH_35 = next(t for t in range(30) if (pn.Batches(pn.Dataset(X, Y), size=16, key=KEY).at(t)[0] == X[35]).any())

# What one run has and the other has instead; the first step, part and leaf that differ; the cause; the field to blame.
CASES = {
    "rate": (
        {},
        {"optimizer": pn.adam(2e-2)},
        (0, "update", "layers[0].weight"),
        "the optimizer",
        "optimizer.parts[1]",
    ),
    "schedule": (
        {"optimizer": stepped(1e-2)},
        {"optimizer": stepped(2e-2)},
        (13, "update", "layers[0].weight"),
        "the optimizer",
        "optimizer.parts[1]",
    ),
    "objective": (
        {},
        {"objective": pn.objective(other_loss)},
        (0, "gradient", "layers[0].weight"),
        "the objective",
        "objective.loss: purenet.losses.mean_squared_error and tests.history.diff.other",
    ),
    "data": (
        {},
        {"data": pn.Dataset(X, Y_35)},
        (FIRST_WITH_35, "batch", "[1]"),
        "because the data is",
        "batches.dataset.y: 1 of 80 elements differ, first at [35, 0]",
    ),
    "order": (
        {},
        {"batches": pn.Batches(pn.Dataset(X, Y), size=16, key=pn.key(1))},
        (0, "batch", "[0]"),
        "the batch",
        "batches.key",
    ),
    "arithmetic": ({}, {"arithmetic": Portable()}, (0, "loss", ""), "the arithmetic", "arithmetic"),
    "slices": (
        {"arithmetic": Portable()},
        {"arithmetic": Portable(slices=3)},
        (0, "loss", ""),
        "the arithmetic",
        "arithmetic.slices: 1 and 3",
    ),
    "start": (
        {},
        {"net": pn.mlp(pn.key(1), (3, 5, 2), activation=pn.Tanh())},
        (0, "start", "net.layers[0].weight"),
        "the parameters",
        "net",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_first_difference_is_found(name: str, tmp_path: Path) -> None:
    """The step, the part of it, the leaf and the field of the run that is to blame."""
    ours, theirs, place, cause, line = CASES[name]
    a = ph.record(run_of(**ours), tmp_path / "a")
    b = ph.record(run_of(**theirs), tmp_path / "b")
    for found in (ph.diff(a, b), ph.diff(b, a)):
        assert (found.step, found.part, found.leaf) == place, str(found)
        assert cause in found.cause
        assert found.why
        assert f"cause: {found.cause}" in str(found)
    found = ph.diff(a, b)
    assert any(each.startswith(line) for each in (*found.runs, *found.data))
    assert bool(found.data) == (name == "data")


def test_one_changed_batch_is_named(tmp_path: Path) -> None:
    """The step whose batch is another, and the element."""
    batches = run_of().batches
    a = ph.record(run_of(batches=Changed(batches, -1)), tmp_path / "a")
    b = ph.record(run_of(batches=Changed(batches, 17)), tmp_path / "b")
    found = ph.diff(a, b)
    assert (found.step, found.part, found.leaf) == (17, "batch", "[1]")
    assert "elements differ, first at [3, 0]" in found.why
    assert "batches.at_step: -1 and 17" in found.cause


@pytest.mark.parametrize("leaf", ["net.layers[0].weight", "net.layers[2].bias", "optimizer[0].second[0]"])
@pytest.mark.parametrize("every", [1, 100])
def test_a_flipped_bit_is_named(leaf: str, every: int, tmp_path: Path) -> None:
    """A bit of memory that changed during step 12: the step, the leaf, the distance where it is stored, the cause."""
    a = ph.record(run_of(), tmp_path / "a", snapshots=Snapshots(every=every))
    b = deviating(run_of(), tmp_path / "b", 12, leaf, Snapshots(every=every))
    found = ph.diff(a, b)
    assert (found.step, found.part, found.leaf) == (12, "recording", leaf), str(found)
    assert ("1 ulp apart" if every == 1 else "is not stored") in found.why
    assert "a bit was changed" in found.cause
    assert f"than {tmp_path / 'b'} recorded" in found.cause


WIDE = pn.Sequential((pn.dense(KEY, 3, 600), pn.Relu(), pn.dense(KEY, 600, 2)))
SIZE = 3 * 600  # of its first weight: 16 runs of 111 numbers, and 24 numbers after them


@pytest.mark.parametrize("place", [0, 110, 111, SIZE // 2, 16 * 111 - 1, 16 * 111, SIZE - 1])
def test_a_flipped_bit_of_a_large_leaf_is_named(place: int, tmp_path: Path) -> None:
    """The last bit of any number, in the first, a later or the last step: by `diff` with the leaf, and by `verify`."""
    run = run_of(net=WIDE, optimizer=pn.sgd(1e-3), steps=8)
    leaf = "net.layers[0].weight"
    a = ph.record(run, tmp_path / "a")
    assert WIDE.layers[0].weight.size == SIZE
    for k in (0, 3, run.steps - 1):
        b = deviating(run, tmp_path / f"b{k}", k, leaf, Snapshots(every=100), place)
        found = ph.diff(a, b)
        assert (found.step, found.part, found.leaf) == (k, "recording", leaf), str(found)
        report = ph.verify(b)
        assert f"step {k}: the state after it is not the recorded one in {leaf}" in str(report), str(report)


def test_a_flipped_bit_at_the_start_is_named(tmp_path: Path) -> None:
    """An initial weight of another bit: step 0, the weight, one ulp."""
    net = run_of().net
    weight = np.array(net.layers[0].weight)
    weight.view(np.uint64)[2, 1] ^= np.uint64(1)
    a = ph.record(run_of(), tmp_path / "a")
    b = ph.record(run_of(net=pn.tree.at(net, "layers[0].weight", weight)), tmp_path / "b")
    found = ph.diff(a, b)
    assert (found.step, found.part, found.leaf) == (0, "start", "net.layers[0].weight")
    assert "1 of 15 elements differ, first at [2, 1]" in found.why
    assert "1 ulp apart" in found.why


def test_randomness_that_differs_is_named(tmp_path: Path) -> None:
    """Dropout by another key: the runs start from different keys."""
    a = ph.record(run_of(net=DROPS), tmp_path / "a")
    b = ph.record(run_of(net=DROPS, key=pn.key(1)), tmp_path / "b")
    found = ph.diff(a, b)
    assert (found.step, found.part, found.leaf) == (0, "start", "key.words")
    assert not ph.diff(a, ph.record(run_of(net=DROPS), tmp_path / "c"))


def test_forks_part_where_they_were_forked(tmp_path: Path) -> None:
    """A fork and its parent, and two forks of one parent, part at the step of the fork."""
    a = ph.record(run_of(), tmp_path / "a", snapshots=Snapshots(every=4))
    b = ph.fork(a, 11, tmp_path / "b", optimizer=pn.adam(1e-3))
    c = ph.fork(a, 20, tmp_path / "c", optimizer=pn.sgd(1e-3))
    same = ph.fork(a, 20, tmp_path / "same")
    assert (ph.diff(a, b).step, ph.diff(a, b).part) == (11, "update")
    assert (ph.diff(b, c).step, ph.diff(c, b).part) == (11, "update")
    found = ph.diff(a, c)
    assert (found.step, found.part, found.leaf) == (20, "start", "optimizer")
    assert not ph.diff(a, same)


@pn.register("tests.history.diff.norm")
def norm(state: pn.State, batch: Any) -> Any:
    """A metric."""
    return np.sum(state.net.layers[0].weight ** 2)


@pn.register("tests.history.diff.late")
def late(state: pn.State) -> bool:
    """A reason to stop."""
    return state.step > 99


def test_functions_are_called_by_their_names(tmp_path: Path) -> None:
    """What is measured and when to stop: each by its registered name, and no address in memory."""
    a = ph.record(run_of(metrics={"norm": norm, "other": norm}, steps=4), tmp_path / "a")
    b = ph.record(run_of(metrics={"norm": norm}, stop=late, steps=4), tmp_path / "b")
    found = ph.diff(a, b)
    assert found.step is None
    assert found.runs == (
        "metrics['other']: tests.history.diff.norm and None",
        "stop: None and tests.history.diff.late",
    )
    c = ph.record(run_of(metrics={"other": norm, "norm": norm}, steps=4), tmp_path / "c")
    assert ph.diff(a, c).runs == ("metrics: in the order norm, other and other, norm",)


def test_a_fork_from_another_state_is_said_to_start_there(tmp_path: Path) -> None:
    """A changed weight: the step stands in what is printed, and that those before it are the same."""
    a = ph.record(run_of(), tmp_path / "a")
    net = pn.tree.at(a[11].net, "layers[2].bias", np.ones(2))
    found = ph.diff(a, ph.fork(a, 11, tmp_path / "b", net=net))
    assert (found.step, found.part, found.leaf) == (11, "start", "net.layers[2].bias")
    assert "step 11 starts from another state; the 11 steps before it are the same" in str(found)


def test_another_loss_in_the_journal_is_a_difference(tmp_path: Path) -> None:
    """Even where the states are the same: the step, and both losses."""
    states = [{"w": np.arange(4.0) + t} for t in range(20)]
    losses = [float(t) for t in range(20)]
    for name in ("a", "b"):
        ph.record_states([Measured(state, loss) for state, loss in zip(states, losses, strict=True)], tmp_path / name)
        losses[9] = np.nextafter(9.0, 10)
    found = ph.diff(tmp_path / "a", tmp_path / "b")
    assert (found.step, found.part, found.leaf) == (8, "recording", "loss")
    assert found.why == "9.0 and 9.000000000000002"
    assert not ph.diff(tmp_path / "a", tmp_path / "a")


def test_hand_recorded_states_are_compared(tmp_path: Path) -> None:
    """Histories without a run are compared by what is stored and by their checks."""
    states = [{"w": np.arange(4.0) + t, "loss": float(t)} for t in range(20)]
    ph.record_states(states, tmp_path / "a", snapshots=Snapshots(every=1))
    states[9] = {**states[9], "w": np.nextafter(states[9]["w"], 100)}
    ph.record_states(states, tmp_path / "b", snapshots=Snapshots(every=1))
    found = ph.diff(tmp_path / "a", tmp_path / "b")
    assert (found.step, found.leaf) == (8, '["w"]')
    assert "at most 1 ulp apart" in found.why
    with pytest.raises(pn.errors.DtypeError):
        ph.diff(tmp_path / "a", None)


def test_another_kernel_is_named(tmp_path: Path) -> None:
    """Native arithmetic on another BLAS kernel, if this machine's BLAS can be told to use one: step, leaf and cause."""
    kernels = {}
    program = (
        "import sys, json, purenet as pn, numpy as np\n"
        "from purenet.history import Run, Snapshots, record\n"
        "from purenet.arithmetic.modes import Native\n"
        "from purenet.fingerprint import environment\n"
        "k = pn.key(0); x = pn.random.normal(k, (64, 300)); y = pn.random.normal(pn.fold_in(k, 1), (64, 7))\n"
        "batches = pn.Batches(pn.Dataset(x, y), size=None)\n"
        "run = Run(pn.mlp(k, (300, 40, 7)), pn.objective(pn.losses.mean_squared_error), pn.sgd(0.1), batches, 20,"
        " arithmetic=Native())\n"
        "record(run, sys.argv[1], snapshots=Snapshots(every=100))\n"
        "print(json.dumps(environment().blas_kernel))\n"
    )
    for wanted in ("ARMV8", "NEOVERSEN1") if machine().lower() in ("aarch64", "arm64") else ("Prescott", "Haswell"):
        script = f"import os; os.environ['OPENBLAS_CORETYPE'] = {wanted!r}\n" + program
        done = python("-c", script, tmp_path / wanted, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        kernel = json.loads(done.stdout)
        if kernel is not None and kernel not in kernels:
            kernels[kernel] = ph.open_history(tmp_path / wanted)
    apart = [
        (a, b)
        for i, a in enumerate(kernels)
        for b in list(kernels)[i + 1 :]
        if kernels[a].checks.tobytes() != kernels[b].checks.tobytes()
    ]
    if not apart:
        pytest.skip(f"the kernels of this BLAS give the same bits: {sorted(kernels)}")
    for a, b in apart:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pn.errors.EnvironmentWarning)
            found = ph.diff(kernels[a], kernels[b])
        first = np.flatnonzero((kernels[a].checks != kernels[b].checks).any(axis=1))[0]
        assert (found.step, found.part) == (first, "recording")
        assert found.leaf.startswith(("net.layers", "loss"))
        assert found.cause.startswith("native arithmetic in different environments")
        assert f"BLAS kernel: {a} and {b}" in found.cause


def test_long_runs_are_compared_without_replay(tmp_path: Path) -> None:
    """A pair of 20,000 steps that part at step 19,000 is compared in less than 2 s of processor time."""
    states = [{"w": np.full(50, float(t))} for t in range(20_001)]
    ph.record_states(states, tmp_path / "a", snapshots=Snapshots(every=1000))
    states[19_001:] = [{"w": np.nextafter(state["w"], 0)} for state in states[19_001:]]
    ph.record_states(states, tmp_path / "b", snapshots=Snapshots(every=1000))
    begin = time.process_time()
    found = ph.diff(tmp_path / "a", tmp_path / "b")
    assert time.process_time() - begin < 2
    assert (found.step, found.leaf) == (19_000, '["w"]')


@pytest.mark.longer
def test_long_runs_of_training_are_compared_without_replay(tmp_path: Path) -> None:
    """The same of 20,000 steps of training under the policy by default, with the step executed again."""
    a = ph.record(run_of(steps=20_000), tmp_path / "a")
    b = deviating(run_of(steps=20_000), tmp_path / "b", 13_579, "net.layers[0].weight", Snapshots())
    begin = time.process_time()
    found = ph.diff(a, b)
    taken = time.process_time() - begin
    assert (found.step, found.leaf) == (13_579, "net.layers[0].weight")
    assert taken < 2, taken
