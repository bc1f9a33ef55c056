"""What a step function remembers: the steps that it has written out, by the form of the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from purenet import tree
from purenet.arithmetic.prepared import OutOfRangeError
from purenet.layers.dispatch import forward
from purenet.loss_rules import ChooseKernel
from purenet.optimizers.leafwise import Packing
from purenet.state import State
from purenet.unrolled.source import step_source
from purenet.unrolled.update import is_packed
from purenet.walk import alike

_WARM_UP = 3
"""How many steps batches of one form take before a step is written out for them."""

_MOST_FORMS = 16
"""For how many forms of batches a plan keeps anything, be it that they came once."""

Run: TypeAlias = Callable[[Any, State, Any], State | None]
"""`run(step, state, (x, y))`: the state after the step, or None if the general step has to be taken."""


class Plan:
    """How a step function goes on from the states that it made, whose networks are all of one structure.

    It holds the parts of the step function, not the function itself, and no array.

    Args:
        step: the step function.
        choose_loss: chooses the kernel of its loss.
        net: a network of the structure, whose leaves are arrays.
    """

    __slots__ = ("_choose_loss", "_forms", "_packing", "_parts", "_runs", "_structure", "_version")

    def __init__(self, step: Any, choose_loss: ChooseKernel, net: Any) -> None:
        self._parts = (step.objective, step.optimizer, step.key_by, step.arithmetic)
        self._choose_loss = choose_loss
        self._forms = [(leaf.shape, leaf.dtype) for leaf in tree.leaves(net)]
        self._packing = Packing(tree.leaves(net)) if is_packed(step.optimizer) else None
        self._structure = tree.with_leaves(net, [0] * len(self._forms))
        self._runs: dict[Any, Any] = {}  # by the form of a batch: the step, or None, or how often it came so far
        self._version = forward.version

    def is_of(self, step: Any) -> bool:
        """Whether the plan was made for a step function of these parts, and for the layers as they are."""
        objective, optimizer, key_by, arithmetic = self._parts
        return (
            step.optimizer is optimizer
            and step.objective is objective
            and step.arithmetic is arithmetic
            and step.key_by is key_by
            and forward.version == self._version
        )

    def fits(self, net: Any) -> bool:
        """Whether a network whose leaves are arrays has the structure."""
        return alike(self._structure, net) and self._forms == [(leaf.shape, leaf.dtype) for leaf in tree.leaves(net)]

    def packs(self, whole: Sequence[Any]) -> bool:
        """Whether the arrays that parameters are views of are those that the steps expect."""
        packing = self._packing
        return packing is None or (packing.fits(whole) and all(array.ndim == 1 for array in whole))

    def follow(self, step: Any, state: State, batch: Any) -> State | None:
        """The state after one more step; None if that is for the general step to find, or to refuse."""
        if batch.__class__ is not tuple or len(batch) != 2 or forward.version != self._version:
            return None
        x, y = batch
        if x.__class__ is not np.ndarray or y.__class__ is not np.ndarray:
            return None
        form = x.shape, x.dtype, y.shape, y.dtype
        run = self._runs.get(form, 0)
        if run.__class__ is int:
            run = self._after_one_more(form, run, step, state, x, y)
        if run is None:
            return None
        try:
            following: State | None = run(step, state, batch)
        except OutOfRangeError:
            return None
        return following

    def _after_one_more(self, form: Any, count: int, step: Any, state: State, x: Any, y: Any) -> Run | None:
        """The step for a form of batch that came `count` times before, if it is time to write it out."""
        if count < _WARM_UP:
            if count or len(self._runs) < _MOST_FORMS:
                self._runs[form] = count + 1
            return None
        run = self._runs[form] = written_out(step, self._choose_loss, state, x, y)
        return run


def written_out(step: Any, choose_loss: ChooseKernel, state: State, x: Any, y: Any) -> Run | None:
    """The step for states and batches of the form of these, or None if it cannot be written out."""
    try:
        source = step_source(step, choose_loss, state, x, y)
    except OutOfRangeError:
        return None
    if source is None:
        return None
    exec(compile(source.text(), "<a step of training>", "exec"), source.names)
    run: Run = source.names["run"]
    return run
