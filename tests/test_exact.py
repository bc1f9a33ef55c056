"""Laws of the exact sliced products: against rational arithmetic, and the same bits whatever the machine does."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from fractions import Fraction
from operator import mul
from pathlib import Path

import numpy as np
import pytest
from laws import assert_pure

from purenet.arithmetic import exact
from purenet.arithmetic.exact import matmul
from purenet.errors import ArgumentError, DtypeError, ShapeError

INF, NAN = math.inf, math.nan
BLOCK = 2048


def random(seed, *shape, low=0, high=0, spread=0):
    """Normal numbers times powers of two: one for each row, from low to high, one for each element, down to -spread."""
    rng = np.random.default_rng(seed)
    with np.errstate(all="ignore"):
        x = np.ldexp(rng.normal(size=shape), rng.integers(-spread, 1, size=shape))
        return np.ldexp(x, rng.integers(low, high + 1, size=(*shape[:-1], 1)))


# --- the contract once more, in integers


PLACES = 1400  # binary places of the integers that stand for floats: none, and no slice of one, has more


def integers(line):
    """Floats as integers, times 2**PLACES."""
    return [(n << PLACES) // d for n, d in (float(v).as_integer_ratio() for v in line)]


def to_grid(n, places):
    """To the nearest multiple of 2**places, ties to even."""
    if places <= 0:
        return n
    floor, rest = n >> places, n & ((1 << places) - 1)
    half = 1 << (places - 1)
    return (floor + (rest > half or (rest == half and floor % 2))) << places


def to_53_bits(n):
    return to_grid(n, abs(n).bit_length() - 53)


def slices_of(line, slices, kept):
    """The slices of a line of integers."""
    exponent = max(map(abs, line)).bit_length()
    pieces, rest = [], line
    for i in range(1, slices + 1):
        pieces.append([to_grid(n, exponent - i * kept) for n in rest])
        rest = [n - p for n, p in zip(rest, pieces[-1], strict=True)]
    return pieces


def dot(row, column):
    return sum(map(mul, row, column))


def contract(row, column, slices):
    """One element of a product of finite numbers by the contract, in integers."""
    row, column = integers(row), integers(column)
    total = 0
    for start in range(0, len(row), BLOCK):
        x, y = row[start : start + BLOCK], column[start : start + BLOCK]
        kept = (53 - math.ceil(math.log2(len(x)))) // 2
        xs, ys = slices_of(x, slices, kept), slices_of(y, slices, kept)
        term = dot(xs[0], ys[0])
        assert term == to_53_bits(term)
        if slices > 1:
            low = dot(xs[0], ys[1]) + dot(xs[1], ys[0])
            if slices > 2:
                low = to_53_bits(low + to_53_bits(dot(xs[0], ys[2]) + dot(xs[2], ys[0]) + dot(xs[1], ys[1])))
            term = to_53_bits(term + low)
        total = to_53_bits(total + term)
    try:
        return float(Fraction(total, 1 << 2 * PLACES))
    except OverflowError:
        return INF if total > 0 else -INF


MAGNITUDES = {
    "near 1": {},
    "ill-conditioned rows": {"spread": 70},
    "1e-130 to 1e130": {"low": -430, "high": 430, "spread": 20},
    "1e-300 to 1e300": {"low": -1000, "high": 1000, "spread": 60},
    "subnormal": {"low": -1074, "high": -1020, "spread": 3},
    "very large": {"low": 500, "high": 1015},
    "subnormal to largest": {"low": -1074, "high": 1019},
}


@pytest.mark.parametrize("slices", [1, 2, 3])
@pytest.mark.parametrize("magnitudes", MAGNITUDES.values(), ids=MAGNITUDES)
@pytest.mark.parametrize("length", [1, 2, 5, 64, 100])
def test_every_bit_is_that_of_rational_arithmetic(length, magnitudes, slices):
    """Every element is what the contract says, computed with fractions."""
    a, b = random(length, 5, length, **magnitudes), random(length + 1, 6, length, **magnitudes).T
    expected = [[contract(row, column, slices) for column in b.T] for row in a]
    assert matmul(a, b, slices).tolist() == expected


@pytest.mark.parametrize("slices", [1, 2, 3])
@pytest.mark.parametrize("magnitudes", [{}, {"low": -1000, "high": 1000, "spread": 60}], ids=["near 1", "any"])
@pytest.mark.parametrize("length", [BLOCK, BLOCK + 1, 2 * BLOCK + 500])
def test_long_contractions_too(length, magnitudes, slices):
    """Blocks are added from first to last, each rounded relative to its own magnitudes."""
    rng = np.random.default_rng(1)
    a, b = random(2, 2, length, **magnitudes), random(3, 2, length, **magnitudes).T
    a[:, BLOCK:] *= np.exp2(rng.integers(-30, 31))
    assert matmul(a, b, slices).tolist() == [[contract(row, column, slices) for column in b.T] for row in a]


def test_blocks_of_opposite_scales():
    """A block that is large in one operand and small in the other neither overflows nor is lost."""
    a, b = random(4, 2, 2 * BLOCK), random(5, 2, 2 * BLOCK).T
    a[:, :BLOCK] *= 1e300
    b[:BLOCK] *= 1e-300
    a[:, BLOCK:] *= 1e-300
    b[BLOCK:] *= 1e300
    assert matmul(a, b, 3).tolist() == [[contract(row, column, 3) for column in b.T] for row in a]
    b[:BLOCK, 0] = 0.0
    assert matmul(a, b, 3).tolist() == [[contract(row, column, 3) for column in b.T] for row in a]
    b[BLOCK:] *= 1e-300
    assert matmul(a, b, 3).tolist() == [[contract(row, column, 3) for column in b.T] for row in a]


@pytest.mark.parametrize(("slices", "share"), [(1, 1.0), (2, 1.25), (3, 1.51 + 2.0**-9)])
@pytest.mark.parametrize("magnitudes", MAGNITUDES.values(), ids=MAGNITUDES)
def test_error_is_within_the_bounds(magnitudes, slices, share):
    """|error| <= share * length * 2**(e + f - slices * q), and one rounding for two slices and three."""
    length = 300
    a, b = random(6, 4, length, **magnitudes), random(7, 4, length, **magnitudes).T
    result = matmul(a, b, slices)
    kept = (53 - 9) // 2
    for i, row in enumerate(a):
        for j, column in enumerate(b.T):
            true = Fraction(dot(integers(row), integers(column)), 1 << 2 * PLACES)
            e, f = (math.frexp(np.abs(line).max())[1] for line in (row, column))
            scale = length * Fraction(2) ** (e + f - slices * kept)
            bound = Fraction(share) * scale + (0 if slices == 1 else abs(true) / 2**53)
            if abs(true) + bound >= Fraction(2) ** 1024 * (1 - Fraction(1, 2**54)):
                assert abs(result[i, j]) > 1.7e308
            else:
                assert abs(Fraction(float(result[i, j])) - true) <= bound + Fraction(2) ** -1075


def test_three_slices_are_double_precision():
    """Three slices err by at most a unit in the last place of an ordinary sum, and less than NumPy's product."""
    rng = np.random.default_rng(8)
    for length in (10, 784, BLOCK):
        a = rng.normal(size=(3, length))
        b = rng.normal(size=(length, 3))
        result, native = matmul(a, b, 3), np.matmul(a, b)
        true = np.array(
            [[float(Fraction(dot(integers(row), integers(column)), 1 << 2 * PLACES)) for column in b.T] for row in a]
        )
        assert np.all(np.abs(result - true) <= np.spacing(np.abs(true)))
        assert np.abs(result - true).max() <= np.abs(native - true).max()


