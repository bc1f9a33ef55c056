"""How the time of a step grows: with width, batch, depth, and the length of a memory-mapped dataset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from toolz import reduce

import purenet as pn
from benchmarks.peers import floor, fold
from benchmarks.timing import interleave, ratio
from benchmarks.workloads import GROWTH, LENGTHS, ROWS, Workload, problem


def measure(what: str, *, rounds: int, seconds: float, largest: int | None = None) -> list[dict[str, Any]]:
    """A growth table: for each size the seconds per step of purenet and of the floor, in each round."""
    if what == "length":
        return [_length(rows, rounds, seconds) for rows in LENGTHS if largest is None or rows <= largest]
    found = []
    for size, workload in GROWTH[what].items():
        if largest is not None and size > largest:
            continue
        turns = {"floor": floor.training(workload).turn, "fold": fold.training(workload).turn}
        times = interleave(turns, rounds=rounds, seconds=seconds, least=2)
        found.append({"size": size, "layers": len(workload.sizes) - 1, "rounds": times})
    return found


def _length(rows: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Whole epochs of shuffled batches from a memory-mapped dataset, so that the order of an epoch has its share.

    The floor beside it draws NumPy's own permutation, picks the rows of each batch from the same files, and does the
    matrix products of a step.
    """
    workload = ROWS[1]
    with TemporaryDirectory() as folder:
        x, y = _mapped(Path(folder), rows, workload)
        steps = -(-rows // workload.batch)
        turns = {"floor": partial(_bare_epochs, workload, x, y), "fold": partial(_epochs, workload, x, y)}
        times = interleave(turns, rounds=min(rounds, 5), seconds=seconds)
        per_step = {name: [t / steps for t in ts] for name, ts in times.items()}
        del x, y, turns  # a mapped file cannot be removed everywhere
    return {"size": rows, "layers": 2, "rounds": per_step}


def _mapped(folder: Path, rows: int, workload: Workload) -> tuple[Any, Any]:
    draw = np.random.RandomState(1)
    arrays = []
    for name, columns in (("x", workload.sizes[0]), ("y", workload.sizes[-1])):
        np.save(folder / f"{name}.npy", draw.standard_normal((rows, columns)).astype(workload.dtype))
        arrays.append(np.load(folder / f"{name}.npy", mmap_mode="r"))
    return arrays[0], arrays[1]


def _epochs(workload: Workload, x: Any, y: Any, epochs: int) -> Callable[[], Any]:
    batches = pn.Batches(pn.Dataset(x, y), size=workload.batch, key=pn.key(0))
    step, start = fold.step_and_start(replace(workload, learning_rate=1e-5), problem(workload))
    return lambda: reduce(step, islice(batches, epochs * batches.per_epoch), start)


def _bare_epochs(workload: Workload, x: Any, y: Any, epochs: int) -> Callable[[], Any]:
    generator = np.random.default_rng(0)
    products = floor.training(workload)

    def run() -> None:
        for _ in range(epochs):
            order = generator.permutation(len(x))
            for first in range(0, len(x), workload.batch):
                chosen = order[first : first + workload.batch]
                x[chosen], y[chosen]
                products.advance(None, 1)

    return run


def _least_squares(term: Any, wanted: Any) -> float:
    """The factor that brings a term closest to what is wanted."""
    return float(term @ wanted / (term @ term))


def departures(table: Sequence[dict[str, Any]]) -> tuple[tuple[float, float], list[float]]:
    """The fit of a growth table, and how far each row departs from it.

    The time of a step is `a * floor + c * layers`, with the `a` of at least 1 (a step does its matrix products) and the
    `c` of at least 0 that make the sum of the squared relative departures least. In a row, the floor is the time of
    purenet over the median of their ratios, as the two were measured round by round.

    Returns:
        `((a, c in seconds), departures)`; a departure of 0.1 means 10 % more than the fit.

    Example:
        >>> rows = [{"layers": n, "rounds": {"floor": [1.0], "fold": [2.0 + 3 * n]}} for n in (1, 2, 3)]
        >>> (a, c), found = departures(rows)
        >>> round(a, 9), round(c, 9), max(map(abs, found)) < 1e-9
        (2.0, 3.0, True)
    """
    measured = np.array([np.median(row["rounds"]["fold"]) for row in table])
    ratios = np.array([ratio(row["rounds"]["fold"], row["rounds"]["floor"]) for row in table])
    terms = np.stack([1 / ratios, np.array([row["layers"] for row in table]) / measured], axis=1)
    a, c = np.linalg.lstsq(terms, np.ones(len(table)), rcond=None)[0]
    if a < 1:
        a, c = 1.0, _least_squares(terms[:, 1], 1 - terms[:, 0])
    if c < 0:
        a, c = _least_squares(terms[:, 0], np.ones(len(table))), 0.0
    return (float(a), float(c)), [float(d) for d in 1 / (terms @ np.array([a, c])) - 1]
