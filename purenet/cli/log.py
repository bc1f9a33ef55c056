"""`purenet log`: where a history comes from, the newest run first."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

from purenet.cli.histories import add_history
from purenet.cli.terminal import Terminal
from purenet.errors import PurenetError
from purenet.history import History, open_history
from purenet.history.comparison import run_differences

_MOST = 6


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "Each run with its steps and last loss, and what a fork changed. Steps count from 0."
    add_history(parser)


def run(options: Namespace) -> None:
    """Print a paragraph for each run of the lineage."""
    terminal = Terminal()
    history: History | None = open_history(options.history)
    while history is not None:
        for line in _described(history):
            terminal.say(line)
        history = history.parent


def _described(history: History) -> Iterator[str]:
    """A run in lines."""
    manifest, losses = history.reader.manifest, history.reader.losses
    loss = f", last loss {losses[-1]:.6g}" if len(losses) else ""
    steps = f"steps {history.start} to {history.steps - 1}" if len(losses) else "no step yet"
    yield f"{history.path}  {history.digest[:12]}"
    yield f"    {steps}, {manifest.get('arithmetic', 'unknown')} arithmetic{loss}"
    parent = manifest.get("parent")
    if isinstance(parent, dict):
        yield f"    forked after {parent.get('step')} steps of {parent.get('absolute')}"
        yield from (f"    {line}" for line in _changes(history))


def _changes(history: History) -> Iterator[str]:
    """What a fork has other than its parent."""
    try:
        parent = history.parent
        ours, theirs = history.run, None if parent is None else parent.run
        found = [] if ours is None or theirs is None else list(run_differences(theirs, ours))
    except PurenetError:  # the lineage itself says what is missing; a run that cannot be read here is named by `show`
        return
    for different in found[:_MOST]:
        yield f"changed: {different}"
    if len(found) > _MOST:
        yield f"changed: {len(found) - _MOST} more"
