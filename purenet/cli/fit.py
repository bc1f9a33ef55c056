"""`purenet fit`: train a network on a table, or on the random data of the first seed program."""

from __future__ import annotations

import os
from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

import purenet as pn
from purenet.cli import options as types
from purenet.cli.plan import Plan, make_plan
from purenet.cli.terminal import Terminal
from purenet.cli.watch import Watch, how_to_resume, snapshots, written
from purenet.errors import ArgumentError, ReplayError
from purenet.history import History, Snapshots, record, train, verify
from purenet.history.run import start_of
from purenet.optimizers import RECIPES

PIECE = 4096
"""How many rows go through the network together when it is evaluated."""


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Without a table: the random data and the network of purenet's first example, drawn by "
        "numpy.random.RandomState(seed); the run is recorded, in a temporary folder if --out names none, and a part of "
        "it that is drawn at random is executed again to compare the bits. Of the options on data and batches none "
        "applies then; the defaults are --hidden 100, --optimizer sgd, --learning-rate 1e-6, --steps 500, --slices 3."
    )
    add = parser.add_argument
    add("table", nargs="?", help="a CSV table (.csv, .csv.gz), or an NPZ archive with arrays x and y")
    data = parser.add_argument_group("data").add_argument
    data("--target", metavar="NAME", help="the column to predict")
    data("--task", type=types.one_of(("regression", "classification")), metavar="NAME",
         help="regression or classification; chosen by the target if not given, and printed")  # fmt: skip
    data("--ignore", type=types.names, metavar="NAME,NAME", help="columns to leave out")
    data("--delimiter", type=types.single_character, metavar="C", help="what stands between cells (default ,)")
    data("--test-fraction", type=types.fraction, metavar="F", help="how much to hold out for the test (default 0.2)")
    data("--standardize", action=BooleanOptionalAction, default=None,
         help="shift and scale columns by the mean and deviation of the training part (default yes)")  # fmt: skip
    net = parser.add_argument_group("network").add_argument
    net("--hidden", type=types.sizes, metavar="N,N", help="sizes of the hidden layers, or none (default 64,64)")
    net("--activation", type=types.one_of(types.ACTIVATIONS), default="relu", metavar="NAME",
        help=f"{', '.join(types.ACTIVATIONS)} (default relu)")  # fmt: skip
    training = parser.add_argument_group("training").add_argument
    training("--optimizer", type=types.one_of(RECIPES), metavar="NAME", help=f"{', '.join(RECIPES)} (default adam)")
    training("--learning-rate", type=types.rate, metavar="R", help="default: by the optimizer")
    training("--batch-size", type=types.count, metavar="N", help="rows in a batch (default 64)")
    training("--steps", type=types.count, metavar="N", help="steps to take (default 2000)")
    types.add_arithmetic(training)
    training("--seed", type=types.seed, default=0, metavar="N", help="all randomness follows from it (default 0)")
    add("--save", metavar="PATH", help="write the model there, for purenet predict and purenet.load")
    add("--out", metavar="FOLDER", help="record the run in this new folder, for purenet show, resume, fork and others")
    types.add_snapshots(parser)


