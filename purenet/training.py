"""Training as a fold: `reduce(step, batches, state)`.

A `State` holds everything that a run knows after a number of steps; `step(state, batch)` returns the next one. The
randomness of step t derives from (key, t) alone, and an optimiser's parts index by the step, so a state is all that is
needed to go on: interrupted equals uninterrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from inspect import Parameter, signature
from math import isfinite
from typing import Any

import numpy as np

from purenet import tree
from purenet.arithmetic.modes import Portable
from purenet.errors import ArgumentError, DtypeError, NonFiniteError, TreeError
from purenet.layers.basic import Dropout
from purenet.layers.dispatch import ForeignPull, as_input, forward, zero_leaves
from purenet.loss_rules import rule_of
from purenet.optimizers.leafwise import Updates
from purenet.optimizers.part import act, act_after_factor, leading_factor, portable_parts
from purenet.random import Key, fold_in
from purenet.records import children_repr, own, static, struct
from purenet.state import State as State, advanced, leaves_of, made_state
from purenet.transforms.linearise import Deferred, Pullback, force, linearise, trace
from purenet.transforms.portability.boundary import canonical, enter, is_finite, leave, plain_in_c_order
from purenet.transforms.portability.recurring import LastBatch
from purenet.transforms.reverse import complete, one
from purenet.transforms.tracer import plain
from purenet.unrolled.plan import Plan
from purenet.walk import alike, branches


@struct
class Objective:
    """The loss of a network on a batch, as a function of the network; made by `objective`."""

    loss: Callable[..., Any] = static()

    __rule_is_traceable__ = True  # it leaves it to the layers and the loss what is traced

    def __call__(self, net: Any, batch: Any, key: Key | None = None) -> Any:
        """The loss of `net` on `batch`, a tuple `(x, y)` or `(x, y, weights)`."""
        x, *targets = _parts(batch)
        return self.loss(forward(net, x, key=key), *targets)

    def __vjp_rule__(self, net: Any, batch: Any, key: Key | None = None) -> tuple[Any, Pullback]:
        value, pull, _ = self.linearise(net, batch, key)

        def pullback(g: Any) -> tuple[Any, ...]:
            d_batch = Deferred(lambda: trace(self, (net, batch, key), {}, (False, True, False))[1](g)[1])
            return tree.with_leaves(net, pull(g)), d_batch, None

        return value, pullback

    def linearise(
        self, net: Any, batch: Any, key: Key | None = None, is_plain: bool = False
    ) -> tuple[Any, Callable[[Any], Sequence[Any]], bool]:
        """The loss, the map from its cotangent to those of the leaves of `net`, and whether that is linear for sure.

        `is_plain` is as for `forward`.
        """
        parts, loss = _parts(batch), self.loss
        prediction, pull_net = forward.linearise(net, parts[0], key, is_plain)
        args = (prediction, *parts[1:])
        own_rule = rule_of(loss)
        if own_rule is not None and _ARRAYS.issuperset(map(type, args)):
            value, pull_loss = own_rule.rule(*args)
            return value, lambda g: pull_net(pull_loss(g), False)[0], pull_net.__class__ is not ForeignPull
        value, pullback = linearise(loss, args, {}, (True, False, False)[: len(args)])

        def pull(g: Any) -> Sequence[Any]:
            d_prediction = force(pullback(g)[0])
            return zero_leaves(net) if d_prediction is None else pull_net(d_prediction, False)[0]

        return value, pull, False


def objective(loss: Callable[..., Any]) -> Objective:
    """The training objective `loss(forward(net, x, key=key), y)` as a function `(net, (x, y), key=None) -> scalar`.

    Args:
        loss: `loss(prediction, target)` or `loss(prediction, target, weights)`, such as those in `pn.losses`, or any
            NumPy function of one's own. A batch of three parts, `(x, y, weights)`, passes its weights on.

    Raises:
        DtypeError: if `loss` is not a function.

    Example:
        >>> import purenet as pn
        >>> f = pn.objective(pn.losses.mean_squared_error)
        >>> net = pn.Dense(np.array([[2.0]]))
        >>> f(net, (np.array([[1.0]]), np.array([[5.0]])))
        np.float64(9.0)
    """
    if not callable(loss):
        raise DtypeError(f"expected a function of (prediction, target), got {loss!r:.60}", path="objective.loss")
    return Objective(loss)


class _Planned(LastBatch):
    """What a step function remembers besides its fields: how to go on from the states that it made last."""

    __slots__ = ("plan",)


_set_plan = vars(_Planned)["plan"].__set__


@struct
class Step(_Planned):
    """One step of training, `(state, batch) -> state`; made by `make_step`."""

    objective: Callable[..., Any] = static()
    optimizer: Any
    key_by: str | None = static()
    arithmetic: Portable | None = None

    def __portable__(self, arithmetic: Portable) -> Step:
        return Step(self.objective, portable_parts(self.optimizer, arithmetic), self.key_by, arithmetic)

    def __call__(self, state: State, batch: Any) -> State:
        """The state after one more step."""
        plan = getattr(state, "plan", None)
        if plan is not None and (plan is getattr(self, "plan", None) or plan.is_of(self)):
            following: State | None = plan.follow(self, state, batch)
            if following is not None:
                return following
        return self.general(state, batch)

    def general(self, state: State, batch: Any) -> State:
        """The step, whatever network, objective, optimizer and batch there are."""
        try:
            net, key, step = state.net, state.key, state.step
        except AttributeError:
            problem = (
                f"expected a pn.State, made by pn.init_state, got {type(state).__name__}; a step takes (state, batch)"
            )
            raise DtypeError(problem, path="step.state") from None
        drawn = fold_in(key, step) if self.key_by and key is not None else None
        parameters = leaves_of(state)
        loss, pull, is_linear = _linearised(self, net, parameters, batch, drawn)
        loss = own(loss)
        if not isfinite(leave(plain(loss))):
            raise NonFiniteError(
                f"the loss is {loss} at step {step}; lower the learning rate, clip the gradients with "
                "pn.clip_by_global_norm, or look at the data of this batch",
                path="loss",
            )
        try:
            updates, optimizer = _updates(self.optimizer, state, loss, pull, is_linear)
        except (AttributeError, LookupError, TypeError, ValueError):
            _check_state_of(self.optimizer, state)
            raise
        moved = advanced(state, updates)
        if self.arithmetic is not None and not all(map(is_finite, [*moved, *tree.leaves(optimizer)])):
            moved, optimizer = tree.map_fresh(canonical, (moved, optimizer))
        new = tree.with_leaves(net, moved)
        plan = self._plan(getattr(state, "plan", None), new, moved, updates.whole)
        return made_state(step + 1, new, optimizer, key, loss, moved, updates.whole, plan)

    def _plan(self, before: Plan | None, net: Any, leaves: Sequence[Any], whole: Sequence[Any]) -> Plan | None:
        """How to go on from a state with this network, if there is anything to be planned."""
        own_rule = rule_of(self.objective.loss) if self.objective.__class__ is Objective else None
        if own_rule is None or not _ARRAYS.issuperset(map(type, leaves)):
            return None
        for plan in (before, getattr(self, "plan", None)):
            if plan is not None and plan.is_of(self) and (plan is before or plan.fits(net)):
                break
        else:
            plan = Plan(self, own_rule.choose, net)
            _set_plan(self, plan)
        return plan if plan.packs(whole) else None


def make_step(objective: Callable[..., Any], optimizer: Any) -> Step:
    """The function `step(state, batch) -> state` that a training loop folds over its batches.

    It computes the value and the gradient of the objective at `state.net`, lets the optimiser turn the gradient into an
    update, and adds that to the parameters:

        loss, gradient = value_and_grad(objective)(state.net, batch, fold_in(state.key, state.step))
        update, optimizer_state = optimizer.update(gradient, state.optimizer, state.net, state.step)
        net = state.net + update

    Args:
        objective: `(net, batch) -> scalar` or `(net, batch, key) -> scalar`: made by `pn.objective`, or one's own.
        optimizer: a record with the methods `init` and `update`, such as `pn.adam(1e-3)`.

    Raises:
        DtypeError: if one of them is neither.
        NonFiniteError: in a step whose loss is NaN or infinite; it names the step.

    Example:
        >>> import purenet as pn
        >>> from itertools import repeat
        >>> from toolz import reduce
        >>> x = np.array([[1.0], [2.0]])
        >>> step = make_step(pn.objective(pn.losses.mean_squared_error), pn.sgd(0.1))
        >>> end = reduce(step, repeat((x, 3 * x), 20), pn.init_state(pn.Dense(np.zeros((1, 1))), pn.sgd(0.1)))
        >>> end.step, end.net.weight.round(4)
        (20, array([[3.]]))
    """
    _check_optimizer(optimizer, "make_step.optimizer")
    if rule_of(objective) is not None:
        problem = (
            "this is a loss, of predictions and targets; a step needs that of a network on a batch: pn.objective(loss)"
        )
        raise DtypeError(problem, path="make_step.objective")
    return Step(objective, optimizer, _key_by(objective))


def init_state(net: Any, optimizer: Any, *, key: Key | None = None) -> State:
    """The state before the first step.

    Args:
        net: the initial parameters: a network, or any tree of records and arrays that the objective takes.
        optimizer: the optimiser that the steps will use.
        key: where the steps draw their random numbers from; needed only if something draws, such as `Dropout`.

    Raises:
        DtypeError: if `optimizer` is not one, `key` is not a key, or a parameter is not floating-point (by its path).
        ArgumentError: if the network has a `Dropout` layer and there is no key.

    Example:
        >>> import purenet as pn
        >>> state = init_state(pn.mlp(pn.key(0), (2, 1)), pn.adam(1e-3), key=pn.key(1))
        >>> state.step, state.key
        (0, Key(words: uint64[2]))
    """
    _check_optimizer(optimizer, "init_state.optimizer")
    if key is not None and not isinstance(key, Key):
        raise DtypeError(f"expected a key, got {key!r:.60}; write pn.key({key!r:.20})", path="init_state.key")
    for path, leaf in tree.items(net):
        if getattr(getattr(leaf, "dtype", None), "kind", None) != "f":
            is_array = hasattr(leaf, "dtype")
            shown = f"an array of {leaf.dtype}" if is_array else f"{type(leaf).__name__} {leaf!r:.60}"
            fix = "convert it with .astype(np.float64)" if is_array else "make it an array, np.array(..., np.float64)"
            raise DtypeError(
                f"expected arrays of floating-point parameters, got {shown}; {fix}, or declare the field with "
                "pn.static() if it is not to be trained",
                path=path or "net",
            )
    if key is None and _has_dropout(net):
        raise ArgumentError(
            "the network has a Dropout layer, which draws random numbers; pass key=pn.key(0)", path="init_state.key"
        )
    return State(0, net, optimizer.init(net), key, float("nan"))


_ARRAYS = frozenset({np.ndarray})


def _linearised(
    step: Step, net: Any, parameters: Sequence[Any], batch: Any, key: Key | None
) -> tuple[Any, Callable[[Any], Sequence[Any]], bool]:
    """The loss; the map from its cotangent to those of the leaves of `net`; and whether that is linear for sure.

    What the map returns is new, unless it is read-only.
    """
    is_plain, mode = _ARRAYS.issuperset(map(type, parameters)), step.arithmetic
    if mode is None:
        loss, pull, is_linear = _of_objective(step, net, is_plain, batch, key)
        return loss, pull, is_linear and is_plain
    held = tree.with_leaves(net, [enter(parameter, mode) for parameter in parameters])
    given = _parts(batch) if step.objective.__class__ is Objective else batch
    loss, pull, _ = _of_objective(step, held, is_plain, step.entered(given, mode), key)
    if not is_plain:  # in a transformation, which leaves it to `leave` to be differentiated
        return leave(loss), lambda g: [leave(leaf) for leaf in pull(enter(g, mode))], False
    return leave(loss), lambda g: [plain_in_c_order(leaf) for leaf in pull(enter(g, mode))], False


def _of_objective(
    step: Step, net: Any, is_plain: bool, batch: Any, key: Key | None
) -> tuple[Any, Callable[[Any], Sequence[Any]], bool]:
    objective = step.objective
    if objective.__class__ is Objective:
        return objective.linearise(net, batch, key, is_plain)
    args = (net, batch, key) if key is not None and step.key_by == "position" else (net, batch)
    kwargs = {"key": key} if key is not None and step.key_by == "name" else {}
    loss, pullback = linearise(objective, args, kwargs, (True, False, False)[: len(args)])
    return loss, lambda g: tree.leaves(complete(force(pullback(g)[0]), net)), False


def _updates(
    optimizer: Any, state: State, loss: Any, pull: Callable[[Any], Sequence[Any]], is_linear: bool
) -> tuple[Updates, Any]:
    """What an optimizer makes of a gradient, and its state.

    A factor that comes first multiplies the cotangent of the loss, a number, instead of every element of the gradient.
    """
    net, step, cotangent = state.net, state.step, one(loss)
    # in half precision the cotangents on the way could underflow
    factor = leading_factor(optimizer, step) if is_linear and cotangent.itemsize > 2 else None
    leaves = pull(cotangent if factor is None else type(cotangent)(factor))
    owned = is_linear or (_ARRAYS.issuperset(map(type, leaves)) and all([leaf.flags.writeable for leaf in leaves]))
    updates = Updates(leaves, partial(tree.with_leaves, net), owned)
    following = act if factor is None else act_after_factor
    return following(optimizer, updates, state.optimizer, net, step)


def _parts(batch: Any) -> tuple[Any, ...]:
    """x, y and perhaps weights, as arrays if they can be."""
    if batch.__class__ is tuple and len(batch) == 2:
        x, y = batch
        if x.__class__ is np.ndarray and y.__class__ is np.ndarray:
            return batch  # spares the rest most of the time
    if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
        got = f"{type(batch).__name__} of {len(batch)}" if isinstance(batch, tuple | list) else type(batch).__name__
        raise TreeError(f"expected (x, y) or (x, y, weights), got {got}", path="batch")
    return tuple(map(as_input, batch))


def _check_optimizer(optimizer: Any, path: str) -> None:
    if not (callable(getattr(optimizer, "init", None)) and callable(getattr(optimizer, "update", None))):
        raise DtypeError(
            f"expected a record with the methods init and update, such as pn.adam(1e-3), got {optimizer!r:.60}",
            path=path,
        )


def _check_state_of(optimizer: Any, state: State) -> None:
    """Raise if the optimizer's state is not of the form that this optimizer begins with."""
    expected = optimizer.init(state.net)
    if not alike(expected, state.optimizer):
        shown = [children_repr(tree_of_state) for tree_of_state in (expected, state.optimizer)]
        problem = f"expected {shown[0]:.200}, got {shown[1]:.200}: it was made for another optimizer"
        fix = "begin with pn.init_state(state.net, optimizer), or use the optimizer that it was made for"
        raise ArgumentError(f"{problem}; {fix}", path="state.optimizer")


def _key_by(objective: Any) -> str | None:
    """How an objective takes a key: by the name `key`, by position as a third argument that it needs, or not at all."""
    if not callable(objective):
        raise DtypeError(f"expected a function of (net, batch), got {objective!r:.60}", path="make_step.objective")
    try:
        parameters = signature(objective).parameters
    except (TypeError, ValueError):
        return None
    if "key" in parameters:
        return "name"
    positional = [
        p
        for p in parameters.values()
        if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD) and p.default is Parameter.empty
    ]
    return "position" if len(positional) >= 3 else None


def _has_dropout(net: Any) -> bool:
    """Whether there is a layer that drops something out anywhere in a tree."""
    if isinstance(net, Dropout):
        return net.rate > 0
    return not tree.is_leaf(net) and any(_has_dropout(child) for _, child in branches(net))
