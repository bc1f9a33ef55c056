"""`purenet show`: what a history holds, with the curve of its losses."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from shutil import get_terminal_size
from typing import Any

import numpy as np

from purenet.cli.chart import loss_curve
from purenet.cli.histories import add_history, arithmetic_of
from purenet.cli.terminal import Terminal
from purenet.cli.watch import how_to_resume
from purenet.errors import PurenetError, count
from purenet.history import History, open_history

_LAST = 3
_PARTS = ("network", "objective", "optimizer", "batches")
_KEYS = ("array", "dtype", "file", "shape")


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "It can be run while the history is being written, and shows what is written by then."
    add_history(parser)


def run(options: Namespace) -> None:
    """Print the summary, the curve and the last losses."""
    history, terminal = open_history(options.history), Terminal()
    for name, value in _summary(history):
        terminal.value(name, value)
    first, losses = _losses(history, terminal)
    if not len(losses):
        return
    terminal.say()
    width = min(get_terminal_size().columns, 120) - 1
    for line in loss_curve(losses, width, blocks=can_show_blocks(), first=first):
        terminal.say(line)
    terminal.say()
    end = first + len(losses)
    for i, loss in enumerate(losses[-_LAST:].tolist(), max(first, end - _LAST)):
        terminal.say(f"{i} {loss!r}")


def can_show_blocks() -> bool:
    """Whether standard output has block characters in its encoding."""
    try:
        "▁█".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _summary(history: History) -> Iterator[tuple[str, str]]:
    """What there is to say of a history in names and values."""
    manifest = history.reader.manifest
    yield "history", str(history.path)
    planned = manifest.get("steps")
    is_short = isinstance(planned, int) and history.steps < planned
    missing = f" of {planned}; {how_to_resume(history.path)}" if is_short else ""
    yield "steps", f"{history.steps}{missing}"
    yield "arithmetic", arithmetic_of(history)
    here = history.environment
    yield "recorded on", f"purenet {here.purenet}, {here.python}, NumPy {here.numpy}, {here.system} {here.machine}"
    yield "", f"{here.blas} {here.blas_version}, kernel {here.blas_kernel}, {count(here.blas_threads or 0, 'thread')}"
    for changed in history.changed_environment:
        yield "", f"not as here: {changed}"
    parent = manifest.get("parent")
    if isinstance(parent, dict):
        yield "fork of", f"{parent.get('absolute')} after {parent.get('step')} steps"
    yield from _of_run(history)
    yield from _stored(history)
    losses = history.reader.losses
    finite = np.flatnonzero(np.isfinite(losses))
    if len(finite):
        lowest = int(finite[np.argmin(losses[finite])])
        yield "lowest loss", f"{losses[lowest]:.6g} at step {history.start + lowest}"
    yield "digest", history.digest


def _of_run(history: History) -> Iterator[tuple[str, str]]:
    """The parts of the run; of one whose data lies elsewhere the places, for to build it is to read all of that."""
    elsewhere = history.reader.manifest.get("data")
    if isinstance(elsewhere, list) and elsewhere:
        for reference in elsewhere:
            if isinstance(reference, dict):
                text = "{array}: {dtype} {shape} in {file}".format_map({**dict.fromkeys(_KEYS), **reference})
                yield "data", _shortened(text)
        return
    try:
        run = history.run
    except PurenetError as error:
        yield "run", f"cannot be read here: {error}"
        return
    if run is None:
        yield "run", "states alone"
        return
    for name, part in zip(_PARTS, (run.net, run.objective, run.optimizer, run.batches), strict=True):
        yield name, _shortened(" ".join(repr(part).split()))


def _shortened(text: str, most: int = 300) -> str:
    return text if len(text) <= most else f"{text[: most - 4]} ..."


def _stored(history: History) -> Iterator[tuple[str, str]]:
    """What is stored, and how much disk it takes."""
    sizes = [snapshot.size for snapshot in history.reader.snapshots.values()]
    after = ", ".join(map(str, history.snapshots[:3])) + (", ..." if len(sizes) > 4 else "")
    after += f", {history.snapshots[-1]}" if len(sizes) > 3 else ""
    yield "states stored", f"{len(sizes)}, {sum(sizes) / 1e6:.3g} MB: after {after} steps" if sizes else "none"
    if history.reader.metrics:
        yield "metrics", ", ".join(history.reader.metrics)


def _losses(history: History, terminal: Terminal) -> tuple[int, Any]:
    """The number of the first step, and the losses from it on: of the parents too, if they are there."""
    try:
        return 0, history.losses
    except PurenetError as error:
        terminal.note(f"the losses before the fork are not shown: {error}")
        return history.start, history.reader.losses
