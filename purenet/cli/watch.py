"""Training as the terminal sees it: losses as they come, a last state, and an end that may come early."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import purenet as pn
from purenet.cli.terminal import Terminal
from purenet.errors import NonFiniteError, StorageError
from purenet.history import History, Snapshots, open_history
from purenet.safetensors import PathLike


class Watch:
    """Sees every state as it passes: says the loss now and then, and keeps the last one.

    Ctrl-C may come at any moment; the last state is a value, and so it is whole.
    """

    def __init__(self, terminal: Terminal, steps: int, state: Any = None) -> None:
        self.terminal, self.steps, self.state = terminal, steps, state

    def __call__(self, state: Any) -> None:
        """Take note of the next state."""
        self.state = state
        if is_shown(state.step - 1, self.steps):
            self.terminal.say(f"{state.step - 1} {float(state.loss)!r}")
        self.terminal.progress(state.step, self.steps, float(state.loss))


def is_shown(step: int, steps: int) -> bool:
    """Whether the loss at a step is printed: at 0, 1, 2, 5, 10, 20, 50 and so on, and at the last."""
    return str(step).rstrip("0") in ("", "1", "2", "5") or step == steps - 1


def written(path: str, work: Callable[[], History]) -> tuple[History, BaseException | None]:
    """The history that `work` writes, and what ended it early: Ctrl-C, or a reader that left."""
    try:
        return work(), None
    except (KeyboardInterrupt, BrokenPipeError) as end:
        try:
            return open_history(path), end
        except StorageError:  # it had not begun
            raise end from None
    except NonFiniteError as error:
        try:
            history = open_history(path)
        except StorageError:  # it had not begun
            raise error from None
        said = f"what came before is in {path}: purenet fork it from one of the steps 0 to {history.steps}"
        raise NonFiniteError(f"{error.problem}; {said}", path=error.path) from None


def report(history: History, steps: int, ended_by: BaseException | None, terminal: Terminal) -> None:
    """Say what was written, or how to go on with what was interrupted."""
    planned = None if history.run is None else history.run.steps
    where = (
        f"after {history.steps} of {steps} steps; {how_to_resume(history.path, steps if steps != planned else None)}"
    )
    if isinstance(ended_by, BrokenPipeError):
        print(f"purenet: nobody reads the output; ended {where}", file=sys.stderr)
        raise ended_by
    losses = history.reader.losses  # its own alone, which are there without its parents
    if len(losses):
        terminal.value("last loss", f"{losses[-1]:.6g}")
    terminal.value("steps", history.steps)
    if ended_by is not None:
        raise KeyboardInterrupt(where)
    terminal.value("digest", pn.digest(history[-1].net))
    terminal.value("history", history.path)


def how_to_resume(path: PathLike, steps: int | None = None) -> str:
    """What to type to go on with an interrupted history, to another number of steps than planned if one is given."""
    return f"go on with: purenet resume {shlex.quote(str(path))}{'' if steps is None else f' --steps {steps}'}"


def snapshots(options: Namespace) -> Snapshots | None:
    """The policy that `--snapshots-every` asks for; None if it does not."""
    return None if options.snapshots_every is None else Snapshots(every=options.snapshots_every)
