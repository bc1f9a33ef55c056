"""What the commands on histories share: opening one, its states, and the models in them."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

import purenet as pn
from purenet.cli import options as types
from purenet.cli.terminal import Terminal
from purenet.errors import EnvironmentWarning, PurenetError, StorageError
from purenet.history import History, open_history
from purenet.model import Model


def add_history(parser: ArgumentParser, name: str = "history", help: str = "the folder of a recorded run") -> None:
    """Declare a history as an argument."""
    parser.add_argument(name, metavar=name.upper(), help=help)


def add_step(parser: ArgumentParser) -> None:
    """Declare `--step`, which `state_at` takes."""
    parser.add_argument("--step", type=types.whole, metavar="N",
                        help="after how many steps (default: all that there are; -1 is the last, too)")  # fmt: skip


@contextmanager
def opened(path: str, terminal: Terminal) -> Iterator[History]:
    """An open history; that native arithmetic may give other bits here is said once, in a line."""
    from warnings import catch_warnings, simplefilter

    history = open_history(path)
    if history.changed_environment:
        changed = "; ".join(history.changed_environment)
        terminal.note(f"{path}: native arithmetic, recorded elsewhere; steps may have other bits here ({changed})")
    with catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
        simplefilter("ignore", EnvironmentWarning)
        yield history


def state_at(history: History, step: int | None) -> Any:
    """The state after some steps, which has a network."""
    state = history[-1 if step is None else step]
    if not hasattr(state, "net"):
        raise StorageError(f"its states have no network: they are {type(state).__name__}", path=str(history.path))
    return state


def model_at(history: History, step: int | None) -> Model:
    """The model that `purenet fit` would have saved after some steps; the bare network if another program recorded."""
    template = history.load("model") if "model" in history.trees else Model(None)
    if not isinstance(template, Model):
        kind = type(template).__name__
        raise StorageError(f"what it holds as a model is a {kind}", path=str(history.path))
    model: Model = pn.tree.at(template, "net", state_at(history, step).net)
    return model


def arithmetic_of(history: History) -> str:
    """The arithmetic of a run in words, as far as the manifest has it."""
    manifest, run = history.reader.manifest, None
    if not manifest.get("data"):
        with suppress(PurenetError):
            run = history.run
    return str(manifest.get("arithmetic", "unknown")) if run is None else types.describe(run.arithmetic)
