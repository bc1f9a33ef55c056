"""A step of training written out as one function.

The general step asks at every layer what it is, whether it is traced, and which rule it has. For purenet's own layers,
losses and optimizer parts, and batches of one form, the answers are the same at every step. So a `Plan` asks once and
writes the step down: Python source that calls one function after the other and builds the new records, as one would by
hand. The general step computes the same bits, and takes over where something has to be explained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import isfinite
from typing import Any, TypeAlias

import numpy as np

from purenet import tree
from purenet.layers.combinators import Sequential
from purenet.layers.dispatch import ForeignPull, forward
from purenet.losses import ChooseKernel
from purenet.optimizers.leafwise import BLOCK, Factor, PackedPart, Packing, Updates
from purenet.optimizers.part import Chain, act, act_after_factor
from purenet.random import fold_in
from purenet.records import fields_of, is_struct
from purenet.state import State, advanced, made_state
from purenet.walk import alike, branches

_FIRST_MEETINGS, _MOST_FORMS = 3, 16
"""How often a form of batch is met before a step is written out for it, and for how many forms that is done."""


Run: TypeAlias = Callable[[State, Any], State | None]
"""`run(state, (x, y))`: the state after the step, or None if the general step has to be taken."""


class Plan:
    """How a step function goes on from the states that it made, whose networks are all of one structure.

    Args:
        owner: the step function.
        choose_loss: chooses the kernel of its loss.
        optimizer: its optimizer.
        net: a network of the structure, whose leaves are arrays.
    """

    __slots__ = ("_choose_loss", "_forms", "_optimizer", "_runs", "_structure", "owner")

    def __init__(self, owner: Any, choose_loss: ChooseKernel, optimizer: Any, net: Any) -> None:
        self.owner = owner
        self._choose_loss = choose_loss
        self._optimizer = optimizer
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
        run = self._runs[form] = written_out(state, self._choose_loss, self._optimizer, x, y)
        return run


def written_out(state: State, choose_loss: ChooseKernel, optimizer: Any, x: Any, y: Any) -> Run | None:
    """`run(state, (x, y))`, the step for states and batches of the form of these; None if it cannot be written out."""
    source = Source()
    if not _write(source, state, choose_loss, optimizer, x, y):
        return None
    exec(compile(source.text(), "<a step of training>", "exec"), source.names)
    run: Run = source.names["run"]
    return run


class Source:
    """The text of a function that is being written, and what its names stand for."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {}

    def write(self, *lines: str) -> None:
        """Add lines."""
        self.lines += lines

    def name(self, name: str, value: Any) -> str:
        """Let a name stand for a value from outside."""
        self.names[name] = value
        return name

    def text(self) -> str:
        """The function."""
        return "\n    ".join(["def run(state, batch):", *self.lines])


def _write(source: Source, state: State, choose_loss: ChooseKernel, optimizer: Any, x: Any, y: Any) -> bool:
    """Write the whole step, if it can be done."""
    net, leaves = state.net, state.leaves
    parts = optimizer.parts if optimizer.__class__ is Chain else (optimizer,)
    are_alike = x.dtype.char in "fd" and all(leaf.dtype is x.dtype for leaf in leaves)
    if not (leaves and are_alike and _is_of_records(net)):
        return False
    source.write("a0, y = batch", f"{_listed('p', len(leaves))}= state.leaves", "step = state.step")
    layers = list(_layers(net, "state.net", "drawn"))
    if any("fold_in" in key for _, _, key in layers):
        source.name("fold_in", fold_in)
        source.write("drawn = None if state.key is None else fold_in(state.key, step)")
    prediction, pulls = _write_layers(source, layers, state, x)
    loss = None if prediction is None else choose_loss(prediction, y)
    if loss is None:
        return False
    source.name("loss_value", loss.value)
    source.name("loss_pull", loss.pull)
    source.name("isfinite", isfinite)
    source.write(f"loss, kept = loss_value(a{len(layers)}, y)", "if not isfinite(loss): return None")
    leading = int(isinstance(parts[0], Factor)) if parts else 0
    for i, part in enumerate(parts):
        if isinstance(part, Factor):
            source.name(f"factor_at{i}", part.factor_at)
            source.write(f"factor{i} = factor_at{i}(step)", f"if factor{i}.__class__ is not float: return None")
    source.name("number", x.dtype.type)
    source.write(f"g = loss_pull(number({'factor0' if leading else '1'}), kept)", *reversed(pulls))
    if all(isinstance(part, Factor | PackedPart) for part in parts):
        _write_update(source, parts, leading, optimizer.__class__ is Chain, leaves)
    else:
        source.names.update(Updates=Updates, act=act_after_factor if leading else act, part=optimizer)
        source.names.update(advanced=advanced, partial=partial, with_leaves=tree.with_leaves)
        source.write(
            f"updates = Updates([{_listed('d', len(leaves))}], partial(with_leaves, state.net), True)",
            "updates, optimizer = act(part, updates, state.optimizer, state.net, step)",
            "leaves = advanced(state, updates)",
            f"whole, ({_listed('d', len(leaves))}) = updates.whole, leaves",
        )
    source.name("new", object.__new__)
    source.name("made_state", made_state)
    expression = _write_record(source, net, iter([f"d{n}" for n in range(len(leaves))]))
    source.write(f"return made_state(step + 1, {expression}, optimizer, state.key, loss, leaves, whole, state.plan)")
    return True


