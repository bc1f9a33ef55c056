"""Whether this machine keeps the numeric contract: known answers, operation by operation."""

from __future__ import annotations

from typing import Any

import numpy as np

from purenet.arithmetic.modes import PORTABLE_1
from purenet.canonical import digest
from purenet.conformance.answers import ANSWERS
from purenet.conformance.operations import Operation, operations
from purenet.fingerprint import Environment, environment
from purenet.records import static, struct

DIGITS = 16
"""How many hexadecimal digits of a digest an answer has."""


@struct
class Outcome:
    """What came of one operation: the answer that the contract knows, and the one found here or the error instead."""

    group: str = static()
    operation: str = static()
    expected: str = static()
    found: str = static()

    @property
    def conforms(self) -> bool:
        """Whether the bits are those of the contract."""
        return self.found == self.expected


@struct
class SelfTest:
    """The outcome of every operation; true if all conform. `print` shows a table."""

    outcomes: tuple[Outcome, ...] = static()
    environment: Environment = static()

    def __bool__(self) -> bool:
        return all(outcome.conforms for outcome in self.outcomes)

    def __str__(self) -> str:
        lines = []
        for i, outcome in enumerate(self.outcomes):
            if i == 0 or self.outcomes[i - 1].group != outcome.group:
                lines.append(outcome.group)
            result = "conforms" if outcome.conforms else f"DIFFERS: {outcome.expected} expected, got {outcome.found}"
            lines.append(f"  {outcome.operation:24}  {result}")
        return "\n".join([*lines, "", str(self.environment), "", self.summary])

    @property
    def summary(self) -> str:
        """The outcome in a line."""
        conforming = sum(outcome.conforms for outcome in self.outcomes)
        return f"{PORTABLE_1}: {conforming} of {len(self.outcomes)} operations conform"


def selftest() -> SelfTest:
    """Whether this machine keeps the numeric contract: its operations on known inputs, compared with known answers.

    It takes less than a second. An answer is the beginning of the digest of all results of an operation, so that a
    single bit makes it differ. An operation that raises an error does not conform either.

    Example:
        >>> report = selftest()
        >>> bool(report)
        True
        >>> print(report.summary)
        portable-1: ... operations conform
    """
    outcomes = [
        Outcome(group, name, ANSWERS.get(f"{group}: {name}", "nothing"), answer(operation))
        for group, members in operations().items()
        for name, operation in members.items()
    ]
    return SelfTest(tuple(outcomes), environment())


def answer(operation: Operation) -> str:
    """The answer that an operation gives on this machine, or the error that it raises instead."""
    try:
        with np.errstate(all="ignore"):
            return digest(_plain(operation()))[:DIGITS]
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _plain(result: Any) -> Any:
    """A result as lists of arrays; a NumPy scalar counts as an array without dimensions."""
    return [_plain(item) for item in result] if isinstance(result, tuple | list) else np.asarray(result)
