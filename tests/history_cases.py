"""A small run, its states by a plain fold, and what the tests of histories share."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

import purenet as pn
from purenet import history as ph
from purenet.arithmetic.modes import Portable

KEY = pn.key(0)
X = pn.random.normal(pn.fold_in(KEY, "x"), (40, 3))
Y = pn.random.normal(pn.fold_in(KEY, "y"), (40, 2))
NET = pn.mlp(KEY, (3, 5, 2), activation=pn.Tanh())
BATCHES = pn.Batches(pn.Dataset(X, Y), size=16, key=KEY)
OBJECTIVE = pn.objective(pn.losses.mean_squared_error)
EVERY_7 = ph.Snapshots(every=7)


@pn.register("tests.history.size")
def size_of_weights(state: pn.State, batch: Any) -> Any:
    """A metric: of the state after the step and the batch that it learned from."""
    return np.sum(state.net.layers[0].weight ** 2) + len(batch[0])


@pn.register("tests.history.small")
def is_small(state: pn.State) -> Any:
    """A reason to stop."""
    return state.loss < 1.05


@pn.register("tests.history.weighted")
def weighted(net: Any, batch: Any) -> Any:
    """An objective of one's own."""
    return np.mean((pn.forward(net, batch[0]) - batch[1]) ** 2) + 1e-3 * np.sum(net.layers[0].weight ** 2)


def run_of(**changes: Any) -> ph.Run:
    """A small run, portable unless something else is asked for."""
    given = {"optimizer": pn.adam(1e-2), "batches": BATCHES, "steps": 40, "key": KEY, **changes}
    return ph.Run(given.pop("net", NET), given.pop("objective", OBJECTIVE), **given)


def states_of(run: ph.Run) -> list[Any]:
    """The states of an uninterrupted fold, made without the history's own loop."""
    step = pn.make_step(run.objective, run.optimizer)
    if isinstance(run.arithmetic, Portable):
        step = pn.portable(step, slices=run.arithmetic.slices)
    batches = [run.batches.at(t) for t in range(run.steps)]
    return list(accumulate(batches, step, initial=pn.init_state(run.net, run.optimizer, key=run.key)))


def assert_states(history: ph.History, expected: list[Any], numbers: Any = None) -> None:
    """Each state has the bits of the expected one."""
    assert len(history) == len(expected)
    for t in range(len(expected)) if numbers is None else numbers:
        assert pn.same_bits(history[t], expected[t]), t


def own_step(state: dict[str, Any], batch: float) -> dict[str, Any]:
    """A step function by hand, of a state of one's own."""
    moment = 0.9 * state["moment"] + batch
    return {"w": state["w"] - 0.1 * moment, "moment": moment, "loss": float(np.sum(moment))}


def own_batch(t: int) -> float:
    """The batch of a step, by its number."""
    return float(t % 7)


def flip(path: Path, place: int) -> None:
    """Flip a bit of a byte of a file."""
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
