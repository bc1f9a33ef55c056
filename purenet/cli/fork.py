"""`purenet fork`: a new run from any step of a recorded one, with something changed."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import Any

import purenet as pn
from purenet.cli import options as types
from purenet.cli.histories import add_history, opened
from purenet.cli.plan import LEARNING_RATES
from purenet.cli.terminal import Terminal
from purenet.cli.watch import Watch, report, snapshots, written
from purenet.errors import ArgumentError
from purenet.history import Run, fork
from purenet.optimizers import RECIPES, by_name
from purenet.optimizers.part import Chain, chain
from purenet.optimizers.uniform import ScaleByLearningRate
from purenet.schedules import as_schedule


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "What no option changes stays as it is in the parent. The new history knows where it comes from."
    add_history(parser)
    add = parser.add_argument
    add("step", type=types.whole, metavar="STEP", help="after how many steps to leave it; -1 is after the last")
    add("out", metavar="FOLDER", help="a new folder for the new history")
    add("--optimizer", type=types.one_of(RECIPES), metavar="NAME", help=", ".join(RECIPES))
    add("--learning-rate", type=types.rate, metavar="R", help="default: that of the parent, or by the new optimizer")
    add("--batch-size", type=types.count, metavar="N", help="rows in a batch")
    add("--steps", type=types.count, metavar="N", help="how many steps it has in the end, with those of the parent")
    types.add_arithmetic(add)
    types.add_snapshots(parser)


def run(options: Namespace) -> None:
    """Take the steps after the fork, and report."""
    types.check_new(options.out)
    terminal = Terminal()
    with opened(options.history, terminal) as parent:
        if parent.run is None:
            raise ArgumentError("it holds states alone, no run to go on with", path=options.history)
        changes = dict(_changes(options, parent.run))
        steps = changes.get("steps", parent.run.steps)
        at = options.step if options.step >= 0 else len(parent) + options.step
        if at >= steps:
            raise ArgumentError(f"no step is left after {at} of {steps}; name more with --steps", path="--steps")
        terminal.say(f"{options.out}: {options.history} from step {at} to {steps}; {_described(changes)}")
        terminal.say()
        watch = Watch(terminal, steps)
        after, ended_by = written(
            options.out,
            lambda: fork(parent, options.step, options.out, snapshots=snapshots(options), progress=watch, **changes),
        )
        terminal.say()
        report(after, steps, ended_by, terminal)


def _changes(options: Namespace, run: Run) -> Iterator[tuple[str, Any]]:
    """The fields of the run that the options change."""
    if options.steps is not None:
        yield "steps", options.steps
    if options.optimizer is not None:
        rate = options.learning_rate or LEARNING_RATES[options.optimizer]
        yield "optimizer", by_name(options.optimizer, rate)
    elif options.learning_rate is not None:
        yield "optimizer", with_learning_rate(run.optimizer, options.learning_rate)
    if options.batch_size is not None:
        yield "batches", _with_size(run.batches, options.batch_size)
    if options.arithmetic is not None or options.slices is not None:
        yield "arithmetic", types.arithmetic(options)


def with_learning_rate(optimizer: Any, rate: float) -> Any:
    """The same optimizer with another learning rate; its state keeps its form."""
    parts = optimizer.parts if isinstance(optimizer, Chain) else ()
    places = [i for i, part in enumerate(parts) if isinstance(part, ScaleByLearningRate)]
    if len(places) != 1:
        problem = f"the optimizer of the parent has no learning rate of its own: {optimizer!r:.80}"
        raise ArgumentError(f"{problem}; name one with --optimizer", path="--learning-rate")
    part = ScaleByLearningRate(as_schedule("--learning-rate", rate))
    return chain(*parts[: places[0]], part, *parts[places[0] + 1 :])


def _with_size(batches: Any, size: int) -> pn.Batches:
    if not isinstance(batches, pn.Batches):
        kind = type(batches).__name__
        raise ArgumentError(f"the batches of the parent are {kind}, which has no size", path="--batch-size")
    return pn.Batches(batches.dataset, size, batches.key, shuffle=batches.shuffle, drop_last=batches.drop_last)


def _described(changes: dict[str, Any]) -> str:
    """What is changed, in words."""
    shown = {name: value for name, value in changes.items() if name not in ("steps", "batches")}
    words = [f"{name} {value!r}" for name, value in shown.items()]
    words += [f"batches of {changes['batches'].size}"] if "batches" in changes else []
    return ", ".join(words) or "nothing else changed"
