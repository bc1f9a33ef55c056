"""Exceptions that say where something is wrong, what was expected, what came, and how to mend it.

Every exception that purenet raises on purpose is a `PurenetError`, and also the built-in exception that a NumPy user
would expect (`ValueError`, `TypeError`, `AssertionError`), so that existing handlers keep working.
"""

from __future__ import annotations

from typing import Self


class PurenetError(Exception):
    """The base of every exception that purenet raises on purpose.

    Args:
        problem: what is wrong, what was expected, what came and the fix.
        path: where in a tree or call it is wrong, like `layers[0].weight`; empty when there is no such place.

    Example:
        >>> str(PurenetError("expected shape (10,), got (9,)", path="Dense.bias"))
        'Dense.bias: expected shape (10,), got (9,)'
    """

    def __init__(self, problem: str, path: str = "") -> None:
        super().__init__(problem, path)
        self.problem = problem
        self.path = path

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}" if self.path else self.problem

    def within(self, outer: str) -> Self:
        """The same error seen from a tree that holds this one at `outer`."""
        return type(self)(self.problem, path=join_paths(outer, self.path))


class TreeError(PurenetError, ValueError):
    """A tree has not the form that an operation needs."""


class StructureError(TreeError):
    """Two trees that should have the same structure differ."""


class ShapeError(TreeError):
    """An array has the wrong shape."""


class DtypeError(TreeError, TypeError):
    """A value has the wrong type, or an array the wrong dtype."""


class ArgumentError(PurenetError, ValueError):
    """An argument has a value outside what the function is defined for."""


class DataError(PurenetError, ValueError):
    """Data is empty, ragged, not finite, or not what a task needs."""


class NonFiniteError(PurenetError, ArithmeticError):
    """A computation reached NaN or infinity where a finite number is needed."""


class StorageError(PurenetError, ValueError):
    """A file is damaged, hostile, or not in a format that purenet reads."""


class WriteError(StorageError, OSError):
    """A file cannot be written; what stood there before is as it was."""


class StepError(PurenetError, IndexError):
    """A history has no step or state of this number."""


class ReplayError(PurenetError, RuntimeError):
    """A step that is executed again does not give the bits that its history has."""


class EnvironmentWarning(UserWarning):
    """Native arithmetic is replayed on another machine or library than it was recorded on."""


class DifferentiationError(PurenetError, TypeError):
    """A function cannot be differentiated as it is written."""


class MissingRuleError(DifferentiationError):
    """A NumPy function that has no derivative rule was applied to a traced value."""


class ContractError(PurenetError, TypeError):
    """An operation is outside the numeric contract that portable arithmetic follows."""


class GradientError(PurenetError, AssertionError):
    """A derivative disagrees with its finite difference."""


def join_paths(outer: str, inner: str) -> str:
    """`inner` seen from a tree that holds it at `outer`."""
    if not outer or not inner or inner.startswith("["):
        return outer + inner
    return f"{outer}.{inner}"


def count(number: int, noun: str) -> str:
    """A number of things, in words."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
