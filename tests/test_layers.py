"""Every layer passes the same laws; one row per layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from laws import assert_close, assert_pure, finite_difference

import purenet as pn
from purenet import tree
from purenet.errors import ArgumentError, DtypeError, ShapeError
from purenet.layers import initializers
from purenet.records import rebuild
from purenet.transforms.linearise import trace

KEY = pn.key(7)
X = pn.random.normal(pn.fold_in(KEY, "x"), (5, 4))
KEYS = pn.split(KEY, 8)


def _norm() -> pn.LayerNorm:
    return pn.LayerNorm(pn.random.normal(KEYS[0], (4,)), pn.random.normal(KEYS[1], (4,)))


LAYERS: dict[str, Any] = {
    "Dense": pn.Dense(pn.random.normal(KEYS[2], (4, 3)), pn.random.normal(KEYS[3], (3,))),
    "Dense without bias": pn.Dense(pn.random.normal(KEYS[2], (4, 3))),
    "Relu": pn.Relu(),
    "LeakyRelu": pn.LeakyRelu(slope=0.2),
    "Tanh": pn.Tanh(),
    "Sigmoid": pn.Sigmoid(),
    "Softplus": pn.Softplus(),
    "Gelu": pn.Gelu(),
    "Gelu approximate": pn.Gelu(approximate=True),
    "Silu": pn.Silu(),
    "Elu": pn.Elu(alpha=1.5),
    "Dropout": pn.Dropout(rate=0.4),
    "LayerNorm": _norm(),
    "Flatten": pn.Flatten(),
    "Residual": pn.Residual(pn.Sequential((pn.dense(KEYS[4], 4, 4), pn.Tanh()))),
    "Sequential": pn.Sequential((pn.dense(KEYS[5], 4, 6), pn.Tanh(), pn.Dropout(rate=0.3), pn.dense(KEYS[6], 6, 2))),
}
ANALYTIC = [
    "Dense",
    "Dense without bias",
    "Tanh",
    "Sigmoid",
    "Softplus",
    "Gelu approximate",
    "Silu",
    "LayerNorm",
    "Flatten",
]


@pytest.fixture(params=LAYERS.values(), ids=LAYERS.keys())
def layer(request: pytest.FixtureRequest) -> Any:
    """Each layer in turn."""
    return request.param


def _scalar(layer: Any, x: Any) -> Any:
    """A smooth scalar function of a layer's output that weighs every element differently."""
    y = pn.forward(layer, x, key=KEY)
    return np.sum(np.sin(y) * np.reshape(np.arange(1.0, y.size + 1), y.shape))


def test_the_pullback_is_the_gradient(layer: Any) -> None:
    """The hand-derived pullback equals the finite difference."""
    y = pn.forward(layer, X, key=KEY)
    value, pull = pn.forward.linearise(layer, X, KEY)
    assert pn.same_bits(value, y)
    g = pn.random.normal(pn.fold_in(KEY, "g"), y.shape)
    leaves, d_x = pull(g, True)
    d_layer = tree.with_leaves(layer, leaves)
    expected = finite_difference(lambda layer, x: np.sum(pn.forward(layer, x, key=KEY) * g), (layer, X))
    assert_close((d_layer, d_x), expected, rtol=1e-7, atol=1e-9)
    assert pn.same_bits(list(pull(g, False)[0]), list(leaves))


def test_the_pullback_equals_the_traced_gradient(layer: Any) -> None:
    """The rule and the tape through the plain forward function agree to rounding."""
    g = np.cos(np.arange(float(pn.forward(layer, X).size))).reshape(pn.forward(layer, X).shape)
    _, by_rule = pn.vjp(pn.forward, layer, X)
    _, by_tape = trace(pn.forward, (layer, X), {}, (True, True))
    assert_close(by_rule(g), tuple(by_tape(g)), rtol=1e-12, atol=1e-13)


