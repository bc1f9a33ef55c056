"""What the commands show: results on standard output, notes and a line of progress on standard error."""

from __future__ import annotations

import math
import sys
from time import perf_counter

_SECONDS_BETWEEN = 0.1
_WIDTH = 14


class Terminal:
    """Results on standard output, and a line of progress on standard error if that is a terminal."""

    def __init__(self) -> None:
        self._next = 0.0 if sys.stderr.isatty() else math.inf
        self._progress_is_shown = False

    def say(self, line: str = "") -> None:
        """A line of the result; it is there at once, also in a pipe."""
        self.clear()
        print("\n".join(map(printable, line.split("\n"))), flush=True)

    def value(self, name: str, value: object) -> None:
        """A line of a summary."""
        self.say(f"{name:<{_WIDTH}} {printable(str(value))}".rstrip())

    def note(self, text: str) -> None:
        """A line about the work, which is no result."""
        self.clear()
        print(f"purenet: {printable(text)}", file=sys.stderr, flush=True)

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


def printable(text: str) -> str:
    """Text of any origin, with the codes of characters that would command the terminal.

    Example:
        >>> print(printable("red: \\x1b[31m"))
        red: \\x1b[31m
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
