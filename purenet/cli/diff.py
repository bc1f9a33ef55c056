"""`purenet diff`: how two histories differ, and the first step, leaf and bit in which they part."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from purenet.cli.histories import add_history, opened
from purenet.cli.terminal import Terminal
from purenet.history import diff


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Exit code 0 if the runs, the data and all states that both have are the same, 1 if not, and 2 if it cannot be "
        "told. That they were recorded on different machines is printed, and is no difference by itself."
    )
    add_history(parser, "a")
    add_history(parser, "b", "the folder of another")


def run(options: Namespace) -> int:
    """Print what differs; the exit code."""
    terminal = Terminal()
    with opened(options.a, terminal) as a, opened(options.b, terminal) as b:
        found = diff(a, b)
    terminal.say(str(found))
    return int(bool(found.runs or found.data or found.step is not None))
