"""The programs: training, derivatives and predictions in portable arithmetic, each a function to a tree of arrays.

A program takes the transformation that makes its arithmetic portable, `transform(f, slices)`, so that the same programs
can be run natively, where their bits do differ. Data comes from the seed programs' generators, from a file of small
integers, or from purenet's keys, and is prepared by operations that are exact; what leaves a program is digested by its
leaves.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from toolz import accumulate

import purenet as pn
from purenet import tree
from purenet.conformance import selftest
from purenet.fingerprint import environment

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits.csv.gz"

Transform = Callable[..., Any]
Program = Callable[[Transform], Any]


def portable(f: Callable[..., Any], slices: int = 1) -> Any:
    """The function in portable arithmetic."""
    return pn.portable(f, slices=slices)


def native(f: Callable[..., Any], slices: int = 1) -> Any:
    """The function as it is, in NumPy's arithmetic."""
    return f


@pn.struct
class Wave:
    """A layer without a rule of its own, so that its derivative is traced: `amplitude sin(frequency x + phase)`."""

    amplitude: pn.Array
    frequency: pn.Array
    phase: pn.Array


@pn.forward.register
def _(layer: Wave, x: Any) -> Any:
    return layer.amplitude * np.sin(x * layer.frequency + layer.phase)


def trained(step: Any, batches: Iterable[Any], steps: int, start: pn.State) -> Any:
    """The losses of a training run, the parameters at its end, and what the optimizer remembers."""
    states = list(islice(accumulate(step, batches, start), 1, steps + 1))
    return [state.loss for state in states], tree.leaves(states[-1].net), tree.leaves(states[-1].optimizer)


def drawn(name: str, *shape: int, dtype: Any = np.float64) -> Any:
    """Normal numbers that belong to a name."""
    return pn.random.normal(pn.fold_in(pn.key(5), name), shape, dtype=dtype)


# --- the seed programs, on their own data


def seed_data(first: tuple[int, ...], *others: tuple[int, ...]) -> list[Any]:
    """The arrays that a seed program draws, in its order. NumPy's old generator takes logarithms of the C library."""
    draw = np.random.RandomState(0).randn
    return [draw(*shape) for shape in (first, *others)]


FIRST_SEED = ((64, 1000), (64, 10), (1000, 100), (100, 10))
SECOND_SEED = ((64, 20), (64, 10), (20, 100), (100, 10))


def first_seed(transform: Transform, steps: int = 500) -> Any:
    """The first seed program."""
    x, y, w1, w2 = seed_data(*FIRST_SEED)
    net = pn.Sequential((pn.Dense(w1), pn.Relu(), pn.Dense(w2)))
    optimizer = pn.sgd(1e-6)
    step = transform(pn.make_step(pn.objective(pn.losses.sum_squared_error), optimizer))
    return trained(step, repeat((x, y)), steps, pn.init_state(net, optimizer))


def second_seed(transform: Transform, steps: int = 500, slices: int = 1) -> Any:
    """The second seed program."""
    x, y, w1, w2 = seed_data(*SECOND_SEED)
    net = pn.Sequential((pn.Dense(0.1 * w1, np.zeros(100)), pn.Relu(), pn.Dense(0.1 * w2, np.zeros(10))))
    optimizer = pn.chain(pn.scale_leaves({"*.bias": 1 / 64}), pn.sgd(1e-3))
    step = transform(pn.make_step(pn.objective(pn.losses.sum_squared_error), optimizer), slices)
    return trained(step, repeat((x, y)), steps, pn.init_state(net, optimizer))


# --- networks of layers, with every optimizer


def digits(transform: Transform, steps: int = 150, dtype: Any = np.float64) -> Any:
    """Adam, softmax cross entropy and dropout on handwritten digits, whose pixels are sixteenths."""
    table = pn.to_dataset(pn.read_csv(DIGITS), target="digit", task="classification").dataset
    data = pn.Dataset((table.x / 16).astype(dtype), table.y)
    net_key, run_key = pn.split(pn.key(1))
    hidden, last = pn.split(net_key)
    layers = (pn.dense(hidden, 64, 96, dtype=dtype), pn.Relu(), pn.Dropout(0.25), pn.dense(last, 96, 10, dtype=dtype))
    net = pn.Sequential(layers)
    optimizer = pn.adam(pn.schedules.cosine(3e-3, steps=steps))
    step = transform(pn.make_step(pn.objective(pn.losses.softmax_cross_entropy), optimizer))
    batches = pn.Batches(data, size=64, key=run_key)
    return trained(step, batches, steps, pn.init_state(net, optimizer, key=run_key))


