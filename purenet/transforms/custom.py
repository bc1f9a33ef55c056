"""Derivatives stated by the user: `custom_vjp` and `stop_gradient`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from purenet import tree
from purenet.errors import DifferentiationError, StructureError
from purenet.records import static, struct
from purenet.transforms.array_interface import name_of
from purenet.transforms.linearise import VjpRule, checked, described, is_differentiable, lift, unwrap
from purenet.transforms.tracer import innermost, is_of, plain, zeros


@struct
class CustomVjp:
    """A function with a derivative of one's own; made by `custom_vjp`."""

    function: Callable[..., Any] = static()
    rule: VjpRule = static()

    __rule_is_traceable__ = True

    @property
    def __name__(self) -> str:
        return getattr(self.function, "__name__", "custom_vjp")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The value of the function; under differentiation, of the rule."""
        trace = innermost(tree.leaves((args, kwargs)))
        if trace is None:
            return self.function(*args, **kwargs)
        if innermost(tree.leaves(kwargs)) is not None:
            raise DifferentiationError(
                f"{self.__name__} has a rule of its own, for arguments given by position; pass traced values so"
            )
        leaves, unflatten = tree.flatten(args)
        ours = [is_of(leaf, trace) for leaf in leaves]
        held = unflatten([unwrap(leaf, trace) for leaf in leaves])
        value, pull = self._ruled(held, kwargs)
        outs, rebuild = tree.flatten(value)
        if any(is_of(out, trace) for out in outs):
            raise DifferentiationError(
                f"the rule of {self.__name__} uses a traced value that is not among its arguments; pass it as one"
            )

        def filled(varying: Sequence[Any], fill: Callable[[Any], Any]) -> Any:
            new = iter(varying)
            return rebuild([next(new) if is_differentiable(out) else fill(out) for out in outs])

        def pull_leaves(cotangents: Sequence[Any]) -> list[Any]:
            pulled = checked(f"pullback of {name_of(self)}", pull(filled(cotangents, zeros)), held)
            per_leaf = [leaf for ct, arg in zip(pulled, held, strict=True) for leaf in _leaves_or_none(ct, arg)]
            return [leaf for leaf, mine in zip(per_leaf, ours, strict=True) if mine]

        marks = tuple(leaf.mark for leaf, mine in zip(leaves, ours, strict=True) if mine)
        results = trace.join([lift(out) for out in outs if is_differentiable(out)], marks, pull_leaves)
        return filled(results, lambda out: out)

    def _ruled(self, args: Any, kwargs: Any) -> tuple[Any, Callable[[Any], Any]]:
        """The value and the pullback that the rule returns, if it does."""
        found = self.rule(*args, **kwargs)
        if isinstance(found, tuple) and len(found) == 2 and callable(found[1]):
            return found
        problem = f"expected the rule to return (value, pullback), with a function as pullback, got {described(found)}"
        raise StructureError(problem, path=f"rule of {name_of(self)}")

    def __vjp_rule__(self, *args: Any, **kwargs: Any) -> tuple[Any, Callable[[Any], Sequence[Any]]]:
        value, pull = self._ruled(args, kwargs)
        return value, lambda cotangent: checked(f"pullback of {name_of(self)}", pull(cotangent), args)


def custom_vjp(f: Callable[..., Any], rule: VjpRule) -> CustomVjp:
    """A function like `f` whose derivative is stated by `rule`: a hand-derived one, or another than the true one.

    `rule(*args) -> (value, pullback)` with `pullback(cotangent) -> (cotangent of args[0], cotangent of args[1], ...)`.

    Args:
        f: a function of trees of arrays; it is called when nothing is differentiated.
        rule: returns what `f` returns, and the pullback. A cotangent has the structure and shapes of its argument; None
            stands for zero. Where gradients of gradients are taken, and in forward mode (`jvp`, `hvp`), the rule and
            its pullback are themselves differentiated, so write them in NumPy calls that allocate their results.

    Raises:
        StructureError, ShapeError: when differentiated, if the pullback returns too few cotangents or a wrong form.
        DifferentiationError: when differentiated, if the rule uses a traced value that is not among its arguments.

    Example:
        >>> import numpy as np
        >>> import purenet as pn
        >>> def rule(x):                       # the straight-through estimator: a step with the slope of a line
        ...     return np.sign(x), lambda g: (g,)
        >>> binarize = custom_vjp(np.sign, rule)
        >>> pn.grad(lambda x: np.sum(binarize(x) * np.array([1.0, 2.0])))(np.array([-3.0, 4.0]))
        array([1., 2.])
    """
    for name, value in (("f", f), ("rule", rule)):
        if not callable(value):
            raise DifferentiationError(f"expected a function, got {value!r:.60}", path=f"custom_vjp.{name}")
    return CustomVjp(f, rule)


def stop_gradient(x: Any) -> Any:
    """The same tree, as a constant to every differentiation.

    Args:
        x: any tree.

    Example:
        >>> import purenet as pn
        >>> pn.grad(lambda x: x * stop_gradient(x))(3.0)
        np.float64(3.0)
    """
    return tree.flatten(x)[1]([plain(leaf) for leaf in tree.leaves(x)])


def _leaves_or_none(cotangent: Any, arg: Any) -> list[Any]:
    return [None] * len(tree.leaves(arg)) if cotangent is None else tree.leaves(cotangent)