def _layers(net: Any, place: str, key: str) -> Iterator[tuple[Any, str, str]]:
    """The layers that a network applies one after the other, each with the expressions for it and for its key."""
    if not isinstance(net, Sequential):
        yield net, place, key if is_struct(net) and forward.takes_key(net) else "None"
        return
    for i, layer in enumerate(net.layers):
        yield from _layers(layer, f"{place}.layers[{i}]", f"{key} and fold_in({key}, {i})")


def _write_layers(source: Source, layers: list[tuple[Any, str, str]], state: State, x: Any) -> tuple[Any, list[str]]:
    """Write the way from `a0` to the prediction; return the prediction for `x`, and the lines of the way back."""
    pulls: list[str] = []
    first = 0
    for i, (layer, place, key) in enumerate(layers):
        parameters = tree.leaves(layer)
        numbers = range(first, first := first + len(parameters))
        kernel = forward.kernel(layer, x)
        if kernel is not None:
            given = "".join(f", p{n}" for n in numbers)
            source.name(f"value{i}", kernel.value)
            source.name(f"pull{i}", kernel.pull)
            source.write(f"a{i + 1} = value{i}(a{i}{given})")
            pulls.append(f"{_listed('d', numbers)}g, = pull{i}(g, {i > 0}, a{i}, a{i + 1}{given})")
            x = kernel.value(x, *parameters)
        else:
            x, pull = forward.linearise(layer, x, None if key == "None" or state.key is None else state.key, True)
            if pull.__class__ is ForeignPull:  # which might return arrays that somebody else holds
                return None, []
            source.name("linearise", forward.linearise)
            source.write(f"a{i + 1}, pull{i} = linearise({place}, a{i}, {key}, True)")
            pulls.append(f"[{_listed('d', numbers)}], g = pull{i}(g, {i > 0})")
    return x, pulls


def _write_update(source: Source, parts: Sequence[Any], leading: int, is_chain: bool, leaves: Sequence[Any]) -> None:
    """Write the way from the gradient `d0`, `d1` ... to the moved parameters of the same names."""
    after = [f"after{i}" if isinstance(part, PackedPart) else "None" for i, part in enumerate(parts)]
    packing = Packing(leaves)
    if any(isinstance(part, PackedPart) for part in parts):
        _write_packed(source, parts, leading, is_chain, packing)
    else:
        for n in range(len(leaves)):
            source.write(*(f"d{n} *= factor{i}" for i in range(leading, len(parts))), f"d{n} += p{n}")
        source.write(f"whole = leaves = [{_listed('d', len(leaves))}]")
    source.write(*(f"d{n}.setflags(False)" for n in range(len(leaves))))
    source.write(f"optimizer = ({''.join(state + ', ' for state in after)})" if is_chain else f"optimizer = {after[0]}")


