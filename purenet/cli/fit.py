"""`purenet fit`: train a network on a table, or on the random data of the first seed program."""

from __future__ import annotations

import math
import sys
from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Iterator
from itertools import islice
from time import perf_counter
from typing import Any

import numpy as np
from toolz import accumulate, take

import purenet as pn
from purenet.cli import options as types
from purenet.cli.plan import Plan, make_plan
from purenet.optimizers import RECIPES

PIECE = 4096
"""How many rows go through the network together when it is evaluated."""

_SECONDS_BETWEEN = 0.1


class Terminal:
    """Results on standard output, and a line of progress on standard error if that is a terminal."""

    def __init__(self) -> None:
        self._next = 0.0 if sys.stderr.isatty() else math.inf
        self._progress_is_shown = False

    def say(self, line: str = "") -> None:
        """A line of the result; it is there at once, also in a pipe."""
        self.clear()
        print(line, flush=True)

    def progress(self, done: int, total: int, loss: float) -> None:
        """Show how far the work is, a few times in a second."""
        now = perf_counter()
        if now >= self._next:
            self._next = now + _SECONDS_BETWEEN
            self._progress_is_shown = True
            print(f"\r\x1b[Kstep {done} of {total}, loss {loss:.4g}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Wipe the line of progress away."""
        if self._progress_is_shown:
            self._progress_is_shown = False
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Without a table: the random data and the network of the first seed program, drawn by "
        "numpy.random.RandomState(seed). Only --hidden (default 100), --activation, --optimizer (default sgd), "
        "--learning-rate (default 1e-6), --steps (default 500), --seed and --save apply then."
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
    training("--seed", type=types.seed, default=0, metavar="N", help="all randomness follows from it (default 0)")
    add("--save", metavar="PATH", help="write the model there, for purenet predict and purenet.load")


def run(options: Namespace) -> None:
    """Train, and report what came of it."""
    if options.save is not None:
        types.check_writable(options.save, options.table)
    terminal = Terminal()
    plan = make_plan(options)
    for line in (*plan.description, ""):
        terminal.say(line)
    # A loss that overflows is an error that names the step; NumPy's warnings would only precede it.
    with np.errstate(over="ignore", invalid="ignore"):
        state, seconds, ended_by = train(plan, terminal)
        progress = f"after {state.step} of {plan.steps} steps"
        if options.save is not None:  # before anything is said, which may fail where nobody listens
            pn.save(plan.as_model(state.net), options.save)
        if isinstance(ended_by, BrokenPipeError):
            if options.save is not None:
                saved = f"what was reached {progress} is saved in {options.save}"
                print(f"purenet: nobody reads the output; {saved}", file=sys.stderr)
            raise ended_by
        summary = (("", ""), *_summary(plan, state, seconds))
    for name, value in summary:
        terminal.say(f"{name:<14} {value}".rstrip())
    if options.save is not None:
        terminal.say(f"{'saved':<14} {options.save}")
    if ended_by is not None:
        raise KeyboardInterrupt(progress)


def train(plan: Plan, terminal: Terminal) -> tuple[pn.State, float, BaseException | None]:
    """Fold the steps over the batches, saying the loss now and then: the state, the seconds, what ended it early."""
    step = pn.make_step(plan.objective, plan.optimizer)
    state = pn.init_state(plan.net, plan.optimizer, key=plan.key)
    states = islice(accumulate(step, take(plan.steps, plan.batches), state), 1, None)
    ended_by: BaseException | None = None
    began = perf_counter()
    try:
        for state in states:  # Ctrl-C may come at any moment: the last state is a value, and so it is whole
            if is_shown(state.step - 1, plan.steps):
                terminal.say(f"{state.step - 1} {float(state.loss)!r}")
            terminal.progress(state.step, plan.steps, float(state.loss))
    except (KeyboardInterrupt, BrokenPipeError) as end:
        ended_by = end
    finally:
        terminal.clear()
    return state, perf_counter() - began, ended_by


def is_shown(step: int, steps: int) -> bool:
    """Whether the loss at a step is printed: at 0, 1, 2, 5, 10, 20, 50 and so on, and at the last."""
    return str(step).rstrip("0") in ("", "1", "2", "5") or step == steps - 1


def _summary(plan: Plan, state: pn.State, seconds: float) -> Iterator[tuple[str, str]]:
    """What the run came to, as names and values."""
    yield "final loss" if plan.test is None else "train loss", _loss(plan, state.net, plan.train)
    if plan.test is not None:
        yield "test loss", _loss(plan, state.net, plan.test)
        yield _score(state.net, plan.test)
    yield "steps", str(state.step)
    if state.step:
        yield "time per step", f"{1000 * seconds / state.step:.3f} ms"
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
            losses.append(float(plan.objective(net, (piece.x, piece.y, *weights))))
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
    return "test R^2", f"{1 - float(np.sum((outputs - test.y) ** 2)) / spread:.4f}"
