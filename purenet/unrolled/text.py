"""The text of a function that is being written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Source:
    """The lines of a function, and what its names stand for.

    Args:
        signature: the name of the function, and its parameters.

    Example:
        >>> source = Source("run(x)")
        >>> source.write(f"return x + {source.name('one', 1)}")
        >>> print(source.text())
        def run(x):
            return x + one
    """

    def __init__(self, signature: str) -> None:
        self._lines = [f"def {signature}:"]
        self._count = 0
        self.names: dict[str, Any] = {}

    def write(self, *lines: str) -> None:
        """Add lines."""
        self._lines += lines

    def name(self, name: str, value: Any) -> str:
        """Let a name stand for a value from outside."""
        self.names[name] = value
        return name

    def numbered(self, name: str, value: Any) -> str:
        """Let a name with a number of its own stand for a value from outside."""
        self._count += 1
        return self.name(f"{name}{self._count}", value)

    def text(self) -> str:
        """The whole function."""
        return "\n    ".join(self._lines)


def listed(letter: str, numbers: Iterable[int]) -> str:
    """Names with numbers.

    Example:
        >>> listed("d", range(3))
        'd0, d1, d2'
    """
    return ", ".join(f"{letter}{n}" for n in numbers)
