"""Operands cut into slices: large ones like small ones, and those that are kept like those that are not."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from test_exact import LAYOUTS, random

from purenet.arithmetic.exact import matmul
from purenet.arithmetic.slicing import Operand, cut

SHAPES = [(1000, 100), (999, 100), (784, 256), (257, 33), (2048, 9), (8200, 2), (3, 5000), (130, 130), (600, 1025)]
"""Lengths of contractions and numbers of lines: constants are written out in all ways, with and without a rest."""


def same(found: np.ndarray, expected: np.ndarray) -> bool:
    """Whether two arrays have the same bits."""
    return (found.dtype, found.shape, found.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())


@pytest.mark.parametrize("slices", [1, 2, 3])
@pytest.mark.parametrize("dtype", ["f8", "f4", "f2"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_line_of_a_large_operand_is_cut_as_if_it_were_alone(shape, dtype, slices):
    """Columns on the right and rows on the left, in C and Fortran order, give the bits of products of single lines."""
    large = random(1, *shape, spread=3).astype(dtype)
    large[:, 1] = 0.0  # the column of a unit that is never active
    vectors = random(2, 2, shape[0], spread=3).astype(dtype)
    lines = range(0, shape[1], max(1, shape[1] // 7))
    alone = np.concatenate([matmul(vectors, large[:, j : j + 1].copy(), slices) for j in lines], axis=1)
    for operand in (large, np.asfortranarray(large), LAYOUTS["strided"](large)):
        assert same(matmul(vectors, operand, slices)[:, lines], alone)
        assert same(matmul(operand.T, vectors.T, slices)[lines], alone.T)


def plain_slices(line, slices):
    """The slices of a line, by the definition: rounded to multiples, which floats are exact for in this range."""
    kept = (53 - math.ceil(math.log2(len(line)))) // 2
    exponent = math.frexp(max(map(abs, line)))[1]
    rest, pieces = line, []
    for i in range(1, slices + 1):
        step = 2.0 ** (exponent - i * kept)
        pieces.append([round(v / step) * step for v in rest])  # to nearest, ties to even
        rest = [v - p for v, p in zip(rest, pieces[-1], strict=True)]
    return pieces


@pytest.mark.parametrize("shape", [(1000, 100), (64, 20), (200, 90)], ids=str)
@pytest.mark.parametrize("slices", [1, 3])
def test_slices_are_those_of_the_definition(shape, slices):
    """Every one of every line, small and large."""
    x = random(3, *shape, spread=5)
    lines = range(0, shape[1], 9)
    expected = [plain_slices(x[:, j].tolist(), slices) for j in lines]
    for found in (cut(x, False, slices), cut(np.asfortranarray(x), False, slices)):
        assert [[piece[:, j].tolist() for piece in found] for j in lines] == expected
    found = cut(x.T, True, slices)
    assert [[piece[j].tolist() for piece in found] for j in lines] == expected


@pytest.mark.parametrize("slices", [1, 2, 3])
@pytest.mark.parametrize("dtypes", [*product(["f8", "f4", "f2"], repeat=2), ("f8", "i4")], ids=str)
def test_what_is_kept_of_an_operand_changes_no_bit(dtypes, slices):
    """On the left, on the right, transposed, at the first product and at later ones, with another number of slices."""
    x, other = random(4, 70, 70, spread=4).astype(dtypes[0]), (8 * random(5, 70, 70)).astype(dtypes[1])
    kept = Operand(x)
    assert not kept.has_slices
    for _ in range(2):
        assert same(matmul(kept, other, slices), matmul(x, other, slices))
        assert same(matmul(other, kept, slices), matmul(other, x, slices))
        assert same(matmul(kept.transpose(), other, slices), matmul(x.T, other, slices))
        assert same(matmul(other, kept.transpose(), slices), matmul(other, x.T, slices))
        assert same(matmul(kept, kept.transpose(), slices), matmul(x, x.T, slices))
        assert same(matmul(kept, other, 2), matmul(x, other, 2))
    assert kept.has_slices


@pytest.mark.parametrize("value", [math.inf, math.nan, -0.0, 5e-324, 2.0**-452, 2.0**-451, 2.0**450, 1e308])
def test_what_is_kept_of_any_magnitude(value):
    """Also where slices cannot be kept, for a row has no safe magnitude."""
    x, other = random(6, 40, 50), random(7, 50, 30)
    x[3] = 0.0
    x[3, 4] = value
    kept = Operand(x)
    for _ in range(2):
        assert same(matmul(kept, other), matmul(x, other))
        assert same(matmul(x.copy(), other)[3], matmul(x[3], other))
        assert same(matmul(other.T, kept.transpose(), 2), matmul(other.T, x.T, 2))


def test_a_long_contraction_keeps_nothing():
    """More than a block is cut block by block."""
    x, other = random(8, 3, 5000), random(9, 5000, 3)
    kept = Operand(x)
    assert same(matmul(kept, other), matmul(x, other))
    assert not kept.has_slices
