"""`portable`: the same function in arithmetic that gives the same bits on every machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import numpy as np

from purenet import tree
from purenet.arithmetic.modes import Portable
from purenet.errors import DtypeError
from purenet.keys import Key
from purenet.records import is_struct, rebuild, static, struct
from purenet.transforms.linearise import Pullback, force, linearise
from purenet.transforms.portability.boundary import enter, leave, mode_of
from purenet.walk import branches, is_leaf, sequence_like


@struct
class PortableFunction:
    """A function in portable arithmetic; made by `portable`."""

    function: Callable[..., Any] = static()
    mode: Portable

    @property
    def __name__(self) -> str:
        return getattr(self.function, "__name__", "portable")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The value of the function."""
        outside = mode_outside((args, kwargs))
        result = self.function(*entered(args, self.mode), **entered(kwargs, self.mode))
        return left(result, outside, self.mode)

    def __linearise__(self, args: Any, kwargs: dict[str, Any], wanted: Sequence[bool]) -> tuple[Any, Pullback]:
        """The value and the pullback, both in portable arithmetic."""
        outside = mode_outside((args, kwargs))
        value, pull = linearise(self.function, entered(tuple(args), self.mode), entered(kwargs, self.mode), wanted)

        def pullback(cotangent: Any) -> Sequence[Any]:
            return tuple([left(force(c), outside) for c in pull(entered(cotangent, self.mode))])

        return left(value, outside), pullback


def portable(f: Callable[..., Any], slices: int = 1) -> Any:
    """The same function in portable arithmetic: the same bits on every machine, by the numeric contract `portable-1`.

    Every NumPy call, operator and array method on the arguments of `f`, and on what is computed from them, follows the
    contract (docs/numeric-contract.md). Arrays that do not come from the arguments are constants, and Python's integers
    and booleans stay what they are: what is computed from them alone is NumPy's and Python's business.

    Args:
        f: a function of trees of arrays, written in NumPy and purenet functions: a loss, `pn.value_and_grad(loss)`,
            or a training step made by `pn.make_step`. It is called with stand-ins for its arrays. A step keeps the
            arrays of the batch that it saw last, for they are quicker to use when they come again.
        slices: how many pieces each operand of a matrix product is cut into: 1 keeps about 21 bits, 2 about 42, 3 full
            double precision.

    Returns:
        A function of the same arguments that returns plain arrays, in which every NaN has the bits of `np.nan`. Under
        `pn.grad` and its kin, its derivative is computed in portable arithmetic, too.

    Raises:
        ArgumentError: if `slices` is not 1, 2 or 3.
        ContractError: when called, if `f` applies an operation that is outside the contract; it names it.

    Example:
        >>> import numpy as np
        >>> portable(lambda x, w: np.tanh(x @ w))(np.ones((1, 2)), np.array([[0.5], [0.25]])).tobytes().hex()
        '28f252e52353e43f'
    """
    mode = Portable(slices)
    if not callable(f):
        raise DtypeError(f"expected a function, got {f!r:.60}", path="portable.f")
    own = getattr(f, "__portable__", None)
    return PortableFunction(f, mode) if own is None else own(mode)


def entered(value: Any, mode: Portable, enter: Callable[[Any, Portable], Any] = enter) -> Any:
    """A tree whose leaves are values of portable arithmetic. Keys stay: draws are portable by themselves."""
    if value.__class__ is np.ndarray:
        return enter(value, mode)
    if value.__class__ is tuple:
        return tuple([entered(child, mode, enter) for child in value])
    if isinstance(value, Key) or value is None:
        return value
    if is_leaf(value):
        return enter(value, mode)
    if is_struct(value):
        return rebuild(value, [entered(child, mode, enter) for _, child in branches(value)])
    if isinstance(value, dict):
        return {key: entered(child, mode, enter) for key, child in value.items()}
    return sequence_like(value, [entered(child, mode, enter) for child in value])


def left(value: Any, outside: Portable | None, mode: Portable | None = None) -> Any:
    """A tree whose leaves are plain, or values of the arithmetic outside; a function made inside stays in `mode`."""
    leaves, build = tree.flatten(value)
    if mode is not None:
        leaves = [PortableFunction(leaf, mode) if isinstance(leaf, _FUNCTIONS) else leaf for leaf in leaves]
    return build([leave(leaf, outside) for leaf in leaves])


_FUNCTIONS = (FunctionType, MethodType, partial)


def mode_outside(value: Any) -> Portable | None:
    """The arithmetic that a call with these arguments is in already."""
    return next((mode for mode in map(mode_of, tree.leaves(value)) if mode is not None), None)