# --- what must not matter


LAYOUTS = {
    "Fortran": lambda x: np.asfortranarray(x),
    "strided": lambda x: np.repeat(np.repeat(x, 2, 0), 3, 1)[::2, ::3],
    "reversed": lambda x: np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
    "misaligned": lambda x: np.frombuffer(b"!" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape),
    "other byte order": lambda x: x.astype(x.dtype.newbyteorder()),
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
}


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2"])
@pytest.mark.parametrize("slices", [1, 2, 3])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_layout_changes_no_bit(layout, slices, dtype):
    """However an operand lies in memory."""
    a, b = random(9, 20, 33, spread=8).astype(dtype), random(10, 33, 17, spread=8).astype(dtype)
    expected = matmul(a, b, slices)
    for left, right in ((layout(a), b), (a, layout(b)), (layout(a), layout(b))):
        result = matmul(left, right, slices)
        assert type(result) is np.ndarray
        assert (result.dtype, result.tobytes()) == (expected.dtype, expected.tobytes())


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_layout_changes_no_bit_of_any_magnitude(layout):
    """Nor where rows are scaled, or not finite."""
    a, b = random(9, 20, 33, low=-1074, high=1000, spread=8), random(10, 33, 17)
    for value in (1.0, INF, NAN):
        a[3, 4] = value
        assert matmul(layout(a), b, 3).tobytes() == matmul(a, layout(b), 3).tobytes() == matmul(a, b, 3).tobytes()
        assert matmul(b.T, layout(a.T), 3).tobytes() == matmul(b.T, a.T, 3).tobytes()