def run(options: Namespace) -> None:
    """Train, and report what came of it."""
    _check(options)
    terminal = Terminal()
    plan = make_plan(options)
    for line in (*plan.description, ""):
        terminal.say(line)
    # A loss that overflows is an error that names the step; NumPy's warnings would only precede it.
    with ExitStack() as stack, np.errstate(over="ignore", invalid="ignore"):
        folder, policy = options.out, snapshots(options)
        if options.table is None and folder is None:
            temporary = stack.enter_context(TemporaryDirectory(prefix="purenet-", ignore_cleanup_errors=True))
            folder, policy = os.path.join(temporary, "run"), Snapshots(every=-(-plan.run.steps // 5))  # noqa: PTH118
        state, history, seconds, ended_by = _trained(plan, folder, policy, terminal)
        kept = None if history is None else options.out  # Ctrl-C may have come before it began
        _finish(Finished(plan, state, seconds, ended_by, options.save, kept), terminal)
        if history is not None and options.table is None:
            terminal.value("replayed", _replayed(history, options.seed))


def _check(options: Namespace) -> None:
    """Find out before the work is done whether its results have a place."""
    if options.save is not None:
        types.check_writable(options.save, options.table, "--save")
    if options.out is not None:
        types.check_new(options.out)
    elif options.snapshots_every is not None:
        raise ArgumentError("needs a folder to store states in: --out FOLDER", path="--snapshots-every")


def _trained(
    plan: Plan, folder: str | None, policy: Snapshots | None, terminal: Terminal
) -> tuple[pn.State, History | None, float, BaseException | None]:
    """Take the steps: the last state, the history if there is one, the seconds, what ended it early."""
    watch = Watch(terminal, plan.run.steps, start_of(plan.run))
    history, ended_by = None, None
    began = perf_counter()
    try:
        if folder is None:
            for state in islice(train(plan.run), 1, None):
                watch(state)
        else:
            trees = {"model": plan.template}
            history, ended_by = written(
                folder, lambda: record(plan.run, folder, snapshots=policy, trees=trees, progress=watch)
            )
    except (KeyboardInterrupt, BrokenPipeError) as end:
        ended_by = end
    finally:
        terminal.clear()
    seconds, state = perf_counter() - began, watch.state
    if history is not None and history.steps != state.step:  # Ctrl-C came between the two
        state = history[-1]
    return state, history, seconds, ended_by


class Finished(NamedTuple):
    """A training that has ended: its last state, the seconds, what ended it early, where its results go."""

    plan: Plan
    state: pn.State
    seconds: float
    ended_by: BaseException | None
    save: str | None
    history: str | None


def _finish(done: Finished, terminal: Terminal) -> None:
    """Save the model, and say what the run came to."""
    plan, state, ended_by = done.plan, done.state, done.ended_by
    progress = f"after {state.step} of {plan.run.steps} steps"
    if done.save is not None:  # before anything is said, which may fail where nobody listens
        pn.save(pn.tree.at(plan.template, "net", state.net), done.save)
    if isinstance(ended_by, BrokenPipeError):
        kept = [] if done.save is None else [f"saved in {done.save}"]
        kept += [] if done.history is None else [f"recorded in {done.history}; {how_to_resume(done.history)}"]
        if kept:
            terminal.note(f"nobody reads the output; what was reached {progress} is {' and '.join(kept)}")
        raise ended_by
    for name, value in (("", ""), *_summary(plan, state, done.seconds)):
        terminal.value(name, value)
    if done.save is not None:
        terminal.value("saved", done.save)
    if done.history is not None:
        terminal.value("history", done.history)
    if ended_by is not None:
        raise KeyboardInterrupt(progress if done.history is None else f"{progress}; {how_to_resume(done.history)}")


def _replayed(history: History, seed: int) -> str:
    """Execute a part of a history again, drawn by the run's own seed; what was found."""
    found = verify(history, replay=1, key=pn.key(seed))
    if not found:
        raise ReplayError(f"{found.problems[0]}; purenet selftest tells whether this machine computes as it should")
    return f"{found.replayed} of {found.steps} steps, drawn at random: the same bits"


def _summary(plan: Plan, state: pn.State, seconds: float) -> Iterator[tuple[str, str]]:
    """What the run came to, as names and values."""
    yield "final loss" if plan.test is None else "train loss", _loss(plan, state.net, plan.train)
    if plan.test is not None:
        yield "test loss", _loss(plan, state.net, plan.test)
        yield _score(state.net, plan.test)
    yield "steps", str(state.step)
    if state.step:
        yield "time per step", f"{1000 * seconds / state.step:.3f} ms"
    yield "arithmetic", types.describe(plan.run.arithmetic)
    yield "digest", pn.digest(state.net)


def _pieces(data: pn.Dataset) -> Iterator[pn.Dataset]:
    """A dataset in pieces of bounded size."""
    return (data.take(slice(start, start + PIECE)) for start in range(0, len(data), PIECE))


def _loss(plan: Plan, net: Any, data: pn.Dataset) -> str:
    """The objective over a whole dataset; means over its pieces are weighted by their sizes."""
    losses, sizes = [], []
    for piece in _pieces(data):
        weights = () if piece.weights is None else (piece.weights,)
        size = float(len(piece)) if piece.weights is None else float(np.sum(piece.weights))
        if size > 0:
            losses.append(float(plan.run.objective(net, (piece.x, piece.y, *weights))))
            sizes.append(size)
    return f"{np.average(losses, weights=sizes):.6g}" if losses else "none: all weights are zero"


def _score(net: Any, test: pn.Dataset) -> tuple[str, str]:
    """How well the held-out part is predicted: accuracy, or the coefficient of determination."""
    outputs = np.concatenate([pn.forward(net, piece.x) for piece in _pieces(test)])
    if test.y.ndim == 1:
        right = int(np.sum(np.argmax(outputs, axis=1) == test.y))
        return "test accuracy", f"{right / len(test):.4f} ({right} of {len(test)})"
    spread = float(np.sum((test.y - np.mean(test.y, axis=0)) ** 2))
    if spread == 0:
        return "test R^2", "none: the held-out targets are all the same"
    score = 1 - float(np.sum((outputs - test.y) ** 2)) / spread
    return "test R^2", f"{score:.4f}" if score > -1000 else f"{score:.4g}"
