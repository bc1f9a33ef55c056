"""Trees: one order, one way to name a place, and structure errors that show it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import purenet as pn
from purenet import tree
from purenet.errors import DtypeError, ShapeError, StructureError, TreeError


class Point(NamedTuple):
    """A named tuple is a tree."""

    x: Any
    y: Any


@pn.struct
class Layer:
    """A record with a child that may be None and a static field."""

    weight: pn.Array
    bias: Any = None
    kind: Any = pn.static(default="a")


TREE = {
    "b": [Layer(np.ones((2, 2)), np.zeros(2)), None],
    "a": (Point(np.arange(3.0), ()), {"k": np.float32(1.5)}),
    "c": Layer(np.ones(1, np.float32)),
}
PATHS = ['["a"][0].x', '["a"][1]["k"]', '["b"][0].weight', '["b"][0].bias', '["c"].weight']


def test_leaves_paths_and_get_agree() -> None:
    """Every path leads to its leaf; the order does not depend on how a dict was filled."""
    assert tree.paths(TREE) == PATHS
    for path, leaf in zip(tree.paths(TREE), tree.leaves(TREE), strict=True):
        assert tree.get(TREE, path) is leaf
    assert tree.paths(dict(reversed(list(TREE.items())))) == PATHS


def test_map_keeps_the_structure() -> None:
    """Mapping keeps containers, None, named tuples and static fields."""
    doubled = tree.map(lambda leaf: leaf + leaf, TREE)
    assert tree.same_structure(doubled, TREE)
    assert type(doubled["a"][0]) is Point
    assert doubled["b"][1] is None
    assert doubled["a"][0].x.tolist() == [0, 2, 4]
    assert pn.same_bits(tree.map(lambda a, b: a - b, doubled, TREE), TREE)


def test_map_owns_what_goes_into_records() -> None:
    """A function that returns an array it keeps cannot change the record later."""
    kept = np.zeros((2, 2))
    mapped = tree.map(lambda _: kept, Layer(np.ones((2, 2))))
    kept[0] = 9
    assert mapped.weight.sum() == 0
    assert not mapped.weight.flags.writeable


def test_map_with_path_and_fresh() -> None:
    """The path comes first; fresh results are frozen in place."""
    named = tree.map_with_path(lambda path, leaf: path, {"w": 1.0, "v": (2.0,)})
    assert named == {"v": ('["v"][0]',), "w": '["w"]'}
    assert not tree.map_fresh(lambda leaf: leaf + 1, TREE)["b"][0].weight.flags.writeable


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            {**TREE, "d": 1.0},
            r"^the trees differ: the first has dict with keys \['a', 'b', 'c'\], the other dict with keys",
        ),
        ({**TREE, "a": TREE["a"][:1]}, r'^\["a"\]: .*tuple of 2, the other tuple of 1'),
        ({**TREE, "b": [TREE["b"][0], 1.0]}, r'^\["b"\]\[1\]: .*None, the other a leaf 1\.0'),
        ({**TREE, "c": Layer(np.ones(1), kind="b")}, r"""^\["c"\]\.kind: .*'a', the other 'b'"""),
        ({**TREE, "c": np.ones(1)}, r'^\["c"\]: .*Layer, the other a leaf float64\[1\]'),
        ({**TREE, "a": list(TREE["a"])}, r'^\["a"\]: .*tuple of 2, the other list of 2'),
        ({**TREE, "a": ((np.ones(3), ()), TREE["a"][1])}, r'^\["a"\]\[0\]: .*Point of 2, the other tuple of 2'),
    ],
)
def test_trees_that_differ_name_the_place(other: Any, message: str) -> None:
    """The first difference is named by its path, with what each tree has there."""
    with pytest.raises(StructureError, match=message):
        tree.map(lambda a, b: a, TREE, other)
    assert not tree.same_structure(TREE, other)
    assert tree.same_structure(TREE, TREE)


def test_static_values_are_compared_by_bits() -> None:
    """0.0 and -0.0, or 1 and 1.0, are different static values; NaN is itself."""
    same = [(0.5, 0.5), (float("nan"), float("nan")), ((1, "a"), (1, "a")), (np.ones(2), np.ones(2))]
    different = [(0.0, -0.0), (1, 1.0), (True, 1), ((1,), [1]), (np.ones(2), np.ones(2, np.float32))]
    for a, b in same:
        assert tree.same_static(a, b)
    for a, b in different:
        assert not tree.same_static(a, b)


def test_at_replaces_one_place() -> None:
    """A new tree differs in one place; the old one is as it was."""
    new = tree.at(TREE, '["b"][0].bias', np.ones(2))
    assert new["b"][0].bias.tolist() == [1, 1]
    assert TREE["b"][0].bias.tolist() == [0, 0]
    assert new["c"] is TREE["c"]
    assert tree.at(TREE, "['a'][0].x", np.zeros(3))["a"][0].x.sum() == 0
    assert tree.at(TREE, '["b"][-1]', 3.0)["b"][1] == 3.0
    assert tree.at(TREE, '["c"]', 1.0)["c"] == 1.0
    assert tree.at(1.0, "", 2.0) == 2.0


def test_at_owns_the_value() -> None:
    """An array put into a record cannot be changed from outside."""
    value = np.ones(2)
    new = tree.at(TREE, '["b"][0].bias', value)
    value[0] = 5
    assert new["b"][0].bias[0] == 1


@pytest.mark.parametrize(
    ("path", "value", "error", "message"),
    [
        ('["b"][0].wieght', 1.0, TreeError, r"wieght: no such path: at step 3 the tree is Layer; it has weight, bias"),
        ('["b"][7]', 1.0, TreeError, r"at step 2 the tree is list of 2; it has \[0\], \[1\]"),
        ('["z"]', 1.0, TreeError, r'it has \["a"\], \["b"\], \["c"\]'),
        ('["c"].kind', "b", TreeError, "no such path"),
        ('["c"].weight.T', 1.0, TreeError, "nothing lies below it"),
        ('["c"]..weight', 1.0, TreeError, "cannot read"),
        ("import os", 1.0, TreeError, "cannot read"),
        ('["b"][0].bias', np.ones(3), ShapeError, r"bias: expected shape \(2,\), got \(3,\)"),
        ('["b"][0].bias', np.ones(2, np.float32), DtypeError, r"expected dtype float64, got float32"),
    ],
)
def test_errors_of_at(path: str, value: Any, error: type[Exception], message: str) -> None:
    """A path that leads nowhere says how far it got and what is there."""
    with pytest.raises(error, match=message):
        tree.at(TREE, path, value)


def test_ravel_round_trips_bits_and_dtypes() -> None:
    """NaN payloads, signed zeros and float32 leaves survive the way through a float64 vector."""
    odd = np.array([np.nan, -0.0, np.inf, 5e-324])
    for value in ({"w": odd, "v": np.float32([-0.0, 1e-45])}, Layer(odd.astype(np.float32)), [np.arange(3)], (), None):
        vector, unravel = pn.ravel(value)
        assert vector.ndim == 1
        assert pn.same_bits(unravel(vector), value)
    vector, unravel = pn.ravel({"w": odd})
    with pytest.raises(ShapeError, match=r"^unravel: expected a vector of shape \(4,\), got \(5,\)"):
        unravel(np.zeros(5))


def test_ravel_refuses_what_it_cannot_hold() -> None:
    """A vector that would round a leaf is not made."""
    with pytest.raises(DtypeError, match=r'^\["n"\]: int64 cannot be held exactly in a vector of float64'):
        pn.ravel({"n": np.array([2**53 + 1]), "w": np.ones(1)})


def test_ravel_is_differentiable() -> None:
    """A function of a flat vector has the gradient of the function of the tree."""
    net = pn.mlp(pn.key(0), (3, 4, 1), activation=pn.Tanh())
    x = np.ones((5, 3))
    vector, unravel = pn.ravel(net)
    flat = pn.grad(lambda v: np.sum(pn.forward(unravel(v), x) ** 2))(vector)
    nested = pn.grad(lambda net: np.sum(pn.forward(net, x) ** 2))(net)
    np.testing.assert_allclose(flat, pn.ravel(nested)[0], rtol=1e-12)


def test_flatten_checks_the_count() -> None:
    """A tree is not built from too few or too many leaves."""
    _, unflatten = tree.flatten(TREE)
    with pytest.raises(TreeError, match="expected 5 leaves, got 4"):
        unflatten([1.0] * 4)


def test_unsortable_keys_are_refused() -> None:
    """A dict whose keys have no order has no order of leaves."""
    with pytest.raises(TreeError, match="must be sortable"):
        tree.leaves({1: 1.0, "a": 2.0})