def test_second_order(layer: Any) -> None:
    """The gradient of a projection of the gradient equals its finite difference."""
    gradient = pn.grad(_scalar, argnums=(0, 1))
    directions = tree.map(lambda leaf: np.cos(np.arange(leaf.size) + 1.0).reshape(leaf.shape), (layer, X))

    def projected(layer: Any, x: Any) -> Any:
        pairs = zip(tree.leaves(gradient(layer, x)), tree.leaves(directions), strict=True)
        return sum(np.sum(g * d) for g, d in pairs)

    actual = pn.grad(projected, argnums=(0, 1))(layer, X)
    assert_close(actual, finite_difference(projected, (layer, X)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ANALYTIC)
def test_complex_step(name: str) -> None:
    """The derivative along a direction is the imaginary part of the function at a tiny imaginary step."""
    layer, step = LAYERS[name], 1e-30
    directions = tree.map(lambda leaf: np.cos(np.arange(leaf.size) + 1.0).reshape(leaf.shape), (layer, X))
    function = pn.forward.entry(type(layer)).function

    def forward(layer: Any, x: Any) -> Any:
        if name in ("Sigmoid", "Silu"):
            s = 1 / (1 + np.exp(-x))
            return s if name == "Sigmoid" else x * s
        if name == "Softplus":
            return np.log(1 + np.exp(x))
        return function(layer, x)

    moved = tree.flatten((layer, X))[1](
        [a + 1j * step * d for a, d in zip(tree.leaves((layer, X)), tree.leaves(directions), strict=True)]
    )
    if name in ("Dense", "Dense without bias"):
        y = moved[1] @ moved[0].weight + (0 if moved[0].bias is None else moved[0].bias)
    else:
        y = forward(*moved)
    slope = np.sum(y.imag) / step
    gradients = pn.vjp(pn.forward, layer, X)[1](np.ones(y.shape))
    products = zip(tree.leaves(gradients), tree.leaves(directions), strict=True)
    np.testing.assert_allclose(sum(np.sum(g * d) for g, d in products), slope, rtol=1e-12)


def test_purity(layer: Any) -> None:
    """A layer and its pullback leave their arguments alone and give the same bits again."""
    y = assert_pure(lambda layer, x: pn.forward(layer, x, key=KEY), layer, X)
    assert_pure(lambda layer, x, g: pn.vjp(pn.forward, layer, x)[1](g), layer, X, np.ones(pn.forward(layer, X).shape))
    assert y.shape[0] == X.shape[0]


def test_batched_equals_unbatched(layer: Any) -> None:
    """A row has the same output alone as in a batch, to rounding."""
    together = pn.forward(layer, X)
    alone = np.concatenate([pn.forward(layer, X[i : i + 1]) for i in range(len(X))])
    np.testing.assert_allclose(alone, together, rtol=1e-13, atol=1e-15)


def test_single_example(layer: Any) -> None:
    """An example without a batch axis works, and its gradient with it."""
    np.testing.assert_allclose(pn.forward(layer, X[0]), pn.forward(layer, X)[0], rtol=1e-13, atol=1e-15)
    y, pullback = pn.vjp(pn.forward, layer, X[0])
    d_layer, d_x = pullback(np.ones_like(y))
    batched = pn.vjp(pn.forward, layer, X[:1])[1](np.ones((1, *y.shape)))
    assert_close((d_layer, d_x[None]), batched, rtol=1e-12)


def test_float32_stays_float32(layer: Any) -> None:
    """Outputs and cotangents of a float32 layer are float32."""
    small = tree.map(lambda leaf: leaf.astype(np.float32), layer)
    y, pullback = pn.vjp(pn.forward, small, X.astype(np.float32))
    assert y.dtype == np.float32
    assert {leaf.dtype for leaf in tree.leaves(pullback(np.ones_like(y)))} == {np.dtype(np.float32)}
    np.testing.assert_allclose(y, pn.forward(layer, X), rtol=1e-4, atol=1e-5)


def test_save_and_load(layer: Any, tmp_path: Any) -> None:
    """A layer read back has the bits that were saved."""
    pn.save(layer, tmp_path / "layer.safetensors")
    assert pn.same_bits(pn.load(tmp_path / "layer.safetensors"), layer)


def test_cotangents_are_read_only(layer: Any) -> None:
    """Whoever holds a gradient cannot write to it."""
    y, pullback = pn.vjp(pn.forward, layer, X)
    assert not any(leaf.flags.writeable for leaf in tree.leaves(pullback(np.ones_like(y))))


def test_activations_at_extremes() -> None:
    """No activation overflows, warns or gives NaN for arguments up to 1e100; the derivatives neither."""
    x = np.array([-1e100, -1e4, -745.0, -1.0, 0.0, 1.0, 745.0, 1e4, 1e100])
    for name in ("Relu", "LeakyRelu", "Tanh", "Sigmoid", "Softplus", "Silu", "Elu", "Gelu"):
        y, pullback = pn.vjp(pn.forward, LAYERS[name], x)
        assert np.isfinite(y).all(), name
        with np.errstate(under="ignore"):
            assert np.isfinite(pullback(np.ones_like(y))[1]).all(), name


def test_dropout_keeps_the_mean_and_needs_a_key() -> None:
    """Without a key dropout does nothing; with one the mean is kept and the rate is met."""
    layer, ones = pn.Dropout(rate=0.25), np.ones((300, 300))
    assert pn.same_bits(pn.forward(layer, ones), ones)
    dropped = pn.forward(layer, ones, key=KEY)
    assert abs(dropped.mean() - 1) < 0.01
    assert abs((dropped == 0).mean() - 0.25) < 0.01
    assert not pn.same_bits(dropped, pn.forward(layer, ones, key=pn.fold_in(KEY, 1)))


def test_children_of_a_network_draw_independently() -> None:
    """Two dropout layers of one network do not share a mask."""
    ones = np.ones((100, 100))
    both = pn.forward(pn.Sequential((pn.Dropout(0.5), pn.Dropout(0.5))), ones, key=KEY)
    assert abs((both > 0).mean() - 0.25) < 0.03


def test_user_layers_need_no_rule() -> None:
    """A struct and a plain NumPy function are a layer, alone and in a network."""

    @pn.struct
    class Scale:
        factor: pn.Array

    @pn.forward.register(Scale)
    def _(layer: Scale, x: Any, *, key: Any = None) -> Any:
        return x * layer.factor

    net = pn.Sequential((pn.dense(KEYS[0], 4, 3), Scale(np.array([1.0, 2.0, 3.0])), pn.Tanh()))
    objective = pn.objective(pn.losses.mean_squared_error)
    batch = (X, np.ones((5, 3)))
    actual = pn.grad(objective)(net, batch)
    assert_close(actual, finite_difference(lambda net: objective(net, batch), (net,))[0], rtol=1e-7)


def test_repr_is_the_shape() -> None:
    """A network prints as its shape."""
    net = pn.mlp(KEY, (20, 100, 10), dtype=np.float32, bias=False)
    assert repr(net) == (
        "Sequential(layers=(Dense(weight: float32[20, 100], bias=None), Relu(), "
        "Dense(weight: float32[100, 10], bias=None)))"
    )


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: pn.Dense(np.ones((2, 3)), np.ones(4)), ShapeError, r"^Dense\.bias: expected shape \(3,\), got \(4,\)"),
        (lambda: pn.Dense(np.ones(3)), ShapeError, r"^Dense\.weight: expected shape \(n_in, n_out\), got \(3,\)"),
        (lambda: pn.Dense(np.ones((2, 3), int)), DtypeError, r"^Dense\.weight: .*int64; convert it with \.astype"),
        (lambda: pn.Dense(np.ones((2, 3), object)), DtypeError, r"^Dense\.weight: .*dtype object"),
        (lambda: pn.Dense("w"), DtypeError, r"^Dense\.weight: expected an array.*got str"),
        (lambda: pn.Dense(np.ones((2, 3)), np.ones(3, np.float32)), DtypeError, r"^Dense\.bias: expected float64"),
        (lambda: pn.Dropout(rate=1.0), ArgumentError, r"^Dropout\.rate: expected 0 <= rate < 1, got 1\.0"),
        (
            lambda: pn.LayerNorm(np.ones(3), np.ones(2)),
            ShapeError,
            r"^LayerNorm\.bias: expected shape \(3,\), got \(2,\)",
        ),
        (lambda: pn.LayerNorm(np.ones(3), np.ones(3), epsilon=0.0), ArgumentError, r"^LayerNorm\.epsilon"),
        (lambda: pn.Sequential(pn.Relu()), DtypeError, r"^Sequential\.layers: expected a tuple of layers"),
        (lambda: pn.Sequential((np.tanh,)), DtypeError, r"^Sequential\.layers\[0\]: expected a layer"),
        (
            lambda: pn.Sequential((pn.Dense(np.ones((2, 3))), pn.Relu(), pn.Dense(np.ones((4, 1))))),
            ShapeError,
            r"^Sequential\.layers\[2\]\.weight: expected shape \(3, n_out\).*got \(4, 1\)",
        ),
        (lambda: pn.mlp(KEY, (3,)), ArgumentError, r"^mlp\.sizes: expected at least two sizes"),
        (lambda: pn.mlp(KEY, (3, 0)), ArgumentError, r"^mlp\.sizes\[1\]: expected at least 1, got 0"),
        (lambda: pn.mlp(KEY, (3, 2), activation=np.tanh), DtypeError, r"^mlp\.activation: expected a layer"),
        (lambda: pn.mlp(0, (3, 2)), DtypeError, r"pn\.key\(0\)"),
        (lambda: pn.dense(KEY, 2, 2, dtype=np.int64), DtypeError, r"^dense\.dtype"),
        (lambda: pn.forward(np.tanh, X), DtypeError, r"^forward: expected a layer"),
        (lambda: pn.LeakyRelu(slope=float("nan")), ArgumentError, r"^LeakyRelu\.slope"),
    ],
)
def test_errors_of_construction(make: Any, error: type[Exception], message: str) -> None:
    """A layer that cannot work is refused where it is made, by the name of the argument."""
    with pytest.raises(error, match=message):
        make()


