"""The measuring process: it reads what to measure as JSON from its argument, and prints what it found as JSON.

`command` starts it with its thread settings in the environment, for they have to be there before NumPy is imported.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks import growth, processes, promises
from benchmarks.environment import busy_seconds, describe, used_by_others
from benchmarks.peers import Peer, Training, present
from benchmarks.timing import interleave
from benchmarks.workloads import PREDICTIONS, ROWS, Workload, problem

TOLERANCE = 1e-6
"""How far a loss may be from the plain script's, relatively."""


@dataclass(frozen=True)
class Options:
    """What to measure, and how thoroughly.

    Attributes:
        tables: of "training", "prediction", "arithmetic", "recording", "processes", "width", "batch", "depth" and
            "length".
        rows: numbers of the training rows, from 1.
        peers: names of contenders; None for those that are installed.
        threads: how many threads this process was started with.
        rounds: rounds of each measurement.
        seconds: how long each turn lasts at least.
        checked: steps over which everybody has to compute the same losses before anybody is timed.
        recorded: seconds that a recording lasts at least.
        largest: by table, the last size of growth to be measured.
    """

    tables: tuple[str, ...]
    rows: tuple[int, ...] = tuple(range(1, len(ROWS) + 1))
    peers: tuple[str, ...] | None = None
    threads: int = 1
    rounds: int = 15
    seconds: float = 0.03
    checked: int = 20
    recorded: float = 1.0
    largest: dict[str, int] | None = None


def measure(options: Options) -> dict[str, Any]:
    """Everything that is asked for, as plain data: `{"environment": ..., table: ...}`."""
    before = busy_seconds()
    found: dict[str, Any] = {"environment": {**describe(options.threads), "rounds": options.rounds}}
    if "processes" in options.tables:  # first, while this process is small
        _say("cold start and memory")
        chosen = None if options.peers is None else ["script", "purenet", *(p.split("_")[0] for p in options.peers)]
        found["processes"] = processes.measure(chosen, rounds=min(options.rounds, 9))
        found["processes"]["empty"] = processes.overhead()
    peers = present(options.peers)
    if "training" in options.tables:
        found["training"] = [training(ROWS[row - 1], peers, options) for row in options.rows]
    if "prediction" in options.tables:
        found["prediction"] = [prediction(workload, peers, options) for workload in PREDICTIONS]
    if "arithmetic" in options.tables:
        _say("portable arithmetic")
        found["arithmetic"] = promises.arithmetic(peers, rounds=options.rounds, seconds=options.seconds)
    if "recording" in options.tables:
        _say("recording")
        found["recording"] = promises.recording(rounds=options.rounds, seconds=options.recorded)
    for what in ("width", "batch", "depth", "length"):
        if what in options.tables:
            _say(f"growth with {what}")
            largest = (options.largest or {}).get(what)
            rounds = min(options.rounds, 9)
            found[what] = growth.measure(what, rounds=rounds, seconds=options.seconds, largest=largest)
    found["environment"]["others"] = used_by_others(before, busy_seconds())
    return found


def training(workload: Workload, peers: list[Peer], options: Options) -> dict[str, Any]:
    """One row of the training table: seconds per step of each contender in each round."""
    began = perf_counter()
    if _loses_digits(workload):
        exact = replace(workload, dtype="float64")
        check_losses(exact, starters(exact, peers)[0], options.checked)
    contenders, skipped = starters(workload, peers)
    check_losses(workload, contenders, options.checked)
    turns = {name: contender.turn for name, contender in contenders.items()}
    times = interleave(turns, rounds=options.rounds, seconds=options.seconds, least=3)
    _say(f"training {workload.title}: {perf_counter() - began:.0f} s")
    notes = {name: contender.note for name, contender in contenders.items() if contender.note}
    return {"title": workload.title, "rounds": times, "notes": notes, "skipped": skipped}


def starters(workload: Workload, peers: list[Peer]) -> tuple[dict[str, Training], dict[str, str]]:
    """The contenders of a row that work here, and why the others do not."""
    contenders: dict[str, Training] = {}
    skipped: dict[str, str] = {}
    for peer in peers:
        try:
            candidate = peer.load().training(workload)
            candidate.advance(candidate.fresh(), 1)
            contenders[peer.name] = candidate
        except (ImportError, RuntimeError) as error:  # installed, but not working here: no compiler, for example
            skipped[peer.name] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    return contenders, skipped


def check_losses(workload: Workload, contenders: dict[str, Training], steps: int = 20) -> None:
    """Hold everybody's first losses against the plain script's, by single steps and by a turn of all of them.

    Raises:
        AssertionError: if somebody does other arithmetic.
    """
    if "script" not in contenders:
        return
    expected = contenders["script"].first_losses(steps)
    for name, contender in contenders.items():
        if name == "floor":
            continue
        tolerance = 1e-4 if contender.note or _loses_digits(workload) else TOLERANCE
        last = contender.advance(contender.fresh(), steps)[1]
        for losses, wanted in ((contender.first_losses(steps), expected), ([last], expected[-1:])):
            apart = np.max(np.abs(np.array(losses, np.float64) / wanted - 1))
            assert apart <= tolerance, f"{workload.title}, {name}: losses {apart:.1e} apart from the plain script's"


def _loses_digits(workload: Workload) -> bool:
    """Whether the same arithmetic gives losses further apart than the tolerance, so that float64 has to show it.

    In float32 the correction `1 - 0.999**t` has 4 digits left if it is computed in float32, as Optax does.
    """
    return workload.dtype == "float32" and workload.optimizer == "adam"


def prediction(workload: Workload, peers: list[Peer], options: Options) -> dict[str, Any]:
    """One row of the prediction table: seconds for each example, one after the other."""
    x = np.array(problem(workload).x)  # writable, as PyTorch wants it
    modules = {peer.name: peer.load() for peer in peers}
    predictors = {name: m.prediction(workload) for name, m in modules.items() if hasattr(m, "prediction")}
    for name, predict in predictors.items():
        if name != "floor" and "script" in predictors:
            np.testing.assert_allclose(
                np.ravel(predict(x)), np.ravel(predictors["script"](x)), rtol=TOLERANCE, err_msg=name
            )

    def turn(predict: Any) -> Any:
        def of(count: int) -> Any:
            def run() -> None:
                for _ in range(count):
                    predict(x)

            return run

        return of

    turns = {name: turn(predict) for name, predict in predictors.items()}
    times = interleave(turns, rounds=options.rounds, seconds=options.seconds)
    _say(f"prediction {','.join(map(str, workload.sizes))}")
    return {"title": f"{','.join(map(str, workload.sizes))} {workload.dtype}", "rounds": times}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    print(json.dumps(measure(Options(**json.loads(sys.argv[1])))))
