"""`purenet export`: what a recorded run had at a step, as a safetensors file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

import purenet as pn
from purenet.cli import options as types
from purenet.cli.histories import add_history, add_step, model_at, opened, state_at
from purenet.cli.terminal import Terminal


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "Writes the whole state (network, optimizer, key, loss); purenet.load and other programs read it."
    add_history(parser)
    parser.add_argument("file", metavar="FILE", help="where to write, such as state.safetensors")
    add_step(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--net", action="store_true", help="write the network alone")
    what.add_argument("--model", action="store_true", help="write a model for purenet predict, as fit --save does")


def run(options: Namespace) -> None:
    """Write the file, and say what is in it."""
    types.check_writable(options.file, None)
    terminal = Terminal()
    with opened(options.history, terminal) as history:
        if options.model:
            tree, what = model_at(history, options.step), "model"
        elif options.net:
            tree, what = state_at(history, options.step).net, "network"
        else:
            tree, what = history[-1 if options.step is None else options.step], "state"
    pn.save(tree, options.file)
    step = options.step if options.step is not None else -1
    after = step if step >= 0 else len(history) + step
    terminal.say(f"{options.file}: the {what} after {after} of {history.steps} steps, digest {pn.digest(tree)}")
