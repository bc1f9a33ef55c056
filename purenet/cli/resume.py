"""`purenet resume`: go on with a recorded run where it ended."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from purenet.cli import options as types
from purenet.cli.histories import add_history, opened
from purenet.cli.terminal import Terminal
from purenet.cli.watch import Watch, report, snapshots, written
from purenet.errors import ArgumentError
from purenet.history import resume


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "The history is then the one of a run that was never interrupted."
    add_history(parser)
    parser.add_argument("--steps", type=types.count, metavar="N",
                        help="how many steps it has in the end (default: as planned)")  # fmt: skip
    types.add_snapshots(parser)


def run(options: Namespace) -> None:
    """Take the steps that are left, and report."""
    path, terminal = options.history, Terminal()
    with opened(path, terminal) as history:
        if history.run is None:
            raise ArgumentError("it holds states alone, no run to go on with", path=path)
        steps = history.run.steps if options.steps is None else options.steps
        if history.steps >= steps:
            terminal.say(f"{path}: nothing is left to do after {history.steps} steps; --steps N goes further")
            return
        terminal.say(f"{path}: step {history.steps} to {steps}, {types.describe(history.run.arithmetic)}")
        terminal.say()
        watch = Watch(terminal, steps)
        after, ended_by = written(
            path, lambda: resume(path, options.steps, snapshots=snapshots(options), progress=watch)
        )
        terminal.say()
        report(after, steps, ended_by, terminal)
