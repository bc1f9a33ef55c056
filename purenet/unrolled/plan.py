"""What a step function remembers: the steps that it has written out, by the form of the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from purenet import tree
from purenet.loss_rules import ChooseKernel
from purenet.state import State
from purenet.unrolled.source import step_source
from purenet.walk import alike

_FIRST_MEETINGS, _MOST_FORMS = 3, 16
"""How often a form of batch is met before a step is written out for it, and for how many forms that is done."""

Run: TypeAlias = Callable[[State, Any], State | None]
"""`run(state, (x, y))`: the state after the step, or None if the general step has to be taken."""


class Plan:
    """How a step function goes on from the states that it made, whose networks are all of one structure.

    Args:
        owner: the step function.
        choose_loss: chooses the kernel of its loss.
        net: a network of the structure, whose leaves are arrays.
    """

    __slots__ = ("_choose_loss", "_forms", "_runs", "_structure", "owner")

    def __init__(self, owner: Any, choose_loss: ChooseKernel, net: Any) -> None:
        self.owner = owner
        self._choose_loss = choose_loss
        self._forms = [(leaf.shape, leaf.dtype) for leaf in tree.leaves(net)]
        self._structure = tree.with_leaves(net, [0] * len(self._forms))
        self._runs: dict[Any, Any] = {}  # by the form of a batch: the step, or None, or how often it was met so far

    def fits(self, net: Any) -> bool:
        """Whether a network whose leaves are arrays has the structure."""
        return alike(self._structure, net) and self._forms == [(leaf.shape, leaf.dtype) for leaf in tree.leaves(net)]

    def follow(self, state: State, batch: Any) -> State | None:
        """The state after one more step; None if that is for the general step to find, or to refuse."""
        if batch.__class__ is not tuple or len(batch) != 2:
            return None
        x, y = batch
        if x.__class__ is not np.ndarray or y.__class__ is not np.ndarray:
            return None
        form = x.shape, x.dtype, y.shape, y.dtype
        run = self._runs.get(form, 0)
        if run.__class__ is int:
            run = self._met(form, run, state, x, y)
        following: State | None = None if run is None else run(state, batch)
        return following

    def _met(self, form: Any, meetings: int, state: State, x: Any, y: Any) -> Run | None:
        """The step for a form of batch that there is none for yet, if it is time."""
        if meetings < _FIRST_MEETINGS:
            if meetings or len(self._runs) < _MOST_FORMS:
                self._runs[form] = meetings + 1
            return None
        run = self._runs[form] = written_out(self.owner, self._choose_loss, state, x, y)
        return run


def written_out(owner: Any, choose_loss: ChooseKernel, state: State, x: Any, y: Any) -> Run | None:
    """The step for states and batches of the form of these, or None if it cannot be written out."""
    source = step_source(owner, choose_loss, state, x, y)
    if source is None:
        return None
    exec(compile(source.text(), "<a step of training>", "exec"), source.names)
    run: Run = source.names["run"]
    return run
