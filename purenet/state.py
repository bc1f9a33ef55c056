"""The state of a training run: what it knows after a number of steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from purenet import tree
from purenet.errors import ShapeError
from purenet.optimizers.leafwise import Updates, frozen_whole
from purenet.random import Key
from purenet.records import fields_of, frozen, static, struct


class Remembered:
    """What a state that a step made remembers besides its fields, so that the next step need not find it out again.

    Attributes:
        leaves: the leaves of its network.
        whole: the arrays that these are views of, if they are packed; else the leaves.
        plan: the plan of the step function that made it, see `purenet.unrolled`.
    """

    __slots__ = ("leaves", "plan", "whole")

    if TYPE_CHECKING:
        leaves: Sequence[Any]
        whole: Sequence[Any]
        plan: Any


@struct
class State(Remembered):
    """What a training run knows after a number of steps.

    Attributes:
        step: how many steps have been taken.
        net: the parameters: any tree of records and arrays.
        optimizer: the state of the optimiser, a tree: moments and the like.
        key: the key of the run, the same in every state; None for a run without randomness.
        loss: the loss that the last step computed, at the parameters that it started from; NaN before the first step.

    Example:
        >>> import purenet as pn
        >>> pn.init_state(pn.mlp(pn.key(0), (2, 1)), pn.sgd(0.1)).step
        0
    """

    step: int = static()
    net: Any
    optimizer: Any
    key: Key | None
    loss: Any


_set_step, _set_net, _set_optimizer, _set_key, _set_loss = fields_of(State).setters.values()
_set_leaves, _set_whole, _set_plan = (vars(Remembered)[name].__set__ for name in ("leaves", "whole", "plan"))


def made_state(
    step: int,
    net: Any,
    optimizer: Any,
    key: Key | None,
    loss: Any,
    leaves: Sequence[Any],
    whole: Sequence[Any],
    plan: Any,
) -> State:
    """A state, neither converted nor validated, that remembers what the next step can use."""
    state = State.__new__(State)
    _set_step(state, step)
    _set_net(state, net)
    _set_optimizer(state, optimizer)
    _set_key(state, key)
    _set_loss(state, loss)
    _set_leaves(state, leaves)
    _set_whole(state, whole)
    _set_plan(state, plan)
    return state


def leaves_of(state: State) -> Sequence[Any]:
    """The leaves of the network of a state."""
    leaves = getattr(state, "leaves", None)
    return tree.leaves(state.net) if leaves is None else leaves


def advanced(state: State, updates: Updates) -> Sequence[Any]:
    """The parameters plus the updates; `updates.whole` is then what they are views of."""
    parameters = leaves_of(state)
    if len(parameters) != len(updates.leaves):
        tree.check_same_structure(state.net, updates.tree())
    if updates.owned and _are_alike(parameters, updates.leaves):
        return _advanced_in_place(parameters, getattr(state, "whole", ()), updates)
    moved = []
    for parameter, update in zip(parameters, updates.leaves, strict=True):
        if update.shape != parameter.shape:
            raise ShapeError(f"expected an update of shape {parameter.shape}, got {update.shape}", path="update")
        new = parameter + update
        moved.append(frozen(new if new.dtype == parameter.dtype else new.astype(parameter.dtype)))
    updates.whole = moved
    return moved


def _advanced_in_place(parameters: Sequence[Any], whole: Sequence[Any], updates: Updates) -> Sequence[Any]:
    """The updates, to which the parameters are added; as few large arrays if both are packed in the same way."""
    are_packed = updates.whole is not updates.leaves and _are_alike(whole, updates.whole)
    for update, parameter in zip(
        *((updates.whole, whole) if are_packed else (updates.leaves, parameters)), strict=True
    ):
        update += parameter
    for array in updates.leaves:
        frozen_whole(array)
    if updates.whole is not updates.leaves:
        for array in updates.whole:
            frozen_whole(array)
    return updates.leaves


def _are_alike(some: Sequence[Any], others: Sequence[Any]) -> bool:
    """Whether arrays have the dtypes and shapes of others."""
    if len(some) != len(others):
        return False
    for array, other in zip(some, others, strict=True):
        if array.dtype != other.dtype or array.shape != other.shape:
            return False
    return True
