"""A training run that can be asked: what was it at step 200, would another rate have been better, where did they part?

The run is recorded, cut off in the middle, resumed, forked with another learning rate, verified and compared. Every
state that is shown was computed again from what is stored, with the bits that it had the first time.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import purenet as pn
from purenet.keys import Key

STEPS = 400


class PowerCut(Exception):  # noqa: N818
    """What ends the process in the middle of the run."""


def spirals(key: Key, rows: int = 300) -> pn.Dataset:
    """Points on two spirals, and which of the two each is on."""
    place, noise = pn.split(key)
    turn = 1.0 + 8.0 * pn.random.uniform(place, (rows, 1))
    arm = np.arange(rows)[:, None] % 2
    angle = turn / 2 + np.pi * arm
    points = turn * np.concatenate([np.cos(angle), np.sin(angle)], axis=1) / 4
    return pn.Dataset(points + 0.05 * pn.random.normal(noise, points.shape), arm[:, 0])


def cut_at_half(state: pn.State) -> None:
    """Called with every state that was recorded."""
    if state.step == STEPS // 2 + 31:
        raise PowerCut


def main() -> None:
    """Record a run in a temporary folder and ask it."""
    data_key, net_key, batch_key = pn.split(pn.key(0), 3)
    run = pn.Run(
        net=pn.mlp(net_key, (2, 24, 24, 2), activation=pn.Tanh()),
        objective=pn.objective(pn.losses.softmax_cross_entropy),
        optimizer=pn.adam(1e-2),
        batches=pn.Batches(spirals(data_key), size=50, key=batch_key),
        steps=STEPS,
    )
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder, "first"), Path(folder, "second")
        try:
            pn.record(run, first, snapshots=pn.Snapshots(every=100), progress=cut_at_half)
        except PowerCut:
            print(f"cut off after {pn.open_history(first).steps} steps")

        history = pn.resume(first)
        print(f"resumed: {history.steps} steps, loss {history.losses[-1]:.4f}, stored after {history.snapshots}")
        uninterrupted = list(pn.train(run))
        assert all(pn.same_bits(history[t], uninterrupted[t]) for t in (0, 57, 231, 232, STEPS))
        print("every state that was asked for has the bits of the run that was never cut off")

        fork = pn.fork(history, 200, second, optimizer=pn.adam(2e-3))
        print(f"from step 200 at a fifth of the rate: loss {fork.losses[-1]:.4f}")
        for name, each in (("first", history), ("second", fork)):
            print(f"verified {name}: {bool(pn.verify(each))}")
        print(pn.diff(history, fork))


if __name__ == "__main__":
    main()