def test_errors_name_the_layer_of_a_network() -> None:
    """An input that does not fit names the path of the layer, from outside to inside."""
    net = pn.Sequential((pn.Residual(pn.Sequential((pn.Tanh(), pn.Dense(np.ones((3, 3)))))),))
    for run in (lambda: pn.forward(net, X), lambda: pn.vjp(pn.forward, net, X)):
        with pytest.raises(
            ShapeError, match=r"^layers\[0\]\.layer\.layers\[1\]: expected an input with 3 features.*\(5, 4\)"
        ):
            run()
    with pytest.raises(ShapeError, match=r"^layer: expected the layer to keep the shape \(5, 4\)"):
        pn.forward(pn.Residual(LAYERS["Dense"]), X)
    with pytest.raises(DtypeError, match=r"expected a floating-point input, got int64; convert it with \.astype"):
        pn.forward(LAYERS["Dense"], np.ones((5, 4), int))


def test_unregistered_layer_shows_how_to_register() -> None:
    """The error for a layer without a forward function has the lines that give it one."""

    @pn.struct
    class Lonely:
        factor: pn.Array

    with pytest.raises(DtypeError, match=r"Lonely has no forward function(.|\n)*@pn\.forward\.register"):
        pn.forward(Lonely(np.ones(1)), X)
    with pytest.raises(DtypeError, match="annotation"):
        pn.forward.register(lambda layer, x: x)


