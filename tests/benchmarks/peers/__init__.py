"""The contenders, one module each, imported only when it is measured.

A module has `training(workload) -> Training`, and `prediction(workload) -> (x -> y)` where it makes sense; both take
their data and initial weights from `problem(workload)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Peer:
    """A contender.

    Attributes:
        name: its module here, and its key in results.
        title: how tables name it.
        requires: the packages without which it is skipped.
        asked_for: whether it takes part only if asked for.
    """

    name: str
    title: str
    requires: tuple[str, ...] = ()
    asked_for: bool = False

    @property
    def missing(self) -> list[str]:
        """The required packages that are not installed."""
        return [package for package in self.requires if find_spec(package) is None]

    def load(self) -> ModuleType:
        """Its module."""
        return import_module(f"{__name__}.{self.name}")


@dataclass(frozen=True)
class Training:
    """Training by one contender.

    Attributes:
        fresh: a state before the first step.
        advance: `advance(state, n)` takes n steps and returns the new state, or the same one changed, and the loss that
            the last step computed; it returns when all work is done.
        note: how its arithmetic differs from the others', if it does.
        losses: `losses(n)`: the loss that each of the first n steps computed; by single steps if None.
    """

    fresh: Callable[[], Any]
    advance: Callable[[Any, int], tuple[Any, Any]]
    note: str = ""
    losses: Callable[[int], list[float]] | None = None

    def turn(self, steps: int) -> Callable[[], Any]:
        """A turn of so many steps, for `timing.interleave`."""
        state = self.fresh()
        return lambda: self.advance(state, steps)

    def first_losses(self, steps: int) -> list[float]:
        """The loss that each of the first steps computed."""
        if self.losses is not None:
            return self.losses(steps)
        state, found = self.fresh(), []
        for _ in range(steps):
            state, loss = self.advance(state, 1)
            found.append(float(loss))
        return found


PEERS = (
    Peer("floor", "matrix products alone"),
    Peer("bare", "NumPy at best"),
    Peer("script", "plain script"),
    Peer("fold", "**purenet**"),
    Peer("torch_eager", "PyTorch", ("torch",)),
    Peer("torch_compile", "torch.compile", ("torch",), asked_for=True),
    Peer("jax_jit", "jax.jit per step", ("jax", "optax")),
    Peer("jax_scan", "jax.lax.scan", ("jax", "optax")),
    Peer("autograd_loop", "autograd", ("autograd",)),
    Peer("scikit_learn", "scikit-learn", ("sklearn",)),
)
"""Everybody, in the order of the tables' columns."""

TITLES = {peer.name: peer.title for peer in PEERS}


def present(names: Iterable[str] | None = None) -> list[Peer]:
    """The contenders that can be measured here, or those of them that are named.

    Example:
        >>> [peer.name for peer in present(["script", "fold"])]
        ['script', 'fold']
    """
    wanted = None if names is None else set(names)
    chosen = [p for p in PEERS if (not p.asked_for if wanted is None else p.name in wanted)]
    return [peer for peer in chosen if not peer.missing]