def test_a_file_as_operand(tmp_path):
    """A memory-mapped operand gives the same bits."""
    a, b = random(11, 9, 40), random(12, 40, 8)
    np.save(tmp_path / "a.npy", a)
    assert matmul(np.load(tmp_path / "a.npy", mmap_mode="r"), b).tobytes() == matmul(a, b).tobytes()


@pytest.mark.parametrize("slices", [1, 2, 3])
def test_order_of_the_terms_changes_no_bit_of_a_block(slices):
    """Within a block sums are exact: any permutation of the terms gives the same bits."""
    a, b = random(13, 7, 1000, spread=30), random(14, 1000, 6, spread=30)
    order = np.random.default_rng(15).permutation(1000)
    assert matmul(a[:, order], b[order], slices).tobytes() == matmul(a, b, slices).tobytes()


@pytest.mark.parametrize("slices", [1, 2, 3])
@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("length", [1, 37, 2 * BLOCK + 10])
def test_a_row_does_not_see_the_other_rows(length, dtype, slices):
    """Row i of a product has the same bits alone, in any batch, and next to rows of any magnitude, infinity and NaN."""
    a, b = random(16, 8, length).astype(dtype), random(17, length, 5).astype(dtype)
    expected = matmul(a, b, slices)
    others = [np.zeros_like(a), np.full_like(a, INF), np.full_like(a, NAN), a * np.dtype(dtype).type(1e-37)]
    if dtype == "f8":
        others += [a * 1e-300, a * 1e290]
    for i in range(len(a)):
        assert matmul(a[i], b, slices).tobytes() == matmul(a[i : i + 1], b, slices).tobytes() == expected[i].tobytes()
    for other in others:
        assert matmul(np.vstack([other, a]), b, slices)[8:].tobytes() == expected.tobytes()
        swapped = matmul(b.T, np.vstack([other, a]).T, slices)
        assert np.ascontiguousarray(swapped[:, 8:].T).tobytes() == expected.tobytes()


@pytest.mark.parametrize("slices", [1, 3])
def test_a_matrix_times_its_transpose_is_symmetric(slices):
    """`a @ a.T`, for which BLAS has a routine of its own, has the bits of `a @ copy.T`."""
    a = random(18, 30, 50)
    result = matmul(a, a.T, slices)
    assert result.tobytes() == matmul(a, a.copy().T, slices).tobytes()
    if slices == 1:
        assert np.array_equal(result, result.T)


def test_pure():
    """Arguments keep their bytes, and the same call gives the same bits, in the common case and in the others."""
    for scale in (1.0, 1e-200, INF):
        assert_pure(matmul, random(19, 4, 5) * scale, random(20, 5, 3), 3)


# --- shapes, dtypes, errors