def test_a_wrong_rule_is_seen() -> None:
    """The comparison above rejects a pullback that is wrong by one part in a thousand."""
    layer = LAYERS["Dense"]
    g = np.ones((5, 3))
    d_layer, _ = pn.vjp(pn.forward, layer, X)[1](g)
    wrong = rebuild(d_layer, (d_layer.weight * 1.001, d_layer.bias))
    expected = finite_difference(lambda layer: np.sum(pn.forward(layer, X) * g), (layer,))[0]
    with pytest.raises(AssertionError, match="weight"):
        assert_close(wrong, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    ("init", "variance"),
    [
        (initializers.he_normal, 2 / 300),
        (initializers.he_uniform, 2 / 300),
        (initializers.glorot_normal, 2 / 500),
        (initializers.glorot_uniform, 2 / 500),
        (initializers.lecun_normal, 1 / 300),
        (initializers.lecun_uniform, 1 / 300),
    ],
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_initializers_have_their_variance(init: Any, variance: float, dtype: Any) -> None:
    """Mean 0 and the stated variance, within five standard errors, in the dtype asked for."""
    weights = init(KEY, (300, 200), dtype)
    assert weights.dtype == dtype
    assert abs(weights.mean()) < 5 * np.sqrt(variance / weights.size)
    assert abs(weights.var() / variance - 1) < 5 * np.sqrt(2 / weights.size)


@pytest.mark.parametrize("shape", [(6, 6), (8, 3), (3, 8), (2, 3, 4)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    """Columns are orthonormal, or rows where there are more columns."""
    weights = initializers.orthogonal(KEY, shape).reshape(-1, shape[-1])
    small = weights.T @ weights if weights.shape[0] >= weights.shape[1] else weights @ weights.T
    np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-14)
