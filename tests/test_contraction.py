"""Products that are made of matrix products have their bits."""

from __future__ import annotations

import numpy as np
import pytest
from contract_cases import INTEGERS, VECTOR, X, Y, real, signature

from purenet.arithmetic.contract import PRODUCTS


def test_products_of_integers_are_integers():
    """Exact modulo 2**64, whatever the number of slices."""
    big = INTEGERS * 2**40 + 12345
    assert PRODUCTS[np.matmul](big, big.T, slices=1).tolist() == (big @ big.T).tolist()
    assert PRODUCTS[np.einsum]("ij,kj->ik", big, big, slices=1).tolist() == (big @ big.T).tolist()


@pytest.mark.parametrize("slices", [1, 2, 3])
def test_the_kin_of_a_matrix_product_have_its_bits(slices):
    """An element depends on its row, its column and the order of their terms alone."""
    matmul, tall = PRODUCTS[np.matmul], real(5, 4)
    want = signature(matmul(X, tall, slices=slices))
    for name, args in (("dot", (X, tall)), ("inner", (X, tall.T)), ("tensordot", (X, tall, 1))):
        assert signature(PRODUCTS[getattr(np, name)](*args, slices=slices)) == want
    for subscripts in ("ij,jk->ik", "ij,jk"):
        assert signature(PRODUCTS[np.einsum](subscripts, X, tall, slices=slices)) == want
    assert signature(PRODUCTS[np.linalg.multi_dot]([X, tall], slices=slices)) == want
    assert signature(PRODUCTS[np.einsum]("jk,ij->ik", tall, X, slices=slices)) == want
    assert signature(PRODUCTS[np.vdot](X, Y, slices=slices)) == signature(matmul(X.ravel(), Y.ravel(), slices=slices))
    flipped = matmul(np.lib.stride_tricks.sliding_window_view(VECTOR, 5), X[0, ::-1], slices=slices)
    assert signature(PRODUCTS[np.convolve](VECTOR, X[0], "valid", slices=slices)) == signature(flipped)