SHAPES = [
    ((3,), (3,)), ((3,), (3, 2)), ((4, 3), (3,)), ((4, 3), (3, 2)), ((1, 3), (3, 1)), ((5, 4, 3), (3, 2)),
    ((4, 3), (5, 3, 2)), ((5, 1, 4, 3), (6, 3, 2)), ((3,), (5, 3, 2)), ((5, 4, 3), (3,)), ((0, 3), (3, 2)),
    ((4, 0), (0, 2)), ((0,), (0,)), ((4, 3), (3, 0)), ((0, 4, 3), (3, 2)), ((5, 4, 0), (0,)),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize(("left", "right"), SHAPES)
def test_shapes_are_those_of_numpy(left, right, dtype):
    """Vectors, matrices and stacks; integers of few bits are multiplied exactly; an empty contraction gives zeros."""
    rng = np.random.default_rng(21)
    a, b = rng.integers(-9, 10, left).astype(dtype), rng.integers(-9, 10, right).astype(dtype)
    expected, result = np.matmul(a, b), matmul(a, b)
    assert type(result) is type(expected)
    assert (result.dtype, result.shape) == (expected.dtype, expected.shape)
    assert np.array_equal(result, expected)
    assert not np.any(np.signbit(matmul(-0.0 * a, b)))


@pytest.mark.parametrize("slices", [1, 2, 3])
def test_a_stack_is_its_matrices(slices):
    """Each matrix of a stack, broadcast or transposed, gives the bits that it gives alone."""
    a, b = random(22, 3, 1, 6, 7), random(23, 2, 5, 7).swapaxes(1, 2)
    result = matmul(a, b, slices)
    for i in range(3):
        for j in range(2):
            assert result[i, j].tobytes() == matmul(a[i, 0], b[j], slices).tobytes()


DTYPES = [
    ("f8", "f8", "f8"), ("f8", "f4", "f8"), ("f4", "f4", "f4"), ("f4", "f2", "f4"), ("f2", "f2", "f2"),
    ("i8", "i8", "f8"), ("?", "f4", "f8"), ("u1", "f2", "f8"), ("?", "?", "f8"), (">f4", "<f4", "f4"),
    (">f8", "f8", "f8"),
]  # fmt: skip


@pytest.mark.parametrize(("left", "right", "expected"), DTYPES)
def test_dtype_of_the_result(left, right, expected):
    """Integers count as float64; the sum is made in double precision and rounded once."""
    a, b = (4 * random(24, 4, 9)).astype(left), (4 * random(25, 9, 3)).astype(right)
    for slices in (1, 2, 3):
        result = matmul(a, b, slices)
        assert result.dtype == np.dtype(expected)
        wide = matmul(a.astype("f8"), b.astype("f8"), slices)
        assert result.tobytes() == wide.astype(expected).tobytes()


def test_a_result_beyond_its_dtype_is_infinite_or_rounded_once():
    """Overflow and underflow of a narrow result raise no warning."""
    large, small = np.float32([3e38, 3e38]), np.float32([1e-25, 1e-25])
    assert matmul(large, large) == INF
    assert matmul(large, -large).dtype == np.float32
    with np.errstate(all="raise"):
        assert matmul(small, small) == 0.0
        assert matmul(np.float16([300.0]), np.float16([-300.0])) == -INF
        assert matmul(random(26, 3, 4) * 1e-200, random(27, 4, 3) * 1e-150).any() == False  # noqa: E712


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128, object, "U1", "M8[s]"])
def test_other_dtypes_are_refused(dtype):
    """Complex numbers, objects, texts and dates are outside the contract."""
    wrong = np.zeros((2, 2)).astype("i8").astype(dtype)
    with pytest.raises(DtypeError, match=r"b: expected bools, integers or floats"):
        matmul(np.ones((2, 2)), wrong)
    with pytest.raises(DtypeError, match=r"a: expected"):
        matmul(wrong, np.ones((2, 2)))


def test_long_doubles_are_refused():
    """Also where they have 64 bits."""
    with pytest.raises(DtypeError, match="outside the contract"):
        matmul(np.ones(2, np.longdouble), np.ones(2))


@pytest.mark.parametrize(
    ("left", "right"), [((2, 3), (2, 3)), ((3,), (2,)), ((), (3,)), ((3,), ()), ((2, 4, 3), (3, 3, 4)), ((3,), (4, 2))]
)
def test_shapes_that_do_not_fit(left, right):
    """The error names both shapes, or the number among the arguments."""
    with pytest.raises(ShapeError, match=r"b: shapes .* do not fit|expected arrays with axes"):
        matmul(np.ones(left), np.ones(right))


@pytest.mark.parametrize("slices", [0, 4, -1, True, 2.0, None, "1"])
def test_number_of_slices(slices):
    """One, two or three."""
    with pytest.raises(ArgumentError, match="slices: expected 1, 2 or 3"):
        matmul(np.ones(2), np.ones(2), slices)


