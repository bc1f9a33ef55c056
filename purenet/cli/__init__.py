"""The command `purenet`: one module for each subcommand, and a table of them.

A subcommand is a pair of functions: `configure(parser)` declares its options, and `run(options)` carries it out.
Results go to standard output; errors, notes and progress go to standard error. Exit codes:

- 0: done
- 1: an error in the data, a file or the computation; one line on standard error says where and what to do.
  `verify` and `diff` answer by it: something is wrong, or differs
- 2: the command was written wrongly; `verify` and `diff` had any other error
- 130: ended by Ctrl-C
- 141: nobody reads standard output any more
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import TextIOWrapper
from typing import NamedTuple, NoReturn

import purenet as pn
from purenet.cli import diff, export, fit, fork, log, predict, resume, selftest, show, verify
from purenet.cli.terminal import printable
from purenet.errors import PurenetError


class Command(NamedTuple):
    """A subcommand: its name, what it does in a line, its two functions, and how it ends after an error.

    What `run` returns is the exit code; None is 0.
    """

    name: str
    summary: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int | None]
    after_error: int = 1


COMMANDS = (
    Command("fit", "train a network on a table, or on random data", fit.configure, fit.run),
    Command("predict", "apply a saved model or a recorded run to a table", predict.configure, predict.run),
    Command("show", "what a recorded run holds, with the curve of its losses", show.configure, show.run),
    Command("log", "where a recorded run comes from", log.configure, log.run),
    Command("verify", "execute a recorded run again and compare the bits", verify.configure, verify.run, 2),
    Command("resume", "go on with an interrupted run", resume.configure, resume.run),
    Command("fork", "a new run from any step of a recorded one", fork.configure, fork.run),
    Command("diff", "where two recorded runs part", diff.configure, diff.run, 2),
    Command("export", "write the state at a step to a file", export.configure, export.run),
    Command("selftest", "whether this machine keeps the numeric contract", selftest.configure, selftest.run),
)


class Parser(argparse.ArgumentParser):
    """A parser whose complaints fit on a line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the command, and end with the exit code for that."""
        self.exit(2, f"{self.prog}: error: {message}\n  {self.prog} --help lists the options\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Args:
        arguments: the words after `purenet`; None takes those of the process.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # show the code of a character that the encoding lacks
    after_error = 1
    try:
        options = _parser().parse_args(arguments)
        after_error = options.after_error
        code: int | None = options.run(options)
        sys.stdout.flush()
    except SystemExit as end:  # argparse, after --help, --version or a complaint
        return end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt as interrupt:
        return _fail(f"interrupted {interrupt}".rstrip(), 130)
    except BrokenPipeError:
        with suppress(OSError, ValueError):  # what is still held goes nowhere, or Python complains as it closes
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except PurenetError as error:
        return _fail(f"error: {error}", after_error)
    except MemoryError as error:
        return _fail(f"error: there is not enough memory; use less data or a smaller network ({error})", after_error)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _fail(f"error: {place}{error.strerror or error}; check the path and its permissions", after_error)
    return code or 0


def _parser() -> Parser:
    parser = Parser(
        prog="purenet",
        description="Train neural networks as a functional pipeline in plain NumPy.",
        epilog="purenet COMMAND --help lists the options of a command.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"purenet {pn.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")
    for command in COMMANDS:
        sub = commands.add_parser(
            command.name, help=command.summary, description=f"{command.summary.capitalize()}.", allow_abbrev=False
        )
        command.configure(sub)
        sub.set_defaults(run=command.run, after_error=command.after_error)
    return parser


def _fail(problem: str, code: int) -> int:
    print(printable(f"purenet: {problem}".replace("\n", " ")), file=sys.stderr)
    return code
