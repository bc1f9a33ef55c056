"""`purenet verify`: whether a history is as it was written, and gives the same bits again."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from contextlib import suppress

import purenet as pn
from purenet.cli import options as types
from purenet.cli.histories import add_history, opened
from purenet.cli.terminal import Terminal
from purenet.errors import ArgumentError, PurenetError, ReplayError, StorageError
from purenet.history import verify


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Compares every byte with its digest, executes steps again, and compares the bits of every state. Exit code 0 "
        "if all is well, 1 if something is not, and 2 if it cannot be told."
    )
    add_history(parser)
    parser.add_argument("--replay", type=types.replay, default="all", metavar="N",
                        help="all steps (default), none, or how many segments between stored states")  # fmt: skip
    parser.add_argument("--seed", type=types.seed, default=0, metavar="N",
                        help="which segments are drawn (default 0)")  # fmt: skip


def run(options: Namespace) -> int:
    """Print what was found; the exit code."""
    path, terminal = options.history, Terminal()
    if not os.path.isdir(path):  # noqa: PTH112
        raise StorageError("there is no such folder, and so no history", path=path)
    try:
        with opened(path, terminal) as history:
            with suppress(ReplayError):  # that data is not as it was is reported; a name may be known elsewhere
                if options.replay != "none" and history.run is None:
                    raise ArgumentError("it holds states alone, no run to execute; use --replay none", path=path)
            report = verify(history, options.replay, key=pn.key(options.seed))
    except ArgumentError:
        raise
    except PurenetError:  # what keeps it from being opened is what there is to report
        report = verify(path, "none")
        if report:
            raise
    terminal.say(str(report))
    return 0 if report else 1