# --- special values


SPECIAL = [  # row, column, result
    ([0.0, 0.0], [1.0, 2.0], 0.0),
    ([-0.0, -0.0], [1.0, 2.0], 0.0),
    ([0.0, 0.0], [-1.0, -2.0], 0.0),
    ([-0.0, -0.0], [-0.0, 0.0], 0.0),
    ([1.0, 1.0], [1.0, -1.0], 0.0),
    ([INF, 1.0], [1.0, 1.0], INF),
    ([INF, 1.0], [-1e-300, 1e300], -INF),
    ([INF, 1.0], [5e-324, -1.0], INF),
    ([INF, 1.0], [0.0, 1.0], NAN),
    ([INF, 1.0], [-0.0, 1.0], NAN),
    ([INF, INF], [1.0, -1.0], NAN),
    ([INF, -INF], [1.0, -1.0], INF),
    ([INF, 1.0], [INF, 1.0], INF),
    ([INF, 1.0], [-INF, 1.0], -INF),
    ([INF, 1.0], [1.0, -INF], NAN),
    ([NAN, 1.0], [0.0, 0.0], NAN),
    ([-NAN, 1.0], [1.0, INF], NAN),
    ([1.0, 1.0], [NAN, 1.0], NAN),
    ([1e300, 1e300], [1e300, -1e300], 0.0),
    ([1e300, 1.0], [1e300, 1.0], INF),
    ([1e300, 1e300], [1e10, -INF], -INF),
    ([5e-324, 0.0], [1.0, 1.0], 5e-324),
    ([5e-324, 5e-324], [0.75, 0.0], 5e-324),
    ([5e-324, 0.0], [0.5, 1.0], 0.0),
    ([5e-324, 0.0], [-0.5, 1.0], 0.0),
    ([2.0**-1074, 0.0], [2.0**1000, 0.0], 2.0**-74),
    ([2.0**-1074, 2.0**-1074], [2.0**1023, -(2.0**1022)], 2.0**-52),
    ([2.0**1023, 2.0**1023], [1.0, 1.0], INF),
    ([2.0**1023, 2.0**1022], [1.0, 1.0], 1.5 * 2.0**1023),
]


@pytest.mark.parametrize("slices", [1, 2, 3])
def test_special_values(slices):
    """Each row of the table, alone and all at once; NaN is `np.nan` to the bit, zero is +0, and nothing warns."""
    for row, column, result in SPECIAL:
        expected = np.array([result]).tobytes()
        for a, b in ((row, column), (column, row), (np.negative(row), np.negative(column))):
            assert matmul(a, b, slices).tobytes() == expected, (row, column)
    together = matmul(
        np.array([row for row, _, _ in SPECIAL]), np.array([column for _, column, _ in SPECIAL]).T, slices
    )
    assert np.ascontiguousarray(np.diag(together)).tobytes() == np.array([r for _, _, r in SPECIAL]).tobytes()


def ieee(row, column):
    """What any order of IEEE operations makes of the terms, if one of them is not finite and none overflows."""
    terms = [v * w for v, w in zip(row.tolist(), column.tolist(), strict=True)]
    infinite = {t for t in terms if math.isinf(t)}
    return NAN if any(map(math.isnan, terms)) or len(infinite) > 1 else infinite.pop() if infinite else None


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_infinity_and_nan_are_as_in_ieee_arithmetic(dtype):
    """Random matrices with zeros, infinities and NaN of both signs."""
    rng = np.random.default_rng(28)
    values = np.array([0.0, -0.0, 1.0, -2.5, INF, -INF, NAN])
    for length in (1, 2, 6):
        a = rng.choice(values, (40, length), p=[0.1, 0.1, 0.3, 0.3, 0.08, 0.08, 0.04]).astype(dtype)
        b = rng.choice(values, (length, 30), p=[0.1, 0.1, 0.3, 0.3, 0.08, 0.08, 0.04]).astype(dtype)
        result = matmul(a, b)
        for i in range(40):
            for j in range(30):
                expected = ieee(a[i], b[:, j])
                if expected is not None:
                    assert result[i, j].tobytes() == np.array(expected, dtype).tobytes()
                else:
                    assert result[i, j] == sum(map(float.__mul__, a[i].tolist(), b[:, j].tolist()))


