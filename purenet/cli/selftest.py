"""`purenet selftest`: whether this machine keeps the numeric contract."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from purenet.conformance import selftest
from purenet.errors import PurenetError


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Runs every operation of portable arithmetic on known inputs and compares all bits with known answers, in "
        "less than a second. Prints a line for each operation, and what this machine computes with. Ends with exit "
        "code 1 if an operation does not conform: please report what it printed then."
    )


def run(options: Namespace) -> None:
    """Print the report."""
    report = selftest()
    print(report)
    differing = [outcome.operation for outcome in report.outcomes if not outcome.conforms]
    if differing:
        verb = "operation does" if len(differing) == 1 else "operations do"
        raise PurenetError(
            f"{len(differing)} {verb} not conform: {', '.join(differing)}; results of portable arithmetic may have "
            "other bits here than elsewhere. Please report the table"
        )