def _write_packed(source: Source, parts: Sequence[Any], leading: int, is_chain: bool, packing: Packing) -> None:
    """Write how vectors `w0`, `w1` ... of the updates go through the parts and are added to the parameters.

    A large vector goes in blocks, each of which stays in the processor's cache until all is done with it.
    """
    source.name("concatenate", np.concatenate)
    source.name("empty", np.empty)
    kernels = {i: part for i, part in enumerate(parts) if isinstance(part, PackedPart)}
    states = {i: f"state.optimizer[{i}]" if is_chain else "state.optimizer" for i in kernels}
    for i, part in kernels.items():
        source.name(f"kernel{i}", part.kernel)
        source.name(f"constants_at{i}", part.constants)
        source.name(f"columns_of{i}", part.columns)
        source.name(f"remembered{i}", part.remembered)
        source.write(f"constants{i}, columns{i} = constants_at{i}(step), columns_of{i}({states[i]})")
    for k, (group, (size, dtype)) in enumerate(zip(packing.pieces, packing.forms, strict=True)):
        members = _listed("d", [n for n, *_ in group])
        vector = f"concatenate(({members}), None)" if len(group) > 1 else f"d{group[0][0]}.reshape(-1)"
        source.write(f"w{k} = {vector}")
        source.name(f"dtype{k}", dtype)
        for i, part in kernels.items():
            source.write(*(f"r{i}_{c}_{k} = empty({size}, dtype{k})" for c in range(part.results - 1)))
        block, margin = "", ""
        if size > BLOCK:
            source.write(f"for begin in range(0, {size}, {BLOCK}):", f"    end = begin + {BLOCK}")
            block, margin = "[begin:end]", "    "
        source.write(f"{margin}u = w{k}{block}")
        for i, part in list(enumerate(parts))[leading:]:
            if i not in kernels:
                source.write(f"{margin}u *= factor{i}")
                continue
            operands = "".join(f", columns{i}[{c}][{k}]{block}" for c in range(part.results - 1))
            results = "".join(f", r{i}_{c}_{k}{block}" for c in range(part.results - 1))
            source.write(f"{margin}kernel{i}(constants{i}, (u{operands}), (u{results}))")
        source.write(f"{margin}u += state.whole[{k}]{block}", f"w{k}.setflags(False)")
        for n, begin, end, shape in group if len(group) > 1 else ():
            source.write(f"d{n} = w{k}[{begin}:{end}].reshape({shape})")
    count = len(packing.pieces)
    source.write(f"leaves, whole = [{_listed('d', packing.count)}], [{_listed('w', count)}]")
    for i, part in kernels.items():
        columns = [[f"r{i}_{c}_{k}" for k in range(count)] for c in range(part.results - 1)]
        source.write(*(f"{array}.setflags(False)" for column in columns for array in column))
        listed = "".join(f"({''.join(array + ', ' for array in column)}), " for column in columns)
        source.write(f"after{i} = remembered{i}({states[i]}, ({listed}))")


def _write_record(source: Source, node: Any, leaves: Iterator[str]) -> str:
    """Write how to build a network like this one from other leaves, and return the expression for it."""
    if isinstance(node, np.ndarray):
        return next(leaves)
    if not tree.leaves(node):
        return source.name(f"same{len(source.names)}", node)
    if isinstance(node, tuple):
        return f"({''.join(_write_record(source, child, leaves) + ', ' for child in node)})"
    n, fields = len(source.names), fields_of(type(node))
    cls = source.name(f"class{n}", type(node))
    values = [(name, _write_record(source, getattr(node, name), leaves)) for name in fields.children]
    values += [(name, source.name(f"{name}{n}", getattr(node, name))) for name in fields.statics]
    source.write(f"n{n} = new({cls})")
    for name, value in values:
        source.write(f"{source.name(f'set_{name}{n}', fields.setters[name])}(n{n}, {value})")
    return f"n{n}"


def _is_of_records(node: Any) -> bool:
    """Whether a tree is made of records, tuples and arrays alone."""
    if is_struct(node) or type(node) is tuple:
        return all(_is_of_records(child) for _, child in branches(node))
    return node is None or type(node) is np.ndarray


def _listed(letter: str, numbers: int | Sequence[int]) -> str:
    """Names with numbers, with a comma behind each."""
    return "".join(f"{letter}{n}, " for n in (range(numbers) if isinstance(numbers, int) else numbers))
