"""Parts that treat some leaves unlike others, and the patterns of paths that say which."""

from __future__ import annotations

import numpy as np
import pytest
from laws import leaf_bytes
from optimizer_networks import network

from purenet import tree
from purenet.errors import ArgumentError, DtypeError, StructureError
from purenet.optimizers import adam, adamw, add_decayed_weights, chain, masked, scale, scale_leaves, select

PATHS = [
    "layers[0].weight",
    "layers[0].bias",
    "layers[2].weight",
    'layers[3]["bias"]',
    'layers[3]["weight"]',
]
SELECTIONS = {
    "*": "11111",
    "layers": "11111",
    "layers[*]": "11111",
    "layers[0]": "11000",
    "layers[0].bias": "01000",
    "layers[*].bias": "01000",
    "layers[*].weight": "10100",
    "*.weight": "10100",
    "*weight*": "10101",
    '*["bias"]': "00010",
    "layers[3][*]": "00011",
    "*[*][*]": "00011",
    "*s": "11111",
}


@pytest.mark.parametrize(("pattern", "expected"), SELECTIONS.items())
def test_a_pattern_selects_leaves(pattern, expected):
    """`[*]` is one index or key, any other `*` any run of characters; a branch selects what it holds."""
    assert tree.paths(network()) == PATHS
    assert "".join(str(int(chosen)) for chosen in select(network(), pattern)) == expected


def test_several_patterns_select_what_any_of_them_does():
    """A tuple is a union; a function of the path does the rest."""
    assert select(network(), ("layers[0].bias", "layers[2]")) == (False, True, True, False, False)
    assert select(network(), lambda path: path.endswith("bias")) == (False, True, False, False, False)


@pytest.mark.parametrize(
    "pattern", ["bias", "*.bais", "layers[0].w", "layers[00]", "layers[0", "layer", "layers.0", ".*", "*.weights"]
)
def test_a_pattern_that_selects_nothing_is_an_error_with_the_paths(pattern):
    """A spelling mistake is not taken as an empty selection, wherever a pattern is used."""
    for part in (
        masked(scale(1.0), pattern),
        scale_leaves({pattern: 2.0}),
        add_decayed_weights(0.1, ("*", pattern)),
        adamw(0.1, where=pattern),
    ):
        with pytest.raises(ArgumentError) as caught:
            part.init(network())
        message = str(caught.value)
        assert f'no leaf is selected by "{pattern}"' in message
        assert all(path in message for path in PATHS)


def test_many_paths_are_not_all_listed():
    """An error stays readable on a large network."""
    with pytest.raises(ArgumentError, match=r"\[0\], \[1\], .*\[19\], and 80 more$"):
        select([np.ones(1)] * 100, "missing")


def test_masked_leaves_the_others_alone():
    """Selected leaves get exactly what the part gives them alone; the others are the very arrays that came in."""
    net, gradient = network(), network(seed=1)
    where = "layers[*].weight"
    part = masked(adam(0.1), where)
    updates, state = part.update(gradient, part.init(net), net, 0)
    lone = [leaf for leaf, chosen in zip(tree.leaves(net), select(net, where), strict=True) if chosen]
    lone_gradient = [leaf for leaf, chosen in zip(tree.leaves(gradient), select(net, where), strict=True) if chosen]
    expected, expected_state = adam(0.1).update(lone_gradient, adam(0.1).init(lone), lone, 0)
    changed = iter(expected)
    for chosen, new, old in zip(select(net, where), tree.leaves(updates), tree.leaves(gradient), strict=True):
        assert new.tobytes() == next(changed).tobytes() if chosen else new is old
    sizes = [sum(leaf.size for leaf in tree.leaves(each)) for each in (state, expected_state)]
    assert sizes == [2 * sum(leaf.size for leaf in lone)] * 2


def test_scaled_leaves_are_multiplied_by_their_own_factor():
    """Each by the factor of the pattern that selects it, the others by none."""
    net, gradient = network(), network(seed=1)
    part = scale_leaves({"layers[*].bias": 1 / 64, '*["weight"]': -2.0})
    updates, _ = part.update(gradient, part.init(net), net, 0)
    factors = [1.0, 1 / 64, 1.0, 1.0, -2.0]
    for factor, new, old in zip(factors, tree.leaves(updates), tree.leaves(gradient), strict=True):
        assert new.tobytes() == (factor * old).tobytes()


def test_a_leaf_cannot_have_two_factors():
    """Which one would hold is not guessed."""
    part = scale_leaves({"*.bias": 2.0, "layers[0]": 3.0})
    with pytest.raises(ArgumentError, match=r'"\*\.bias" and "layers\[0\]" both select layers\[0\]\.bias'):
        part.init(network())


def test_leaves_scaled_by_zero_at_the_end_stay_as_they_are():
    """The documented way to hold leaves fixed."""
    net = network()
    part = chain(adam(0.1), scale_leaves({"layers[0]": 0.0}))
    updates, _ = part.update(network(seed=1), part.init(net), net, 0)
    after = tree.map_fresh(np.add, net, updates)
    assert leaf_bytes(after.layers[0]) == leaf_bytes(net.layers[0])
    assert leaf_bytes(after.layers[2]) != leaf_bytes(net.layers[2])


def test_weights_decay_where_they_should():
    """Only the selected leaves shrink."""
    net = network()
    zeros = tree.map(np.zeros_like, net)
    part = add_decayed_weights(0.5, where="*weight*")
    updates, _ = part.update(zeros, part.init(net), net, 0)
    assert np.array_equal(updates.layers[0].weight, 0.5 * net.layers[0].weight)
    assert not np.any(updates.layers[0].bias)


@pytest.mark.parametrize("part", [masked(scale(1.0), "*"), scale_leaves({"*": 2.0}), add_decayed_weights(0.1, "*")])
def test_updates_of_another_network_than_init_was_given_are_refused(part):
    """A choice of leaves made for one network is not applied to another."""
    state = part.init({"w": np.ones(2)})
    with pytest.raises(StructureError, match="expected updates of 1 leaves, as init was given, got 2"):
        part.update({"w": np.ones(2), "x": np.ones(2)}, state, {"w": np.ones(2), "x": np.ones(2)}, 0)


def test_a_function_that_selects_must_return_a_bool():
    """A string or a list would always count as true."""
    with pytest.raises(DtypeError, match=r"masked\.where\(\[0\]\): expected True or False, got str 'yes'"):
        masked(scale(1.0), lambda path: "yes").init([np.ones(1)])
    with pytest.raises(ArgumentError, match="the function selects no leaf"):
        masked(scale(1.0), lambda path: False).init([np.ones(1)])
