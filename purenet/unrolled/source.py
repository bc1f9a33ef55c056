"""The source of a step: the forward pass, the loss, the backward pass, the update, and the new records.

In it, `a0`, `a1` ... are the input and what each layer makes of it, `p0`, `p1` ... the parameters, and `d0`, `d1` ...
first the gradient, then the update, and in the end the new parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from math import isfinite
from typing import Any

import numpy as np

from purenet import tree
from purenet.arithmetic.modes import Portable
from purenet.layers.combinators import Sequential
from purenet.layers.dispatch import ForeignPull, LayerPull, forward
from purenet.loss_rules import ChooseKernel
from purenet.optimizers.leafwise import Factor, Updates
from purenet.optimizers.part import act, act_after_factor, parts_of
from purenet.random import fold_in
from purenet.records import fields_of, is_struct
from purenet.state import State, advanced, made_state
from purenet.transforms.portability.array import PortableArray, plain_of
from purenet.transforms.portability.boundary import enter, is_finite, plain_in_c_order
from purenet.unrolled.text import Source, listed
from purenet.unrolled.update import has_kernels, write_update
from purenet.walk import branches


def step_source(step: Any, choose_loss: ChooseKernel, state: State, x: Any, y: Any) -> Source | None:
    """The source of `run(step, state, (x, y))`, or None if there are things in it that have to be asked at every step.

    Args:
        step: the step function, with its optimizer and its arithmetic.
        choose_loss: chooses the kernel of its loss.
        state, x, y: a state and a batch like those that `run` will be given.
    """
    net, leaves, source = state.net, state.leaves, Source("run(step, state, batch)")
    optimizer, mode = step.optimizer, step.arithmetic
    are_alike = x.dtype.char in "fd" and x.dtype.isnative and all(leaf.dtype == x.dtype for leaf in leaves)
    if not (leaves and are_alike and _is_of_records(net)):
        return None
    source.write("a0, y = batch")
    source.write(f"{listed('p', range(len(leaves)))}, = state.leaves", "t = state.step")
    layers = list(_layers(net, "state.net", "drawn"))
    if any(key != "None" for _, _, key in layers):
        drawn = f"None if state.key is None else {source.name('fold_in', fold_in)}(state.key, t)"
        source.write(f"drawn = {drawn if step.key_by else 'None'}")
    prediction, back, bounded = _write_forward(source, layers, state, x, mode)
    if prediction is None:
        return None
    loss = choose_loss(prediction, y, mode)
    value, pull = source.name("loss_value", loss.value), source.name("loss_pull", loss.pull)
    source.write(
        f"loss, kept = {value}(a{len(layers)}, y)",
        f"if not {source.name('isfinite', isfinite)}(loss): return None",
    )
    parts = parts_of(optimizer)
    for i, part in enumerate(parts):
        if isinstance(part, Factor):
            source.write(f"factor{i} = {source.name(f'factor_at{i}', part.factor_at)}(t)")
            source.write(f"if not isinstance(factor{i}, float): return None")
    # a number instead of the gradient, which portable arithmetic would round differently
    leads = bool(parts) and isinstance(parts[0], Factor) and mode is None
    source.write(f"g = {pull}(loss.__class__({'factor0' if leads else '1'}), kept)", *back)
    if has_kernels(optimizer):
        vectors = write_update(source, optimizer, parts, int(leads), state)
        if mode is not None:
            _write_check(source, len(parts), leaves, bounded, vectors)
    else:
        _write_general_update(source, optimizer, leads, len(leaves))
        if mode is not None:
            leaves_of, finite = source.name("leaves_of", tree.leaves), source.name("is_finite", is_finite)
            source.write(f"if not all(map({finite}, [*whole, *{leaves_of}(optimizer)])): return None")
    new = _write_record(source, net, iter([f"d{n}" for n in range(len(leaves))]))
    made = source.name("made_state", made_state)
    source.write(f"return {made}(t + 1, {new}, optimizer, state.key, loss, leaves, whole, state.plan)")
    return source


def _write_check(
    source: Source, factors: int, leaves: Sequence[Any], bounded: Sequence[int], vectors: Sequence[str]
) -> None:
    """Write how a portable step leaves it to the general one what may not be finite.

    A parameter below 2**450 whose gradient is below 2**911 stays finite when that is multiplied by a few factors: it
    need not be looked at, unless it is in a vector.
    """
    if not vectors:
        safe = bounded if factors <= _FACTORS else ()
        if safe:
            source.write(*(f"if not {-_FACTOR} < factor{i} < {_FACTOR}: return None" for i in range(factors)))
        numbers = [n for n in range(len(leaves)) if n not in safe]
        vectors = [f"d{n}" if leaves[n].ndim == 1 else f"d{n}.ravel()" for n in numbers]
    source.write(*(f"if not isfinite({vector}.dot({vector})): return None" for vector in vectors))


_FACTORS, _FACTOR = 3, 1e9
"""So many factors, each below that, keep a number below 2**911 finite."""


def _is_of_records(node: Any) -> bool:
    """Whether a tree is made of records, tuples and arrays alone."""
    if is_struct(node) or type(node) is tuple:
        return all(_is_of_records(child) for _, child in branches(node))
    return node is None or type(node) is np.ndarray


def _layers(net: Any, place: str, key: str) -> Iterator[tuple[Any, str, str]]:
    """The layers that a network applies one after the other, each with the expressions for it and for its key."""
    if not (isinstance(net, Sequential) and forward.has_own_rule(net)):
        yield net, place, key if forward.takes_key(net) else "None"
        return
    for i, layer in enumerate(net.layers):
        yield from _layers(layer, f"{place}.layers[{i}]", f"{key} and fold_in({key}, {i})")


def _write_forward(
    source: Source, layers: Iterable[tuple[Any, str, str]], state: State, x: Any, mode: Portable | None
) -> tuple[Any, list[str], list[int]]:
    """Write the way from `a0` to the prediction.

    Returns:
        The prediction for `x`; the lines of the way back; and the parameters that are bounded, see `Kernel.is_bounded`.
    """
    back: list[str] = []
    bounded: list[int] = []
    first = 0
    for i, (layer, place, key) in enumerate(layers):
        parameters = tree.leaves(layer)
        numbers = range(first, first := first + len(parameters))
        kernel = forward.kernel(layer, x, mode)
        if kernel is not None:
            if i == 0 and kernel.takes_operand:
                source.write("a0 = step.operand(a0)")
            value, pull = source.name(f"value{i}", kernel.value), source.name(f"pull{i}", kernel.pull)
            source.write(f"a{i + 1} = {value}({', '.join([f'a{i}', *(f'p{n}' for n in numbers)])})")
            given = ", ".join(["g", str(i > 0), f"a{i}", f"a{i + 1}", *(f"p{n}" for n in numbers)])
            back.insert(0, f"{', '.join([*(f'd{n}' for n in numbers), 'g'])}, = {pull}({given})")
            x = kernel.value(x, *parameters)
            bounded += numbers[:1] if kernel.is_bounded else ()
        elif not forward.has_own_rule(layer):
            return None, [], []
        else:
            linearise = forward.linearise if mode is None else partial(_linearise_portably, mode)
            x, pulled = linearise(layer, x, None if key == "None" else state.key, True)
            if pulled.__class__ is ForeignPull:  # which might return arrays that somebody else holds
                return None, [], []
            source.write(f"a{i + 1}, pull{i} = {source.name('linearise', linearise)}({place}, a{i}, {key}, True)")
            back.insert(0, f"[{listed('d', numbers)}], g = pull{i}(g, {i > 0})")
    return x, back, bounded


def _linearise_portably(mode: Portable, layer: Any, x: Any, key: Any, plain: bool) -> tuple[Any, LayerPull]:
    """`forward.linearise` in portable arithmetic, from plain arrays to plain arrays."""
    held = tree.with_leaves(layer, [enter(leaf, mode) for leaf in tree.leaves(layer)])
    y, pull = forward.linearise(held, enter(x, mode), key, plain)
    if pull.__class__ is ForeignPull:
        return plain_of(y), pull

    def pull_plain(g: Any, wants_x: bool) -> tuple[Sequence[Any], Any]:
        leaves, d_x = pull(PortableArray(g, mode), wants_x)
        return [plain_in_c_order(leaf) for leaf in leaves], plain_of(d_x)

    return plain_of(y), pull_plain


def _write_general_update(source: Source, optimizer: Any, leads: bool, count: int) -> None:
    """Write the way from the gradient to the new parameters through parts of which some have no kernel."""
    follow = source.name("follow", act_after_factor if leads else act)
    source.names.update(Updates=Updates, part=optimizer, partial=partial, with_leaves=tree.with_leaves)
    source.write(
        f"updates = Updates([{listed('d', range(count))}], partial(with_leaves, state.net), True)",
        f"updates, optimizer = {follow}(part, updates, state.optimizer, state.net, t)",
        f"leaves = {source.name('advanced', advanced)}(state, updates)",
        f"{listed('d', range(count))}, = leaves",
        "whole = updates.whole",
    )


def _write_record(source: Source, node: Any, leaves: Iterator[str]) -> str:
    """Write how to build a network like this one from other leaves, and return the expression for it."""
    if isinstance(node, np.ndarray):
        return next(leaves)
    if not tree.leaves(node):
        return source.numbered("same", node)
    if isinstance(node, tuple):
        return f"({''.join(_write_record(source, child, leaves) + ', ' for child in node)})"
    fields = fields_of(type(node))
    cls = source.numbered("class", type(node))
    number = cls.removeprefix("class")
    values = [(name, _write_record(source, getattr(node, name), leaves)) for name in fields.children]
    values += [(name, source.numbered(name, getattr(node, name))) for name in fields.statics]
    source.write(f"record{number} = {source.name('new', object.__new__)}({cls})")
    for name, value in values:
        source.write(f"{source.name(f'set_{name}{number}', fields.setters[name])}(record{number}, {value})")
    return f"record{number}"
