"""A training run as a value: any of its states again, bit for bit, when recorded, resumed, forked and pruned."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

import attrs
import numpy as np
import pytest
from history_cases import (
    BATCHES,
    EVERY_7,
    KEY,
    NET,
    OBJECTIVE,
    X,
    Y,
    assert_states,
    flip,
    is_small,
    own_batch,
    own_step,
    run_of,
    size_of_weights,
    states_of,
    weighted,
)
from repository import python

import purenet as pn
from purenet import history as ph
from purenet.arithmetic.modes import Native, Portable
from purenet.errors import (
    ArgumentError,
    ReplayError,
    StorageError,
)
from purenet.history.policy import superfluous

RUNS = {
    "native": {"arithmetic": Native()},
    "portable": {},
    "two slices": {"arithmetic": Portable(slices=2)},
    "full batch": {"batches": pn.Batches(pn.Dataset(X, Y), size=None), "optimizer": pn.sgd(0.1)},
    "dropout": {"net": pn.Sequential((pn.dense(KEY, 3, 8), pn.Relu(), pn.Dropout(0.5), pn.dense(KEY, 8, 2)))},
    "schedule": {"optimizer": pn.chain(pn.clip_by_global_norm(1.0), pn.adam(pn.schedules.cosine(1e-2, steps=40)))},
    "own objective": {"objective": weighted, "key": None},
    "float32": {"net": pn.tree.map(lambda p: p.astype(np.float32), NET)},
}


@pytest.mark.parametrize("name", RUNS)
def test_time_travel(name: str, tmp_path: Path) -> None:
    """Every state has the bits of the uninterrupted fold, stored or not, by number, slice and iteration."""
    run = run_of(**RUNS[name])
    expected = states_of(run)
    history = ph.record(run, tmp_path / "run", snapshots=EVERY_7)
    assert history.snapshots == (7, 14, 21, 28, 35, 40)
    assert_states(history, expected)
    assert_states(ph.open_history(tmp_path / "run"), expected)
    assert all(pn.same_bits(a, b) for a, b in zip(history, expected, strict=True))
    assert all(pn.same_bits(a, b) for a, b in zip(ph.train(run), expected, strict=True))
    for part in (slice(5, 30, 9), slice(None, None, -11), slice(-3, None), slice(12, 12)):
        assert pn.same_bits(list(history[part]), expected[part]), part
    assert history.losses.tolist() == [state.loss for state in expected[1:]]
    assert pn.same_bits(history.run, run)
    assert pn.digest(history.run) == history.reader.manifest["run_digest"]


@pytest.mark.longer
def test_time_travel_in_a_long_run(tmp_path: Path) -> None:
    """50 random steps of 5,000: as recorded, pruned, and resumed after an interruption."""
    run = run_of(steps=5000)
    expected = states_of(run)
    steps = pn.random.integers(KEY, 0, 5001, (50,)).tolist()
    history = ph.record(run, tmp_path / "run", snapshots=ph.Snapshots(every=500))
    assert_states(history, expected, steps)
    ph.prune(history, budget=10_000)
    assert_states(ph.open_history(tmp_path / "run"), expected, steps)
    ph.record(attrs.evolve(run, steps=1234), tmp_path / "other")
    assert_states(ph.resume(tmp_path / "other", 5000), expected, steps)


def test_another_process_has_the_same_states(tmp_path: Path) -> None:
    """A fresh process needs the folder and nothing else."""
    run = run_of()
    ph.record(run, tmp_path / "run", snapshots=EVERY_7)
    program = "import purenet as pn, sys; from purenet.history import open_history; h = open_history(sys.argv[1]);"
    done = python("-c", program + "print(*[pn.digest(h[t]) for t in (0, 13, 40)])", tmp_path / "run", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    expected = states_of(run)
    assert done.stdout.split() == [pn.digest(expected[t]) for t in (0, 13, 40)]


def test_which_states_are_stored_changes_no_bit(tmp_path: Path) -> None:
    """The journals are the same byte for byte, whatever the policy; recording twice gives the same history."""
    run = run_of(metrics={"size": size_of_weights})
    policies = [EVERY_7, ph.Snapshots(seconds=1e-9, budget=20_000), ph.Snapshots(seconds=1e9)]
    histories = [ph.record(run, tmp_path / str(i), snapshots=policy) for i, policy in enumerate(policies)]
    assert len({tuple(history.snapshots) for history in histories}) == 3
    assert len({history.checks.tobytes() for history in histories}) == 1
    again = ph.record(run, tmp_path / "again", snapshots=EVERY_7)
    assert again.digest == histories[0].digest
    assert (tmp_path / "again" / "journal").read_bytes() == (tmp_path / "0" / "journal").read_bytes()


def test_interrupted_is_uninterrupted(tmp_path: Path) -> None:
    """A run that was interrupted, anywhere, goes on to the same bits; and then to more steps than planned."""
    run = run_of(metrics={"size": size_of_weights})
    whole = ph.record(run, tmp_path / "whole", snapshots=EVERY_7)
    expected = states_of(run_of(steps=55))

    def interrupt(state: pn.State) -> None:
        if state.step in (1, 14, 33):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ph.record(run, tmp_path / "run", snapshots=EVERY_7, progress=interrupt)
    assert ph.open_history(tmp_path / "run").steps == 1
    for stopped in (14, 33):
        with pytest.raises(KeyboardInterrupt):
            ph.resume(tmp_path / "run", progress=interrupt)
        history = ph.open_history(tmp_path / "run")
        assert history.steps == stopped
        assert_states(history, expected[: stopped + 1])
    history = ph.resume(tmp_path / "run")
    assert_states(history, expected[:41])
    assert (tmp_path / "run" / "journal").read_bytes() == (tmp_path / "whole" / "journal").read_bytes()
    assert history.metrics["size"].tolist() == whole.metrics["size"].tolist()
    assert ph.resume(tmp_path / "run").steps == 40
    assert_states(ph.resume(tmp_path / "run", 55), expected)
    assert ph.verify(tmp_path / "run")


def test_a_run_stops_where_its_predicate_says(tmp_path: Path) -> None:
    """Early stopping ends the stream, the history and every continuation at the same step."""
    run = run_of(stop=is_small, steps=400)
    states = list(ph.train(run))
    assert 1 < len(states) < 401
    assert states[-1].loss < 1.05 < min(state.loss for state in states[1:-1])
    history = ph.record(run, tmp_path / "run")
    assert history.steps == len(states) - 1
    assert ph.resume(tmp_path / "run").steps == ph.resume(tmp_path / "run", 500).steps == history.steps


def test_metrics_are_written_down(tmp_path: Path) -> None:
    """A metric is of the state after the step and its batch, in the arithmetic of the run."""
    run = run_of(metrics=(("size", size_of_weights),), arithmetic=Native())
    history = ph.record(run, tmp_path / "run")
    batches = [BATCHES.at(t) for t in range(40)]
    assert history.metrics["size"].tolist() == list(map(size_of_weights, states_of(run)[1:], batches))
    forked = ph.fork(history, 10, tmp_path / "fork", metrics={"size": size_of_weights, "more": size_of_weights})
    assert forked.metrics["size"].tolist() == history.metrics["size"].tolist()
    assert np.isnan(forked.metrics["more"]).tolist() == [True] * 10 + [False] * 30


def test_what_else_belongs_to_a_history(tmp_path: Path) -> None:
    """Trees beside the states are kept, inherited by forks, resumed with, and verified."""
    kept = {"model": pn.Model(None, classes=("a", "b")), "scales": {"x": np.arange(3.0)}}
    history = ph.record(run_of(steps=5), tmp_path / "run", trees=kept)
    forked = ph.fork(history, 3, tmp_path / "fork", steps=6)
    for each in (history, forked, ph.resume(tmp_path / "run", 7)):
        assert each.trees == ("model", "scales")
        assert pn.same_bits({name: each.load(name) for name in each.trees}, kept)
    with pytest.raises(ArgumentError, match="holds no 'other'"):
        history.load("other")
    with pytest.raises(ArgumentError, match=r"record.trees"):
        ph.record(run_of(steps=5), tmp_path / "x", trees={"run": kept})
    flip(tmp_path / "run" / "model.safetensors", 300)
    assert not ph.verify(tmp_path / "run")


def test_forks_of_forks(tmp_path: Path) -> None:
    """A fork goes on from its parent's state; states before that are the parent's, through any number of forks."""
    first = ph.record(run_of(arithmetic=Native()), tmp_path / "first", snapshots=EVERY_7)
    second = ph.fork(first, 20, tmp_path / "second", optimizer=pn.adam(1e-3))
    third = ph.fork(tmp_path / "second", -10, tmp_path / "deep" / "third", optimizer=pn.sgd(1e-2), steps=50)
    assert (second.start, second.steps, third.start, third.steps) == (20, 40, 31, 50)
    assert third.parent is not None
    assert third.parent.digest == second.digest
    assert second.snapshots == (20, 40)
    expected = list(first[:21])
    step = pn.make_step(OBJECTIVE, pn.adam(1e-3))
    expected = list(accumulate(map(BATCHES.at, range(20, 40)), step, initial=expected.pop()))
    expected = [*first[:20], *expected]
    assert_states(second, expected)
    step = pn.make_step(OBJECTIVE, pn.sgd(1e-2))
    fresh = attrs.evolve(expected[31], optimizer=pn.sgd(1e-2).init(NET))
    expected = [*expected[:31], *accumulate(map(BATCHES.at, range(31, 50)), step, initial=fresh)]
    assert_states(third, expected)
    assert pn.same_bits(list(third[::-6]), expected[::-6])
    assert third.losses.tolist() == [state.loss for state in expected[1:]][:31] + third.reader.losses.tolist()
    assert all(ph.verify(each) for each in (second, third))
    assert_states(ph.resume(tmp_path / "second", 45), list(ph.open_history(tmp_path / "second")))


def test_a_fork_of_what_its_parent_has_from_its_own(tmp_path: Path) -> None:
    """A fork at a step before its parent's beginning is the grandparent's child."""
    first = ph.record(run_of(), tmp_path / "first")
    second = ph.fork(first, 20, tmp_path / "second", net=NET)
    third = ph.fork(second, 5, tmp_path / "third", steps=8)
    assert third.parent is not None
    assert third.parent.digest == first.digest
    assert pn.same_bits(third[8].net, first[8].net)
    assert pn.same_bits(second[20].net, NET)


def test_a_missing_parent_is_named(tmp_path: Path) -> None:
    """A fork has its own states without its parent; for the rest, the error names it, and its place may be given."""
    first = ph.record(run_of(), tmp_path / "first")
    ph.fork(first, 20, tmp_path / "second", optimizer=pn.adam(1e-3))
    ends = [first[19], ph.open_history(tmp_path / "second")[40]]
    (tmp_path / "first").rename(tmp_path / "moved")
    orphan = ph.open_history(tmp_path / "second")
    assert pn.same_bits(orphan[40], ends[1])
    for ask in (lambda: orphan[19], lambda: orphan.losses):
        with pytest.raises(StorageError, match=r"is a fork of .*first .*which is missing.*pn.open_history"):
            ask()
    assert pn.same_bits(ph.open_history(tmp_path / "second", parent=tmp_path / "moved")[19], ends[0])
    ph.record(run_of(steps=30), tmp_path / "first")
    with pytest.raises(StorageError, match="it is another history"):
        ph.open_history(tmp_path / "second")[19]


@pytest.mark.parametrize("budget", [0, 10_000])
def test_pruned_states_are_computed_again(budget: int, tmp_path: Path) -> None:
    """After pruning less is stored, all states are there, and the history is whole."""
    run = run_of()
    history = ph.record(run, tmp_path / "run", snapshots=ph.Snapshots(every=1))
    freed = ph.prune(history, budget)
    pruned = ph.open_history(tmp_path / "run")
    sizes = [pruned.reader.snapshots[step].size for step in pruned.snapshots[:-1]]
    assert freed > 0
    assert sum(sizes) <= budget
    assert bool(sizes) == bool(budget)
    assert len(list((tmp_path / "run" / "snapshots").iterdir())) == len(pruned.snapshots)
    assert_states(pruned, states_of(run))
    assert ph.verify(pruned)
    assert ph.prune(pruned, budget) == 0


def test_thinning_keeps_old_states_further_apart() -> None:
    """What stays is spaced by the logarithm of its age; the first and the last stay, whatever the budget."""
    sizes = dict.fromkeys(range(0, 1001, 10), 1)
    kept = sorted(set(sizes) - set(superfluous(sizes, 10, keep=0)))
    gaps = np.diff(kept)
    assert len(kept) == 12
    assert (kept[0], kept[-1]) == (0, 1000)
    assert gaps[0] > 10 * gaps[-1]
    assert all(gap <= 2 * (1000 - step) for step, gap in zip(kept, gaps, strict=False))
    assert superfluous({0: 5, 7: 5}, 0, keep=0) == []


def test_the_budget_of_snapshots_is_kept(tmp_path: Path) -> None:
    """While recording too, stored states take no more than the budget, the last one apart."""
    history = ph.record(run_of(steps=60), tmp_path / "run", snapshots=ph.Snapshots(every=1, budget=12_000))
    sizes = [snapshot.size for snapshot in history.reader.snapshots.values()]
    assert 1 < len(sizes) < 20
    assert sum(sizes[:-1]) <= 12_000
    assert_states(history, states_of(run_of(steps=60)), (0, 3, 31, 59, 60))


def test_states_of_ones_own(tmp_path: Path) -> None:
    """A hand-written fold is recorded, replayed when its step is given, verified, resumed, and seeks what is stored."""
    start = {"w": np.ones(3), "moment": np.zeros(3), "loss": None}
    expected = list(accumulate(map(own_batch, range(30)), own_step, initial=start))
    ph.record_states(iter(expected), tmp_path / "own", snapshots=ph.Snapshots(every=10))
    alone = ph.open_history(tmp_path / "own")
    assert pn.same_bits([alone[0], alone[20]], [expected[0], expected[20]])
    with pytest.raises(ReplayError, match="open it with the step and the batches"):
        alone[21]
    with pytest.raises(ArgumentError, match="open it with the step and the batches"):
        ph.verify(alone)
    history = ph.open_history(tmp_path / "own", step=own_step, batches=own_batch)
    assert_states(history, expected)
    assert history.losses.tolist() == [state["loss"] for state in expected[1:]]
    assert ph.verify(history).replayed == 30
    more = ph.resume(tmp_path / "own", 35, step=own_step, batches=own_batch)
    assert (more.steps, len(ph.verify(alone, "none").problems)) == (35, 0)
    other = ph.open_history(tmp_path / "own", step=own_step, batches=lambda t: 1.0)
    assert not ph.verify(other)
    with pytest.raises(
        ReplayError, match=r'step 10 does not give the recorded bits here in \["loss"\], \["moment"\], \["w"\]'
    ):
        other[13]


def test_states_need_no_name_of_the_library(tmp_path: Path) -> None:
    """States may hold records of one's own: passed when the history is opened."""

    @pn.struct
    class Walker:
        place: pn.Array

    ph.record_states([Walker(np.zeros(2)), Walker(np.ones(2))], tmp_path / "own")
    history = ph.open_history(tmp_path / "own", classes=(Walker,))
    assert history[1].place.tolist() == [1, 1]
    assert np.isnan(history.losses[0])
