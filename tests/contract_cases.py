"""One table of calls on which the laws of the numeric contract are tested: at least one for each function in it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from purenet.arithmetic import native
from purenet.arithmetic.contract import CONTRACT, PRODUCTS


class Case(NamedTuple):
    """A call: a function of NumPy's, or `(ufunc, method)`, and its arguments."""

    label: str
    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = {}  # noqa: RUF012

    def __str__(self) -> str:
        return self.label

    def carry_out(self, args: Any = None) -> Any:
        """The result by the contract."""
        args = self.args if args is None else args
        if self.function in PRODUCTS:
            return PRODUCTS[self.function](*args, **{"slices": 3, **self.kwargs})
        return CONTRACT[self.function](*args, **self.kwargs)

    def by_numpy(self) -> Any:
        """The result by NumPy."""
        function = self.function
        if isinstance(function, tuple):
            function = getattr(*function)
        kwargs = {name: value for name, value in self.kwargs.items() if name != "slices"}
        return function(*self.args, **kwargs)


def real(*shape: int, seed: int = 0, dtype: Any = np.float64) -> np.ndarray[Any, Any]:
    """Numbers between -8 and 8 with 40 bits, so that the order of a sum shows."""
    words = np.random.RandomState(seed + 7 * sum(shape)).randint(-(2**40), 2**40, shape, dtype=np.int64)
    return (words / 2.0**37).astype(dtype)


