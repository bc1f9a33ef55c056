"""What the values of options may be, each as a function from its text."""

from __future__ import annotations

import math
import os
import tempfile
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import purenet as pn
from purenet.errors import ArgumentError
from purenet.history.reader import JOURNAL, MANIFEST

ARITHMETICS = ("portable", "native")

ACTIVATIONS: Mapping[str, Any] = MappingProxyType(
    {
        "elu": pn.Elu(),
        "gelu": pn.Gelu(),
        "leaky-relu": pn.LeakyRelu(),
        "relu": pn.Relu(),
        "sigmoid": pn.Sigmoid(),
        "silu": pn.Silu(),
        "softplus": pn.Softplus(),
        "tanh": pn.Tanh(),
    }
)
"""The activations by the names that the command line knows them by."""


def one_of(names: Iterable[str]) -> Callable[[str], str]:
    """The type of an option that is one of several names; a mistyped one is told the closest."""
    known = tuple(names)

    def name(text: str) -> str:
        if text in known:
            return text
        from difflib import get_close_matches

        close = get_close_matches(text.lower(), known, n=1)
        suggestion = f" (did you mean {close[0]}?)" if close else ""
        raise ArgumentTypeError(f"there is no {text!r}{suggestion}; known are {', '.join(known)}")

    return name


def names(text: str) -> tuple[str, ...]:
    """Names divided by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def value(read: Callable[[str], Any], fits: Callable[[Any], bool], expected: str) -> Callable[[str], Any]:
    """The type of an option that `read` makes of its text, where it `fits`."""

    def read_checked(text: str) -> Any:
        with suppress(ValueError):
            found = read(text)
            if fits(found):
                return found
        raise ArgumentTypeError(f"expected {expected}, got {text!r}")

    return read_checked


count = value(int, lambda n: n >= 1, "an integer of at least 1")
whole = value(int, lambda n: True, "an integer")
slices = value(int, lambda n: 1 <= n <= 3, "1, 2 or 3")
replay = value(
    lambda text: text if text in ("all", "none") else int(text),
    lambda found: isinstance(found, str) or found >= 1,
    "all, none, or how many segments",
)
seed = value(int, lambda n: n >= 0, "an integer of at least 0")
rate = value(float, lambda x: 0 < x < math.inf, "a number above 0")
fraction = value(float, lambda x: 0 <= x < 1, "a fraction of at least 0 and below 1, such as 0.2")
sizes = value(
    lambda text: () if text.strip().lower() == "none" else tuple(map(int, text.split(","))),
    lambda found: min(found, default=1) >= 1,
    "sizes like 64,64, or none for no hidden layer",
)
single_character = value(
    lambda text: "\t" if text == "\\t" else text,
    lambda found: len(found) == 1 and found not in '"\r\n',
    "one character, such as ';' or \\t",
)


def check_writable(path: str, source: str | None, place: str = "") -> None:
    """Raise an error if a file could not be written, or would replace its data, before the work is done."""
    place = f"{place} {path}".strip()
    if os.path.isdir(path) or not os.path.basename(path):  # noqa: PTH112, PTH119
        raise ArgumentError("this is a folder; name a file in it, such as model.safetensors", path=place)
    if source is not None and os.path.exists(path) and os.path.samefile(path, source):  # noqa: PTH110, PTH121
        raise ArgumentError("this would replace the data; choose another name", path=place)
    _check_outside_histories(path, place)
    folder = os.path.dirname(os.path.realpath(path))  # noqa: PTH120
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except FileNotFoundError:
        raise ArgumentError(f"there is no folder {folder}; make it first, or choose another", path=place) from None
    except OSError as error:
        problem = f"nothing can be written in {folder} ({error.strerror or error}); choose another folder"
        raise ArgumentError(problem, path=place) from None


def add_snapshots(parser: ArgumentParser) -> None:
    """Declare `--snapshots-every`."""
    parser.add_argument("--snapshots-every", type=count, metavar="N",
                        help="store every so many states (default: one about every second)")  # fmt: skip


def check_new(path: str) -> None:
    """Raise an error if a history could not begin there, because something is there already."""
    if os.path.lexists(path) and not (os.path.isdir(path) and not os.listdir(path)):  # noqa: PTH112, PTH208
        raise ArgumentError("something is there already; choose another folder, or purenet resume it", path=path)
    _check_outside_histories(path, path)


def _check_outside_histories(path: str, place: str) -> None:
    """Refuse what would lie in the folder of a recorded run, or below it."""
    for folder in Path(os.path.realpath(path)).parents:
        if (folder / MANIFEST).exists() and (folder / JOURNAL).exists():
            raise ArgumentError(f"{folder} is a recorded run, and nothing else goes there; choose another", path=place)


def add_arithmetic(add: Callable[..., Any]) -> None:
    """Declare what `arithmetic` reads."""
    add("--arithmetic", type=one_of(ARITHMETICS), metavar="NAME",
        help="portable: the same bits on every machine (default); native: the quickest here")  # fmt: skip
    add("--slices", type=slices, metavar="N",
        help="1, 2 or 3: precision of portable products, about 21, 42 or 53 bits")  # fmt: skip


def arithmetic(options: Namespace, default_slices: int = 1) -> pn.Portable | pn.Native:
    """The arithmetic that was asked for; portable if nothing was said."""
    if options.arithmetic == "native":
        if options.slices is not None:
            raise ArgumentError("native arithmetic has no slices; leave one of the two out", path="--slices")
        return pn.Native()
    return pn.Portable(slices=options.slices or default_slices)


def describe(mode: Any) -> str:
    """An arithmetic in words."""
    if isinstance(mode, pn.Portable):
        return f"{mode.version}, {mode.slices} slice{'s' if mode.slices > 1 else ''}: the same bits on every machine"
    return "native: the bits of this machine and its libraries"
