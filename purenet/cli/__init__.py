"""The command `purenet`: one module for each subcommand, and a table of them.

A subcommand is a pair of functions: `configure(parser)` declares its options, and `run(options)` carries it out.
Results go to standard output; errors, notes and progress go to standard error. Exit codes:

- 0: done
- 1: an error in the data, a file or the computation; one line on standard error says where and what to do
- 2: the command was written wrongly
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
from purenet.cli import fit, predict
from purenet.errors import PurenetError


class Command(NamedTuple):
    """A subcommand: its name, what it does in a line, and its two functions."""

    name: str
    summary: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]


COMMANDS = (
    Command("fit", "train a network on a table, or on random data", fit.configure, fit.run),
    Command("predict", "apply a saved model to a table", predict.configure, predict.run),
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
    try:
        options = _parser().parse_args(arguments)
        options.run(options)
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
        return _fail(f"error: {error}", 1)
    except MemoryError as error:
        return _fail(f"error: there is not enough memory; use less data or a smaller network ({error})", 1)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _fail(f"error: {place}{error.strerror or error}; check the path and its permissions", 1)
    return 0


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
        sub.set_defaults(run=command.run)
    return parser


def _fail(problem: str, code: int) -> int:
    print(f"purenet: {problem}".replace("\n", " "), file=sys.stderr)
    return code