def layer_norm(transform: Transform, steps: int = 60) -> Any:
    """Layer norm in a residual block, with an activation that has an exponential in it, by AdamW."""
    keys = pn.split(pn.key(2), 3)
    block = pn.Sequential((pn.layer_norm(24), pn.dense(keys[0], 24, 24), pn.Gelu()))
    net = pn.Sequential((pn.dense(keys[1], 7, 24), pn.Tanh(), pn.Residual(block), pn.dense(keys[2], 24, 3)))
    optimizer = pn.chain(pn.clip_by_global_norm(1.0), pn.adamw(1e-2, weight_decay=1e-2))
    step = transform(pn.make_step(pn.objective(pn.losses.huber), optimizer))
    batch = drawn("layer norm x", 40, 7), drawn("layer norm y", 40, 3)
    return trained(step, repeat(batch), steps, pn.init_state(net, optimizer))


def optimizers(transform: Transform, steps: int = 15) -> Any:
    """Every recipe, on one small network."""
    net = pn.mlp(pn.key(3), (5, 8, 2), activation=pn.Silu())
    batch = drawn("optimizers x", 16, 5), drawn("optimizers y", 16, 2)
    recipes = {
        "momentum": pn.sgd(1e-2, momentum=0.9),
        "nesterov": pn.sgd(pn.schedules.exponential(1e-2, 0.5, steps=10), momentum=0.9, nesterov=True),
        "adam": pn.adam(pn.schedules.warm_up(1e-2, steps=5)),
        "adamw": pn.adamw(1e-2),
        "rmsprop": pn.rmsprop(1e-2, momentum=0.5),
        "adagrad": pn.adagrad(1e-1),
        "clipped": pn.chain(pn.clip(0.1), pn.add_decayed_weights(0.01), pn.sgd(1e-2)),
    }
    objective = pn.objective(pn.losses.mean_squared_error)
    return [
        trained(transform(pn.make_step(objective, recipe)), repeat(batch), steps, pn.init_state(net, recipe))
        for recipe in recipes.values()
    ]


# --- derivatives of plain NumPy functions


def wave_loss(net: Any, batch: Any) -> Any:
    """A loss of one's own: a heavy-tailed error with a penalty, as plain NumPy."""
    x, y = batch
    error = pn.forward(net, x) - y
    penalty = sum(np.sum(leaf**2) for leaf in tree.leaves(net))
    return np.mean(np.log1p(error**2)) + 0.01 * np.mean(np.logaddexp(error, -error)) + 1e-4 * penalty


