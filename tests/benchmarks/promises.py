"""What the promises cost: a step in portable arithmetic, and a step that is recorded, beside the native one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from toolz import reduce

import purenet as pn
from benchmarks.peers import Peer, fold
from benchmarks.timing import interleave
from benchmarks.workloads import ROWS, Workload, problem
from purenet.arithmetic import exact
from purenet.history.writer import HistoryWriter

ARITHMETIC = (
    ROWS[0],
    ROWS[2],
    Workload(64, (64, 64, 10), "float64", "adam", 1e-3, "cross entropy"),
    replace(ROWS[5], dtype="float64", optimizer="sgd"),
    replace(ROWS[5], dtype="float64"),
    ROWS[5],
)
"""The rows of the table of arithmetic: the seeds' workloads, one of classes, and a larger one."""

RECORDED = (Workload(8, (2, 8, 1), "float64"), ROWS[0], ROWS[2])
"""The rows of the table of recording; the first is as small as networks get."""

LONG = 1_000_000
"""Steps of the history that is opened."""

SLICES = {"portable": 1, "portable_2": 2, "portable_3": 3}


def arithmetic(peers: list[Peer], *, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Seconds of a step in native and in portable arithmetic with 1, 2 and 3 slices, and of PyTorch's; a product."""
    eager = [peer for peer in peers if peer.name == "torch_eager"]
    found = []
    for workload in ARITHMETIC:
        turns = {"fold": fold.training(workload).turn}
        turns |= {name: _portable_turn(workload, slices) for name, slices in SLICES.items()}
        turns |= {peer.name: peer.load().training(workload).turn for peer in eager}
        found.append({"title": workload.title, "rounds": interleave(turns, rounds=rounds, seconds=seconds, least=3)})
    return [*found, _product(rounds, seconds)]


def _portable_turn(workload: Workload, slices: int) -> Callable[[int], Callable[[], Any]]:
    p = problem(workload)
    native, start = fold.step_and_start(workload, p)
    step = pn.portable(native, slices=slices)
    return lambda count: lambda: reduce(step, repeat((p.x, p.y), count), start)


def _product(rounds: int, seconds: float) -> dict[str, Any]:
    """A product of the larger workload: BLAS, exact with one slice, and a loop that adds in a fixed order."""
    draw = np.random.RandomState(0).standard_normal
    x, w = draw((128, 784)), draw((784, 256))

    def loop() -> Any:
        total = np.zeros((128, 256))
        for k in range(784):
            total += x[:, k, None] * w[k]
        return total

    work = {"fold": lambda: x @ w, "portable": lambda: exact.matmul(x, w), "loop": loop}

    def turn(once: Callable[[], Any]) -> Callable[[int], Callable[[], Any]]:
        return lambda count: lambda: [once() for _ in range(count)]

    turns = {name: turn(once) for name, once in work.items()}
    return {"title": "the product 128,784 @ 784,256 alone", "rounds": interleave(turns, rounds=rounds, seconds=seconds)}


def recording(*, rounds: int, seconds: float, length: int | None = None) -> dict[str, Any]:
    """Seconds of a step that is recorded, in native arithmetic, and of opening a long history; bytes of a step."""
    found = []
    for workload in RECORDED:
        p = problem(workload)
        step, start = fold.step_and_start(workload, p)
        batches = pn.Batches(pn.Dataset(p.x, p.y), size=None)
        turns = {
            "fold": lambda count, step=step, start=start, batches=batches: (
                lambda: reduce(step, (batch for _, batch in zip(range(count), batches, strict=False)), start)
            ),
            "recorded": lambda count, step=step, start=start, batches=batches: _recording(count, step, start, batches),
        }
        times = interleave(turns, rounds=rounds, seconds=seconds, net={"recorded": "once"})
        found.append({"title": workload.title, "rounds": times})
    return {"rows": found, "opening": _opening(length or LONG, rounds)}


def _recording(count: int, step: Any, start: pn.State, batches: pn.Batches) -> Callable[[], Any]:
    folder = TemporaryDirectory()
    run = pn.Run(start.net, step.objective, step.optimizer, batches, steps=count, arithmetic=pn.Native())

    def record() -> None:
        pn.record(run, Path(folder.name, "history"))
        folder.cleanup()

    return record


def _opening(length: int, rounds: int) -> dict[str, Any]:
    """Seconds to open a history of many steps and to read its losses, in each round; bytes of a step."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "history")
        with HistoryWriter.create(path, {}, state=None) as writer:
            for step in range(length):
                writer.append(step, 0.5, b"")
        times = []
        for _ in range(rounds):
            began = perf_counter()
            last = pn.open_history(path).losses[-1]
            times.append(perf_counter() - began)
            assert last == 0.5
        size = sum(file.stat().st_size for file in path.iterdir() if file.name.startswith("journal"))
    return {"steps": length, "seconds": times, "bytes": size / length}