def test_payload_and_sign_of_nan_do_not_show():
    """Signalling and negative NaN come out as `np.nan`, without a warning."""
    for bits, dtype in ((0x7FF0000000000001, "f8"), (0xFFF8000000000123, "f8"), (0x7F800001, "f4"), (0xFFC00007, "f4")):
        a = np.ones((2, 3), dtype)
        a.view(f"u{a.itemsize}")[0, 1] = bits
        result = matmul(a, np.ones((3, 2), dtype))
        assert result.tobytes() == np.array([[NAN, NAN], [3.0, 3.0]], dtype).tobytes()


# --- machines


def program_digest():
    """A digest of many products."""
    digest = hashlib.sha256()
    for slices in (1, 2, 3):
        for m, k, n in [
            (1, 1, 1),
            (64, 20, 100),
            (100, 64, 10),
            (3, 5000, 4),
            (1, 300, 200),
            (129, 257, 65),
            (200, 784, 1),
        ]:
            for low, high in [(0, 0), (-600, 600)]:
                a, b = random(m, m, k, low=low, high=high, spread=10), random(n, n, k, low=low, high=high, spread=10).T
                digest.update(matmul(a, b, slices).tobytes())
                digest.update(matmul(b.T, a.T, slices).tobytes())
                digest.update(matmul(a, np.asfortranarray(b), slices).tobytes())
            a32, b32 = (random(7, *shape).astype(np.float32) for shape in ((m, k), (k, n)))
            digest.update(matmul(a32, b32, slices).tobytes())
    digest.update(matmul(random(1, 300, 700), random(2, 700, 500)).tobytes())
    return digest.hexdigest()


KERNELS = ["Prescott", "Nehalem", "Sandybridge", "Haswell", "Zen", "SkylakeX", "Cooperlake"]
SIMD = ["X86_V4 AVX512_ICL", "X86_V3 X86_V4 AVX512_ICL", "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL"]


@pytest.mark.longer
def test_one_digest_on_every_kernel():
    """OpenBLAS kernels, one and two threads, SIMD levels switched off: one digest."""
    environments = [{"OPENBLAS_CORETYPE": kernel, "OPENBLAS_NUM_THREADS": n} for kernel in KERNELS for n in "12"]
    environments += [{"NPY_DISABLE_CPU_FEATURES": features} for features in SIMD]
    digests = {}
    for environment in environments:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", "import test_exact; print(test_exact.program_digest())"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:  # a feature that is part of the baseline cannot be switched off
            digests[str(environment)] = done.stdout.strip()
    assert len(digests) > len(KERNELS)
    assert set(digests.values()) == {program_digest()}, digests


@pytest.mark.longer
@pytest.mark.parametrize("slices", [1, 2, 3])
def test_many_random_products(slices):
    """Every bit is that of rational arithmetic, for many lengths and magnitudes."""
    rng = np.random.default_rng(29)
    for seed in range(150):
        length, low, high = int(rng.integers(1, 400)), int(rng.integers(-1074, 0)), int(rng.integers(0, 1020))
        a = random(seed, 2, length, low=low, high=high, spread=int(rng.integers(0, 100)))
        b = random(seed + 1000, 2, length, low=low, high=high, spread=int(rng.integers(0, 100))).T
        assert matmul(a, b, slices).tolist() == [[contract(row, column, slices) for column in b.T] for row in a]


def test_magnitudes_at_the_edge_of_the_common_case():
    """The edges of the range that is multiplied without scaling, and what lies beyond."""
    for e in (-452, -451, -450, 449, 450, 451):
        a = np.array([[1.0, 1 / 3, -0.7]]) * 2.0**e
        b = np.array([[1.0], [1 / 7], [0.9]]) * 2.0**e
        for slices in (1, 2, 3):
            assert matmul(a, b, slices).item() == contract(a[0], b[:, 0], slices)
    assert exact.matmul(np.array([[2.0**450 * (1 - 2.0**-53)]]), np.ones((1, 1)), 3).item() == 2.0**450 * (1 - 2.0**-53)