def wave_net(width: int) -> Any:
    """A network around a layer of one's own."""
    keys = pn.split(pn.key(4), 2)
    wave = Wave(np.ones(width), np.linspace(0.5, 2.0, 4).repeat(width // 4), drawn("phase", width))
    return pn.Sequential((pn.dense(keys[0], 3, width), wave, pn.dense(keys[1], width, 2)))


def custom_loss(transform: Transform, steps: int = 60) -> Any:
    """A traced loss through a traced layer."""
    optimizer = pn.sgd(0.05)
    batch = drawn("custom x", 32, 3), drawn("custom y", 32, 2)
    step = transform(pn.make_step(wave_loss, optimizer))
    return trained(step, repeat(batch), steps, pn.init_state(wave_net(16), optimizer))


def hessian_vector_product(transform: Transform) -> Any:
    """The derivative of a gradient along a direction, with one, two and three slices."""
    net, batch = wave_net(8), (drawn("hvp x", 20, 3), drawn("hvp y", 20, 2))
    direction = tree.map(lambda leaf: drawn(f"direction {leaf.shape}", *leaf.shape), net)

    def product(net: Any, direction: Any, batch: Any) -> Any:
        return pn.hvp(lambda n: wave_loss(n, batch), (net,), (direction,))

    return [tree.leaves(transform(product, slices)(net, direction, batch)) for slices in (1, 2, 3)]


# --- operands, however they lie in memory


def layouts(array: Any, folder: Path) -> Iterator[tuple[str, Any]]:
    """The same array in all the ways in which it can lie in memory."""
    yield "C", np.array(array, order="C")
    yield "Fortran", np.array(array, order="F")
    yield "strided", np.repeat(np.repeat(array, 2, axis=0), 3, axis=1)[::2, ::3]
    yield "reversed", np.array(array[::-1, ::-1])[::-1, ::-1]
    raw = np.zeros(array.nbytes + 1, np.uint8)[1:]
    misaligned = raw.view(array.dtype).reshape(array.shape)
    misaligned[...] = array
    yield "misaligned", misaligned
    path = folder / f"{array.shape[0]}-{array.shape[1]}.npy"
    np.save(path, array)
    yield "memory-mapped", np.load(path, mmap_mode="r")
    yield "byte-swapped", array.astype(array.dtype.newbyteorder())


def of_matrices(x: Any, w: Any) -> Any:
    """Products, sums and elementary functions of two matrices and of their transposes."""
    z = x @ w
    return z, np.tanh(z), (w.T @ x.T).sum(axis=0), np.mean(x, axis=1), np.exp(x).sum(), np.square(w).sum(axis=0)


def operands(transform: Transform) -> Any:
    """The same computation on every layout of its operands, which gives the same bits for each."""
    x, w = drawn("operands x", 37, 150), drawn("operands w", 150, 21)
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        pairs = zip(layouts(x, Path(folder)), layouts(w, Path(folder)), strict=True)
        return {name: tree.leaves(transform(of_matrices)(a, b)) for (name, a), (_, b) in pairs}


def batch_sizes(transform: Transform) -> Any:
    """Predictions for the same rows, alone and in batches of several sizes, which give the same bits."""
    keys = pn.split(pn.key(6), 2)
    layers = (pn.dense(keys[0], 70, 33), pn.Sigmoid(), pn.layer_norm(33), pn.dense(keys[1], 33, 10))
    net, x = pn.Sequential(layers), drawn("rows", 97, 70)
    predict = transform(pn.forward)
    return {
        size: np.concatenate([predict(net, x[start : start + size]) for start in range(0, len(x), size)])
        for size in (97, 64, 32, 7, 2, 1)
    }


PROGRAMS: dict[str, Program] = {
    "first seed": first_seed,
    "second seed": second_seed,
    "second seed, 2 slices": lambda transform: second_seed(transform, 100, slices=2),
    "second seed, 3 slices": lambda transform: second_seed(transform, 100, slices=3),
    "digits": digits,
    "digits, float32": lambda transform: digits(transform, dtype=np.float32),
    "layer norm": layer_norm,
    "optimizers": optimizers,
    "custom loss": custom_loss,
    "Hessian-vector product": hessian_vector_product,
    "operands": operands,
    "batch sizes": batch_sizes,
}
"""Every program by its name."""

OF_SEEDS = {"first seed", "second seed", "second seed, 2 slices", "second seed, 3 slices"}
"""The programs whose data depends on the logarithm of the C library."""


def data_of_seeds() -> str:
    """The digest of the data of the seed programs on this machine."""
    return pn.digest([seed_data(*FIRST_SEED), seed_data(*SECOND_SEED)])


def digests(names: Iterable[str] = PROGRAMS, transform: Transform = portable) -> dict[str, str]:
    """The digest of what each program gives."""
    return {name: pn.digest(PROGRAMS[name](transform)) for name in names}


def main() -> None:
    """Print what this process computes with, the digests of the named programs or of all, and what does not conform.

    The word `native` among the names has the programs computed in NumPy's own arithmetic.
    """
    names = [word for word in sys.argv[1:] if word != "native"]
    report = {
        "environment": environment().to_json(),
        "seeds": data_of_seeds(),
        "digests": digests(names or PROGRAMS, native if "native" in sys.argv else portable),
        "differing": [outcome.operation for outcome in selftest().outcomes if not outcome.conforms],
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
