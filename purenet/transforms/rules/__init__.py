"""The derivative of every function that can be differentiated: one table, made of a table per family.

The methods of ufuncs are functions that have rules; their key is `(ufunc, method)`. `at`, which writes into its
argument, and `reduceat` have no rule.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np

from purenet.transforms.rule import Composite, Elementwise, Rule
from purenet.transforms.rules import (
    elementwise,
    interpolation,
    linear_algebra,
    picking,
    products,
    reductions,
    shape,
)
from purenet.transforms.rules.elementwise import as_array, cast
from purenet.transforms.rules.picking import Sparse, getitem


def _reduce(function: Any) -> Composite:
    """`ufunc.reduce`, which goes over the first axis unless told otherwise."""

    def definition(array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, *args: Any, **kwargs: Any) -> Any:
        options = dict(zip(("keepdims", "initial", "where"), args, strict=False)) | kwargs
        return function(array, axis=axis, **(options if dtype is None else {"dtype": dtype, **options}))

    return Composite(definition)


def _accumulate(function: Any) -> Composite:
    return Composite(lambda array, axis=0, dtype=None, out=None: function(array, axis=axis, dtype=dtype))


def _outer(ufunc: Any) -> Composite:
    """`ufunc.outer(a, b)`: every element of `a` with every element of `b`."""

    def definition(a: Any, b: Any, **kwargs: Any) -> Any:
        a, b = as_array(a), as_array(b)
        return ufunc(np.reshape(a, np.shape(a) + (1,) * np.ndim(b)), b, **kwargs)

    return Composite(definition)


_UFUNC_METHODS: dict[Any, Rule] = {
    (np.add, "reduce"): _reduce(np.sum),
    (np.multiply, "reduce"): _reduce(np.prod),
    (np.maximum, "reduce"): _reduce(np.max),
    (np.minimum, "reduce"): _reduce(np.min),
    (np.add, "accumulate"): _accumulate(np.cumsum),
    (np.multiply, "accumulate"): _accumulate(np.cumprod),
    **{
        (function, "outer"): _outer(function)
        for function, rule in elementwise.RULES.items()
        if isinstance(function, np.ufunc) and function.nin == 2 and isinstance(rule, Elementwise)
    },
}

_FAMILIES = (elementwise, reductions, products, linear_algebra, shape, picking, interpolation)

RULES: MappingProxyType[Any, Rule] = MappingProxyType(
    {function: rule for family in _FAMILIES for function, rule in family.RULES.items()} | _UFUNC_METHODS
)

__all__ = ["RULES", "Sparse", "cast", "getitem"]