def whole(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Integers from 0 to 8."""
    return np.random.RandomState(seed + sum(shape)).randint(0, 9, shape, dtype=np.int64)


X, Y, POSITIVE, UNIT = real(7, 5), real(7, 5, seed=1), np.abs(real(7, 5, seed=2)) + 0.125, real(7, 5, seed=3) / 8.5
CUBE, VECTOR, SINGLE = real(4, 6, 5), real(37), real(7, 5, dtype=np.float32)
TIES = np.array([[0.0, -0.0, 1.0], [2.0, 1.0, -0.0]])
MASK = X > 0.5
INTEGERS, SMALL = whole(7, 5), whole(7, 5, seed=1) + 1
LINE = np.cumsum(np.abs(real(9)) + 0.5)

Row = tuple[Any, ...]

_UNARY = {
    "X": "square negative positive absolute fabs sign rint floor ceil trunc fix isnan isinf isfinite isneginf "
    "isposinf logical_not conjugate real imag iscomplex isreal iscomplexobj isrealobj nan_to_num spacing signbit modf "
    "frexp exp exp2 expm1 sin cos sinh cosh tanh tan arctan arcsinh deg2rad rad2deg degrees radians cbrt reciprocal "
    "round around diff ediff1d gradient sum prod mean var std max min amax amin cumsum cumprod sort argsort unique "
    "ravel squeeze transpose matrix_transpose atleast_1d atleast_2d atleast_3d copy flip fliplr flipud rot90 diagonal "
    "diag diagflat tril triu zeros_like ones_like empty_like argmax argmin nanargmax nanargmin nonzero flatnonzero "
    "argwhere count_nonzero all any shape ndim size result_type min_scalar_type common_type unstack",
    "POSITIVE": "sqrt log log2 log10 log1p",
    "UNIT": "arcsin arccos arctanh",
    "INTEGERS": "invert bitwise_count",
}


_BINARY = (
    "add subtract multiply divide fmod heaviside equal not_equal less less_equal greater greater_equal nextafter "
    "logical_and logical_or logical_xor maximum minimum fmax fmin copysign divmod floor_divide remainder hypot "
    "arctan2 logaddexp logaddexp2 isclose allclose array_equal array_equiv outer kron"
)


def _rows() -> Iterator[Row]:
    """`(name, args, kwargs, module)`, the last two if they are needed."""
    values = {"X": X, "POSITIVE": POSITIVE, "UNIT": UNIT, "INTEGERS": INTEGERS}
    for domain, names in _UNARY.items():
        for name in names.split():
            if not name.endswith("_"):
                yield name, (values[domain],)
    yield "arccosh", (POSITIVE + 1.0,)
    for name in _BINARY.split():
        yield name, (X, Y)
        yield name, (X[0], SINGLE)
    for name in ("bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift", "gcd", "lcm", "floor_divide"):
        yield name, (INTEGERS, SMALL)
    for exponent in (0.0, 1.0, 2.0, 3.0, 0.5, -1.0, -2.5, Y):
        yield "power", (POSITIVE, exponent)
    yield "power", (INTEGERS, 3)
    yield "power", (SINGLE, 3)
    yield "float_power", (SINGLE, 3)
    yield "ldexp", (X, INTEGERS)
    for name in ("exp", "tanh", "maximum", "minimum"):
        yield name, ((SINGLE,) if name in ("exp", "tanh") else (SINGLE, 0.5))
        yield name, ((INTEGERS,) if name in ("exp", "tanh") else (INTEGERS, 4))
    yield from _reductions()
    yield from _moves()
    yield from _products()


def _reductions() -> Iterator[Row]:
    for name in ("sum", "prod", "mean", "var", "std", "max", "min"):
        for array in (CUBE, CUBE.astype(np.float32), CUBE.astype(np.float16), INTEGERS, real(64, 100), real(640)):
            for axis in (None, 0, -1, (0, 1), (-1, 0)):
                if not isinstance(axis, tuple) or array.ndim == 3:
                    yield name, (array / 8 if name == "prod" and array.dtype.kind == "f" else array, axis)
        yield name, (X, 1), {"keepdims": True}
        yield (
            name,
            (X, 0),
            {"where": MASK | (np.arange(7) == 0)[:, None], **({"initial": 2.0} if name in _INITIAL else {})},
        )
    yield "var", (X, 0), {"ddof": 1}
    yield "sum", (SINGLE,), {"dtype": np.float64}
    for name in ("cumsum", "cumprod"):
        for axis in (None, 0, 1):
            yield name, (UNIT, axis)
        yield name, (INTEGERS, 0)
        yield name, (SINGLE / 8, 1)
    for label in ("argmax", "argmin"):
        yield label, (TIES, 1)
    yield "clip", (X, -1.0, 2.0)
    yield "clip", (SINGLE, None, 0.5)
    yield "round", (X, 2)
    yield "round", (X * 100, -2)
    yield "gradient", (VECTOR[:9], LINE)
    yield "gradient", (X, 0.5), {"axis": 1, "edge_order": 2}
    yield "diff", (X, 2, 0)
    yield "cross", (X[:, :3], Y[:, :3])
    yield "interp", (X, LINE, real(9, seed=4))
    yield "interp", (X[0], LINE, real(9, seed=4), 1.0, -1.0)
    yield "interp", (2.5, X[0], Y[0]), {"period": 3.0}
    yield "interp", (X[0], [1.0], [2.0])
    yield "linspace", (0.5, 7.25, 11)
    yield "linspace", (X[0], Y[0], 4, False)


_INITIAL = ("sum", "prod", "max", "min")


def _moves() -> Iterator[Row]:
    yield from (
        ("reshape", (X, (5, 7))), ("expand_dims", (X, 1)), ("swapaxes", (CUBE, 0, 2)), ("moveaxis", (CUBE, 0, 2)),
        ("rollaxis", (CUBE, 2)), ("broadcast_to", (X[0], (3, 5))), ("broadcast_arrays", (X[0], X)),
        ("meshgrid", (X[0], X[:, 0])), ("astype", (X, np.float32)), ("resize", (X, (3, 4))), ("roll", (X, 2, 1)),
        ("tile", (X, (2, 1))), ("repeat", (X, 2, 1)), ("full_like", (X, 2.5)), ("concatenate", ([X, Y],)),
        ("concatenate", ([X, SINGLE], 1)), ("stack", ([X, Y], 1)), ("vstack", ([X, Y],)), ("hstack", ([X, Y],)),
        ("dstack", ([X, Y],)), ("column_stack", ([X, Y],)), ("append", (X, Y, 0)), ("block", ([[X, Y], [Y, X]],)),
        ("split", (X, [2, 5])), ("array_split", (X, 3)), ("vsplit", (X, [3])), ("hsplit", (X, [3])),
        ("dsplit", (CUBE, [3])), ("insert", (X, 2, Y[0], 0)), ("delete", (X, [0, 3], 0)), ("take", (X, [2, 0], 1)),
        ("take_along_axis", (X, np.argsort(Y, 1), 1)), ("choose", (INTEGERS % 2, [X, Y])),
        ("select", ([X > 1, X > -1], [X, Y], 0.5)), ("compress", ([True, False, True], X, 0)), ("extract", (MASK, X)),
        ("where", (MASK, X, Y)), ("where", (MASK, SINGLE, 0.0)), ("where", (MASK,)), ("searchsorted", (LINE, X)),
        ("digitize", (X, LINE)), ("bincount", (INTEGERS[0], X[0])), ("lexsort", ((X[0], Y[0]),)),
        ("isin", (INTEGERS, [1, 2])), ("diag_indices_from", (X[:5],)), ("tril_indices_from", (X,)),
        ("triu_indices_from", (X,)), ("unravel_index", (INTEGERS, (3, 3))),
        ("ravel_multi_index", ((INTEGERS, SMALL), (9, 10))), ("can_cast", (np.float64, np.float32)),
        ("shares_memory", (X, Y)), ("may_share_memory", (X, Y)),
        ("array_repr", (X,)), ("array_str", (X,)), ("array2string", (X,)), ("einsum_path", ("ij,jk", X, X.T)),
        ("partition", (TIES, 1)), ("argpartition", (TIES, 1)), ("sort", (X, None)),
        ("unique", (TIES, True, True, True)),
        ("pad", (X, 1)), ("pad", (X, ((1, 2), (0, 3)), "reflect")), ("round", (INTEGERS,)),
        ("cross", (X[:, :3], Y[:, :3]), {}, np.linalg), ("outer", (X[0], Y[0]), {}, np.linalg),
        ("diagonal", (CUBE,), {}, np.linalg), ("matrix_transpose", (CUBE,), {}, np.linalg),
    )  # fmt: skip


def _products() -> Iterator[Row]:
    wide, tall = real(5, 9), real(9, 4, seed=1)
    for name, args in (
        ("matmul", (wide, tall)), ("matmul", (CUBE, real(5))), ("matmul", (SINGLE, real(5, 3, dtype=np.float32))),
        ("matmul", (INTEGERS, whole(5, 3))), ("dot", (wide, tall)), ("dot", (X, 2.5)), ("dot", (CUBE, real(2, 5, 3))),
        ("dot", (VECTOR, VECTOR)), ("vdot", (X, Y)), ("inner", (CUBE, X)), ("tensordot", (CUBE, X, (2, 1))),
        ("tensordot", (CUBE, real(5, 6, 2), ((1, 2), (1, 0)))), ("tensordot", (CUBE, real(6, 5))),
        ("vecdot", (X, Y)), ("matvec", (CUBE, X[0])), ("vecmat", (real(6), CUBE)), ("convolve", (VECTOR, X[0])),
        ("convolve", (X[0], VECTOR, "same")), ("convolve", (VECTOR, X[0, :4], "valid")),
        ("correlate", (VECTOR, X[0], "full")), ("correlate", (X[0], VECTOR, "same")), ("correlate", (VECTOR, X[0])),
    ):  # fmt: skip
        yield name, args
    square = real(4, 4)
    for subscripts, *operands in (
        ("ij,jk->ik", wide, tall), ("ij,jk", wide, tall), ("ij->ji", X), ("ij->", X), ("ii->i", square), ("ii", square),
        ("i,j->ij", X[0], Y[0]), ("ij,ij->i", X, Y), ("bij,bjk->bik", CUBE, real(4, 5, 3)), ("...ij,j", CUBE, X[0]),
        ("ij,jk,kl->il", wide, tall, real(4, 2)), ("ij,ik,il->jkl", X, Y, X), ("ij,j,j->i", X, X[0], Y[0]),
        ("bij,j,bk->ik", CUBE, X[0], real(4, 2)), ("ij,kl->jl", X, Y), ("ij,ij,ij->j", X, Y, X), ("ij,ij->", X, Y),
        ("iij,jk->ik", real(3, 3, 4), square), ("ij,jk->ik", X, SINGLE[:5]), ("i,i", INTEGERS[0], X[0]),
        ("ij,jk->ik", INTEGERS, whole(5, 3)), ("ij,jk->ik", np.ones((3, 1)), X[:, :4]), ("ij,j->", X, X[0]),
        ("ij,jk->ki", SINGLE, SINGLE[:5]), ("...,...", X, Y),
    ):  # fmt: skip
        yield "einsum", (subscripts, *operands)
    yield "einsum", (wide, [0, 1], tall, [1, 2], [0, 2])
    yield "matmul", (wide, tall), {"slices": 1}
    yield "einsum", ("ij,jk->ik", wide, tall), {"slices": 2, "optimize": True}
    yield "tensordot", (CUBE, X), {"axes": (2, 1)}, np.linalg
    for name, args in (
        ("matmul", (wide, tall)), ("vecdot", (X, Y)),
        ("multi_dot", ([wide, tall, real(4, 3)],)), ("multi_dot", ([real(5), wide, tall, real(4)],)),
        ("matrix_power", (square, 0)), ("matrix_power", (square, 3)), ("matrix_power", (square, 10)),
    ):  # fmt: skip
        yield name, args, {}, np.linalg


def _methods() -> Iterator[tuple[Any, tuple[Any, ...], dict[str, Any]]]:
    for function in CONTRACT:
        if isinstance(function, tuple) and function[1] == "outer":
            yield function, (_operands(function[0])), {}
        elif isinstance(function, tuple):
            array = INTEGERS if function[0].__name__.startswith("bitwise") else X
            yield function, (array / 8 if function[0] is np.multiply else array,), {}
            yield function, (array / 8 if function[0] is np.multiply else array, 1), {}


def _operands(ufunc: Any) -> tuple[Any, Any]:
    if ufunc is np.ldexp:
        return POSITIVE[0], INTEGERS[1]
    return (POSITIVE[0], Y[1]) if "dd->" in " ".join(ufunc.types) else (INTEGERS[0], SMALL[1])


def all_cases() -> list[Case]:
    """The table; a case for a function that this NumPy does not have is left out."""
    found: list[Case] = []
    counts: dict[str, int] = {}

    def add(name: str, function: Any, args: Any, kwargs: dict[str, Any]) -> None:
        counts[name] = counts.get(name, 0) + 1
        if function is not None and (function in CONTRACT or function in PRODUCTS):
            found.append(Case(f"{name} {counts[name]}", function, args, kwargs))

    for name, args, *rest in _rows():
        kwargs, module = [*rest, *({}, np)[len(rest) :]]
        add(f"linalg.{name}" if module is np.linalg else name, getattr(module, name, None), args, kwargs)
    for function, args, kwargs in _methods():
        add(f"{function[0].__name__}.{function[1]}", function, args, kwargs)
    for primitive in (native.relu, native.sigmoid, native.softplus, native.erf, native.log_sum_exp, native.softmax):
        for array in (X, SINGLE, CUBE):
            add(primitive.__name__, primitive, (array,), {})
    return found


CASES = all_cases()


# Arguments in other layouts.


def misaligned(array):
    """At an address that is no multiple of the element's size."""
    memory = np.zeros(array.nbytes + 1, np.uint8)[1:]
    moved = memory.view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


def strided(array):
    """Every other element of a larger array."""
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


LAYOUTS = {
    "Fortran": np.asfortranarray,
    "reversed": lambda a: np.flip(np.flip(a).copy()),
    "strided": strided,
    "misaligned": misaligned,
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
}


def changed(value, change):
    """Arguments with every array in another layout, read-only."""
    if isinstance(value, np.ndarray) and value.ndim:
        other = change(value)
        other.flags.writeable = False
        return other
    if isinstance(value, tuple | list):
        return type(value)([changed(item, change) for item in value])
    return value


# Results.

TEXT = (
    "array_repr",
    "array_str",
    "array2string",
    "einsum_path",
    "result_type",
    "can_cast",
    "min_scalar_type",
    "common_type",
)
"""Functions whose results are about arrays, not made of their numbers."""


def parts(result: Any) -> list[Any]:
    """The arrays that a result is made of."""
    if isinstance(result, tuple | list):
        return [part for item in result for part in parts(item)]
    return [np.asarray(result)]


def signature(result: Any) -> str:
    """A hash of dtypes, shapes and bits; every NaN counts as the same."""
    digest = hashlib.sha256()
    for part in parts(result):
        if part.dtype.kind == "f":
            part = np.where(np.isnan(part), part.dtype.type(np.nan), part)
        little = np.ascontiguousarray(part.astype(part.dtype.newbyteorder("<")))
        digest.update(f"{little.dtype.str} {part.shape} ".encode())
        digest.update(little.tobytes())
    return digest.hexdigest()[:16]


def signatures() -> dict[str, str]:
    """Of every case whose result is made of numbers."""
    with np.errstate(all="ignore"):
        return {case.label: signature(case.carry_out()) for case in CASES if case.label.rsplit(" ", 1)[0] not in TEXT}


if __name__ == "__main__":
    import json

    print(json.dumps(signatures()))
