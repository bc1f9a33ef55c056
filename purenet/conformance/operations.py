"""The operations of the numeric contract that `selftest` tries, each on inputs that purenet's own keys draw.

Inputs are the same on every machine; results are trees of arrays, so that one digest stands for an operation. The
choice of inputs belongs to the known answers: changing an input changes an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial, reduce
from itertools import repeat
from typing import Any

import numpy as np

from purenet import losses, random, schedules, tree
from purenet.arithmetic import native
from purenet.keys import fold_in, key, split
from purenet.layers import activations, basic, combinators
from purenet.layers.construction import dense, layer_norm, mlp
from purenet.layers.dispatch import forward
from purenet.optimizers import RECIPES, chain, clip, clip_by_global_norm
from purenet.records import Array
from purenet.training import init_state, make_step, objective
from purenet.transforms import grad, hvp, jacobian, jvp, portable, value_and_grad

Operation = Callable[[], Any]


def operations() -> Mapping[str, Mapping[str, Operation]]:
    """Every operation as a function without arguments, by its group and its name."""
    return {
        "random draws": _draws(),
        "products": _products(),
        "sums and other reductions": _reductions(),
        "elementary functions": {name: partial(_elementwise, getattr(np, name)) for name in _ELEMENTARY},
        "functions of two arguments": {name: partial(_of_two, getattr(np, name)) for name in _OF_TWO},
        "functions of networks": _network_functions(),
        "formulas": {name: partial(_on_lines, f) for name, f in _FORMULAS.items()},
        "order and rounding": {name: partial(_elementwise, f) for name, f in _ARRANGED.items()},
        "layers": {name: partial(_layer, layer) for name, layer in _layers().items()},
        "losses": _losses(),
        "optimizers": {name: partial(_optimizer, recipe) for name, recipe in RECIPES.items()},
        "derivatives": _derivatives(),
        "training": {name: partial(_training, slices) for name, slices in _SLICES.items()}
        | {"float32": partial(_training, 1, np.float32)},
    }


# --- inputs


def _normal(name: str, *shape: int, dtype: Any = np.float64) -> Array:
    array: Array = random.normal(fold_in(key(0), name), shape, dtype=dtype)
    return array


def _magnitudes(name: str, *shape: int, most: int) -> Array:
    """Normal numbers times powers of two between 2**-most and 2**most."""
    powers = random.integers(fold_in(key(1), name), -most, most + 1, shape)
    array: Array = np.ldexp(_normal(name, *shape), powers)
    return array


def _special() -> Array:
    """Zeros, ones, halves, the ends of the range, subnormal numbers, infinities and NaN, of both signs."""
    finite = [0.0, 5e-324, 1e-310, 2.2250738585072014e-308, 1e-20, 0.5, 1.0, 1.5, 2.0, 20.0, 700.0, 1e6, 1e20, 1e300]
    positive = np.array([*finite, 1.7976931348623157e308, np.inf])
    return np.concatenate([positive, -positive, [np.nan]])


def _numbers() -> list[Array]:
    """What functions of one argument are tried on."""
    wide = _magnitudes("wide", 400, most=8)
    huge = _magnitudes("huge", 100, most=900)
    return [_normal("x", 13, 31), np.abs(wide), wide, huge, wide.astype(np.float32), _special()]


# --- the groups


def _draws() -> dict[str, Operation]:
    k = key(2)
    return {
        "uniform": lambda: random.uniform(k, 100, -1.0, 3.0),
        "normal": lambda: (random.normal(k, 100), random.normal(k, 100, dtype=np.float32)),
        "truncated_normal": lambda: random.truncated_normal(k, -1.0, 2.0, 100),
        "integers": lambda: random.integers(k, -5, 1000, 100),
        "permutation": lambda: random.permutation(k, 100),
        "choice": lambda: random.choice(k, 20, 10, p=np.arange(1.0, 21.0) / 210.0),
        "bernoulli": lambda: random.bernoulli(k, 0.3, 100),
    }


def _products() -> dict[str, Operation]:
    def matmul(slices: int) -> Any:
        multiply = portable(lambda a, b: a @ b, slices)
        small, long = (_normal("a", 33, 65), _normal("b", 65, 9)), (_normal("c", 3, 9001), _normal("d", 9001, 2))
        wide = _magnitudes("e", 20, 70, most=300), _magnitudes("f", 70, 6, most=300)
        singles = _normal("g", 17, 40, dtype=np.float32), _normal("h", 40, 3, dtype=np.float32)
        stacks = _normal("i", 4, 1, 5, 8), _normal("j", 3, 8, 2)
        special = _special()[:32].reshape(8, 4), _normal("k", 4, 5)
        pairs = (small, long, wide, singles, stacks, special, (small[1].T, small[0].T), (small[0][0], small[1]))
        return [multiply(a, b) for a, b in pairs]

    others: dict[str, Callable[[Any, Any], Any]] = {
        "dot": lambda a, b: np.dot(a.T, b),
        "inner": np.inner,
        "outer": lambda a, b: np.outer(a[0], b[0]),
        "tensordot": lambda a, b: np.tensordot(a, b, axes=((0, 1), (0, 1))),
        "einsum": lambda a, b: np.einsum("ij,kj->ki", a, b),
    }
    return {f"matmul, {name}": partial(matmul, slices) for name, slices in _SLICES.items()} | {
        name: partial(lambda f: portable(f)(_normal("l", 7, 19), _normal("m", 7, 19)), f) for name, f in others.items()
    }


_SLICES = {"1 slice": 1, "2 slices": 2, "3 slices": 3}


def _reductions() -> dict[str, Operation]:
    def tried(f: Callable[..., Any]) -> Any:
        wide = _magnitudes("sum", 7, 33, 5, most=20)
        arrays = (wide, wide.astype(np.float32), _normal("long", 3001, 1), _special()[:30].reshape(5, 6))
        return [portable(partial(f, axis=axis))(x) for x in arrays for axis in (None, 0, -1)]

    names = ("sum", "mean", "var", "std", "prod", "max", "min", "cumsum", "cumprod")
    chosen: dict[str, Any] = {name: getattr(np, name) for name in names}
    return {name: partial(tried, f) for name, f in (chosen | {"norm": np.linalg.norm}).items()}


_ELEMENTARY = (
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "arcsin", "arccos", "arctan"),
    *("sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "sqrt", "cbrt", "square", "reciprocal", "degrees"),
)
_OF_TWO = (
    *("add", "subtract", "multiply", "divide", "power", "arctan2", "hypot", "logaddexp", "logaddexp2", "maximum"),
    *("minimum", "fmax", "fmin", "fmod", "remainder", "floor_divide", "copysign"),
)


def _elementwise(f: Callable[[Any], Any]) -> Any:
    return [portable(f)(x) for x in _numbers()]


def _of_two(f: Callable[[Any, Any], Any]) -> Any:
    wide, special = _magnitudes("wide", 400, most=8), _special()
    pairs = [
        (wide, wide[::-1]),
        (np.abs(wide), _normal("exponents", 400)),
        (wide.astype(np.float32), wide[::-1].astype(np.float32)),
        (_magnitudes("huge", 100, most=900), _magnitudes("huge too", 100, most=900)),
        (special[:, None], special),
        (special, 2.0),
    ]
    return [portable(f)(x, y) for x, y in pairs]


def _network_functions() -> dict[str, Operation]:
    elementwise = (native.relu, native.sigmoid, native.softplus, native.erf)
    rows = (native.softmax, native.log_sum_exp)

    def on_rows(f: Callable[[Any], Any]) -> Any:
        return [portable(f)(x) for x in (_magnitudes("rows", 20, 11, most=6), _special()[:32].reshape(8, 4))]

    return {f.__name__: partial(_elementwise, f) for f in elementwise} | {f.__name__: partial(on_rows, f) for f in rows}


_FORMULAS: dict[str, Callable[[Any, Any], Any]] = {
    "average": lambda x, y: np.average(x, weights=y * y),
    "convolve": np.convolve,
    "cross": lambda x, y: np.cross(x.reshape(-1, 3), y.reshape(-1, 3)),
    "diff": lambda x, y: np.diff(x * y, n=2),
    "gradient": lambda x, y: np.gradient(x, 0.1),
    "interp": lambda x, y: np.interp(x, np.sort(y), x),
    "linspace": lambda x, y: np.linspace(x, y, 7),
    "nanmean": lambda x, y: np.nanmean(np.where(x > y, x, np.nan)),
    "sinc": lambda x, y: np.sinc(x * y),
    "trace": lambda x, y: np.trace(np.outer(x, y)),
}


def _on_lines(f: Callable[[Any, Any], Any]) -> Any:
    return portable(f)(_normal("formulas x", 33), _normal("formulas y", 33))


_ARRANGED: dict[str, Callable[[Any], Any]] = {
    "sort": lambda x: np.sort(x, axis=-1),
    "argsort": lambda x: np.argsort(x, axis=-1).astype(np.int64),
    "argmax": lambda x: np.argmax(x).astype(np.int64),
    "clip": lambda x: np.clip(x, -1.0, 1.0),
    "round": lambda x: np.round(x, 2),
    "rint": np.rint,
    "floor": np.floor,
    "sign": np.sign,
}


def _layers() -> dict[str, Any]:
    inner = dense(key(3), 9, 9)
    made = (
        *(activations.Elu(), activations.Gelu(), activations.Gelu(approximate=True), activations.LeakyRelu()),
        *(activations.Relu(), activations.Sigmoid(), activations.Silu(), activations.Softplus(), activations.Tanh()),
        *(inner, layer_norm(9), basic.Dropout(0.3), basic.Flatten(), combinators.Residual(inner)),
        mlp(key(4), (9, 12, 5)),
    )
    return {type(layer).__name__ + " tanh" * (layer is made[2]): layer for layer in made}


def _layer(layer: Any) -> Any:
    """The output of a layer, and the gradient of a loss with respect to its parameters and its input."""

    def loss(layer: Any, x: Any) -> Any:
        y = forward(layer, x, key=key(5))
        return np.sum(np.square(y) + y)

    output = portable(lambda layer, x: forward(layer, x, key=key(5)))
    x = _normal("layers", 12, 9)
    return output(layer, x), tree.leaves(portable(value_and_grad(loss, argnums=(0, 1)))(layer, x))


def _losses() -> dict[str, Operation]:
    prediction, target, weights = _normal("prediction", 10, 4), _normal("target", 10, 4), np.arange(1.0, 11.0)
    targets = {
        losses.mean_squared_error: target,
        losses.sum_squared_error: target,
        losses.mean_absolute_error: target,
        losses.huber: target,
        losses.sigmoid_cross_entropy: (target > 0).astype(np.float64),
        losses.softmax_cross_entropy: np.argmax(target, axis=1),
    }
    return {
        loss.__name__: partial(lambda f, y: portable(value_and_grad(f))(prediction, y, weights), loss, y)
        for loss, y in targets.items()
    }


def _optimizer(recipe: Callable[..., Any]) -> Any:
    optimizer = chain(clip(5.0), clip_by_global_norm(1.0), recipe(schedules.cosine(0.05, steps=8)))
    return _trained(mlp(key(6), (5, 7, 2), activation=activations.Tanh()), optimizer, losses.mean_squared_error, 6)


def _training(slices: int, dtype: Any = np.float64) -> Any:
    keys = split(key(7), 2)
    first, last = dense(keys[0], 5, 16, dtype=dtype), dense(keys[1], 16, 2, dtype=dtype)
    net = combinators.Sequential((first, activations.Relu(), basic.Dropout(0.2), last))
    return _trained(net, RECIPES["adam"](1e-2), losses.mean_squared_error, 20, slices)


def _trained(net: Any, optimizer: Any, loss: Any, steps: int, slices: int = 1) -> Any:
    """The state after some steps on one batch."""
    dtype = tree.leaves(net)[0].dtype
    batch = _normal("batch x", 24, 5, dtype=dtype), _normal("batch y", 24, 2, dtype=dtype)
    step = portable(make_step(objective(loss), optimizer), slices)
    return tree.leaves(reduce(step, repeat(batch, steps), init_state(net, optimizer, key=key(8))))


def _derivatives() -> dict[str, Operation]:
    x, w, along = _normal("derivative x", 6, 4), _normal("derivative w", 4, 3), _normal("along", 4, 3)

    def f(w: Any) -> Any:
        z = np.tanh(x @ w)
        return np.mean(np.log1p(z**2) * np.exp(-z)) + np.sum(np.sqrt(np.sum(w**2, axis=0) + 1.0))

    return {
        "grad": lambda: portable(grad(f))(w),
        "jvp": lambda: portable(lambda w, t: jvp(f, (w,), (t,)))(w, along),
        "jacobian": lambda: portable(jacobian(lambda w: np.sin(x @ w)))(w),
        "hvp": lambda: portable(lambda w, t: hvp(f, (w,), (t,)))(w, along),
        "grad of portable": lambda: grad(portable(f))(along),
    }
