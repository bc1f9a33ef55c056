"""The numeric contract: every function in it gives what NumPy gives, in bits that depend on nothing but the numbers."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from contract_cases import (
    CASES,
    INTEGERS,
    LAYOUTS,
    TEXT,
    TIES,
    X,
    Y,
    changed,
    parts,
    real,
    signature,
    signatures,
)
from repository import ROOT

from purenet.arithmetic import (
    contract,
    elementary,
    inverse,
    kernels,
    native,
    pointwise,
    promotion,
    scalar,
    special,
    sums,
)
from purenet.arithmetic.contract import CONTRACT, PRODUCTS, implementation
from purenet.errors import ArgumentError, DtypeError

INF, NAN = math.inf, math.nan
OF_NUMBERS = [case for case in CASES if case.label.rsplit(" ", 1)[0] not in (*TEXT, "shares_memory")]
GOLDEN = Path(__file__).parent / "golden" / "contract.json"


def test_every_function_has_a_case():
    """The laws below run over the whole of both tables."""
    assert set(CONTRACT) | set(PRODUCTS) == {case.function for case in CASES}
    assert not set(CONTRACT) & set(PRODUCTS)


def test_implementation_looks_into_both_tables():
    """A function outside the contract has none."""
    assert implementation(np.sum) is CONTRACT[np.sum]
    assert implementation(np.matmul) is PRODUCTS[np.matmul]
    for outside in (np.linalg.inv, np.fft.fft, np.percentile, (np.add, "at"), (np.add, "reduceat"), len):
        assert implementation(outside) is None


def test_the_numbers_on_the_page_are_those_of_the_code():
    """Every constant and coefficient that docs/numeric-contract.md lists, to the last bit."""
    page = (ROOT / "docs" / "numeric-contract.md").read_text(encoding="utf-8")
    rows = []
    for word in page.split('NUMBERS = """')[1].split('"""')[0].split():
        rows[-1].append(float.fromhex(word)) if "0x" in word else rows.append([word])
    assert len(rows) == 33
    for name, *numbers in rows:
        modules = (kernels, elementary, inverse, special, scalar)
        own = next(getattr(module, name) for module in modules if hasattr(module, name))
        assert (own if isinstance(own, tuple) else (own,)) == tuple(numbers), name


# Agreement with NumPy.


@pytest.mark.parametrize("case", [case for case in CASES if case.label != "empty_like 1"], ids=str)
def test_agrees_with_numpy(case):
    """The same form, and values within the rounding errors of either; exactly the same where no number is rounded."""
    mine = parts(case.carry_out())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        numpys = parts(case.by_numpy())
    assert len(mine) == len(numpys)
    for got, want in zip(mine, numpys, strict=True):
        assert got.shape == want.shape or (promotion.LEGACY and case.function is np.unique)
        if not (promotion.LEGACY and want.dtype != got.dtype):
            assert got.dtype == want.dtype
        if got.dtype.kind == "f":
            unit = (
                float(np.finfo(got.dtype).eps)
                if case.kwargs.get("slices", 3) == 3
                else 2.0**-20 / case.kwargs["slices"]
            )
            largest = np.max(np.abs(want[np.isfinite(want)]), initial=0, where=True)
            loose = case.function not in CONTRACT or not case.label.startswith(("prod", "cumprod", "multiply"))
            np.testing.assert_allclose(
                got.astype(float), want.astype(float), rtol=(12 if loose else 2 * 640) * unit,
                atol=24 * unit * max(1.0, float(largest)) if loose else 0.0,
            )  # fmt: skip
        elif got.dtype.kind in "biu":
            assert np.array_equal(got.reshape(want.shape), want)


# Bits depend on the numbers alone.


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bits_do_not_depend_on_the_layout(layout):
    """Any order in memory, any alignment, either byte order, arrays that cannot be written to."""
    for case in OF_NUMBERS:
        args = changed(case.args, LAYOUTS[layout])
        assert signature(case.carry_out(args)) == signature(case.carry_out()), case.label


def test_bits_do_not_depend_on_where_the_memory_is(tmp_path):
    """Memory-mapped arrays."""

    def mapped(array, count=[0]):  # noqa: B006
        count[0] += 1
        np.save(tmp_path / f"{count[0]}.npy", array)
        return np.load(tmp_path / f"{count[0]}.npy", mmap_mode="r")

    for case in OF_NUMBERS[::5]:
        assert signature(case.carry_out(changed(case.args, mapped))) == signature(case.carry_out()), case.label


def test_arguments_keep_their_bits():
    """No function writes into what it is given."""
    for case in CASES:
        before = [part.tobytes() for part in parts(case.args) if part.dtype.kind in "biuf"]
        case.carry_out()
        assert before == [part.tobytes() for part in parts(case.args) if part.dtype.kind in "biuf"], case.label


def test_results_are_those_written_down():
    """The bits of every case are those of tests/golden/contract.json, whatever the machine."""
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    found = signatures()
    assert {label: found[label] for label in found if golden.get(label) != found[label]} == {}
    assert len(golden) >= len(found)


@pytest.mark.longer
@pytest.mark.parametrize("threads", ["1", "2"])
def test_bits_do_not_depend_on_the_processor(threads):
    """One set of signatures with SIMD levels switched off, on other kernels of BLAS, with one thread or more."""
    want = signatures()
    umath = __import__("numpy._core" if not promotion.LEGACY else "numpy.core", fromlist=["_multiarray_umath"])
    umath = umath._multiarray_umath
    levels = [name for name in umath.__cpu_dispatch__ if umath.__cpu_features__.get(name)]
    settings = [{"OPENBLAS_CORETYPE": core} for core in ("Prescott", "Nehalem", "Sandybridge", "Haswell", "Zen", "")]
    settings += [{"NPY_DISABLE_CPU_FEATURES": " ".join(levels[i:])} for i in range(len(levels))]
    for setting in settings:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": threads, **setting}
        script = Path(__file__).with_name("contract_cases.py")
        ran = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, check=True)
        assert json.loads(ran.stdout) == want, setting


def test_a_result_depends_on_its_own_terms_alone():
    """A row by itself has the bits that it has among others."""
    batch = real(9, 33)
    for function in (
        lambda x: sums.total(x, -1), lambda x: sums.mean(x, 1), lambda x: sums.variance(x, 1),
        lambda x: sums.largest(x, 1), lambda x: CONTRACT[(np.logaddexp, "reduce")](x, 1),
        pointwise.softmax, pointwise.log_sum_exp, pointwise.relu, CONTRACT[np.tanh], CONTRACT[np.arctan],
        lambda x: pointwise.power(np.abs(x), 2.5), lambda x: pointwise.power(np.abs(x), x), lambda x: x @ x.T[:, :1],
        lambda x: PRODUCTS[np.einsum]("ij,kj->ik", x, batch), lambda x: CONTRACT[native.sigmoid](x),
    ):  # fmt: skip
        together = function(batch)
        for i in range(9):
            if together.shape[1:] != (1,):
                assert signature(function(batch[i : i + 1])[0]) == signature(together[i])


# Special values.


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_a_zero_chosen_among_numbers_is_positive(dtype):
    """Whatever the signs of the zeros that went in, of maximum and minimum, clip, relu and the extrema."""
    zeros = np.array([-0.0, 0.0, -0.0, 0.0] * 5, dtype)
    others = np.array([-0.0, -0.0, 0.0, 0.0] * 5, dtype)
    for result in (
        pointwise.maximum(zeros, others), pointwise.minimum(zeros, others), pointwise.fmax(zeros, others),
        pointwise.fmin(zeros, others), pointwise.clip(zeros, -1, 1), pointwise.relu(zeros), pointwise.relu(-others),
        sums.largest(zeros), sums.smallest(zeros), CONTRACT[(np.maximum, "accumulate")](zeros),
        sums.largest(zeros.reshape(4, 5), 0),
    ):  # fmt: skip
        assert result.dtype == dtype
        assert not np.signbit(result).any()


def test_nan_goes_through_choices():
    """`fmax` and `fmin` alone prefer a number."""
    for function in (pointwise.maximum, pointwise.minimum):
        assert np.isnan(function(np.array([NAN, 1.0]), np.array([1.0, NAN]))).all()
    for function in (pointwise.fmax, pointwise.fmin):
        assert function(np.array([NAN, 1.0]), np.array([1.0, NAN])).tolist() == [1.0, 1.0]
        signalling = np.full(9, 0x7FF0000000000001, np.uint64).view(np.float64)  # which some processors pass on
        assert function(signalling, 1.0).tolist() == function(1.0, signalling).tolist() == [1.0] * 9
    assert np.isnan(pointwise.relu(np.array([NAN]))).all()
    assert np.isnan(sums.largest(np.array([1.0, NAN, 2.0])))
    assert np.isnan(pointwise.softmax(np.array([1.0, NAN]))).all()


def test_the_sign_of_nan_means_nothing():
    """`signbit` is False, and `copysign` takes it for +."""
    nans = np.array([NAN, -NAN])
    assert not pointwise.signbit(nans).any()
    assert pointwise.copysign(-2.0, nans).tolist() == [2.0, 2.0]
    assert pointwise.signbit(np.array([-0.0, 0.0, -INF])).tolist() == [True, False, True]


def test_equal_elements_keep_their_order():
    """Of -0 and +0, in sorts of every kind; the first of them stands for both among unique elements."""
    values = np.array([0.0, -0.0, 1.0, -0.0, 0.0, -1.0] * 40)
    wanted = values[np.argsort(values, kind="stable")]
    for kind in (None, "quicksort", "heapsort"):
        assert contract.sort(values, kind=kind).tobytes() == wanted.tobytes()
        assert contract.argsort(values, kind=kind).tolist() == np.argsort(values, kind="stable").tolist()
    assert contract.partition(values, 3).tobytes() == wanted.tobytes()
    assert contract.unique(np.array([2.0, -0.0, 0.0])).tobytes() == np.array([-0.0, 2.0]).tobytes()
    values, index, counts = contract.unique(TIES, return_index=True, return_counts=True)
    assert (values.tolist(), index.tolist(), counts.tolist()) == ([0.0, 1.0, 2.0], [0, 2, 3], [3, 2, 1])


SPECIAL = [0.0, -0.0, 1.0, -1.0, INF, -INF, NAN, 5e-324, -1.7976931348623157e308, 2.5, 0.5]


@pytest.mark.parametrize(
    "name",
    "tan arctan arcsin arccos arcsinh arccosh arctanh cbrt exp log1p tanh square reciprocal sign floor rint".split(),  # noqa: SIM905
)
def test_special_values_of_one_argument(name):
    """Zeros and their signs, infinities and NaN are those of NumPy, with no warning beyond NumPy's own."""
    values = np.array(SPECIAL)
    with np.errstate(all="ignore"):
        assert_same_special(CONTRACT[getattr(np, name)](values), getattr(np, name)(values))


@pytest.mark.parametrize("name", ["arctan2", "hypot", "logaddexp", "logaddexp2", "remainder", "floor_divide", "fmod"])
def test_special_values_of_two_arguments(name):
    """Zeros and their signs, infinities and NaN are those of NumPy."""
    x, y = (grid.reshape(-1) for grid in np.meshgrid(SPECIAL, SPECIAL))
    with np.errstate(all="ignore"):
        assert_same_special(CONTRACT[getattr(np, name)](x, y), getattr(np, name)(x, y))


def assert_same_special(got, want):
    np.testing.assert_allclose(got, want, rtol=1e-14, atol=0)
    assert (np.signbit(got) == np.signbit(want))[~np.isnan(want)].all()


# Powers, remainders, rounding, scaling.


def test_simple_powers_are_one_operation():
    """Whether the exponent is a Python number, a scalar, or an element of an array."""
    x = np.abs(X)
    forms = {2: x * x, 1: x, 0.5: np.sqrt(x), -1: 1 / x}
    for exponent, want in forms.items():
        for y in (exponent, float(exponent), np.float64(exponent), np.array(float(exponent))):
            assert signature(pointwise.power(x, y)) == signature(want)
    mixed = np.broadcast_to(np.array([2.0, 1.0, 0.5, -1.0, 2.5]), x.shape)
    together = pointwise.power(x, mixed)
    for i, exponent in enumerate((2.0, 1.0, 0.5, -1.0, 2.5)):
        assert signature(together[:, i]) == signature(pointwise.power(x[:, i], exponent))
    assert pointwise.power(INTEGERS, 3).tolist() == (INTEGERS**3).tolist()
    single = x.astype(np.float32)
    assert pointwise.power(single, 2).dtype == pointwise.power(single, 1.5).dtype == np.float32


def test_remainders_and_quotients_are_exact():
    """Against Python's fractions: x = floor(x / y) * y + remainder, where the remainder is a float."""
    random = np.random.RandomState(3)
    x = np.ldexp(random.randint(-(2**52), 2**52, 300).astype(float), random.randint(-60, 0, 300))
    y = np.ldexp(random.randint(1, 2**52, 300).astype(float), random.randint(-60, -30, 300)) * random.choice(
        [-1, 1], 300
    )
    quotient, rest = pointwise.divmod_(x, y)
    for a, b, q, r in zip(x.tolist(), y.tolist(), quotient.tolist(), rest.tolist(), strict=True):
        exact_rest = Fraction(a) % Fraction(b)
        assert r == float(exact_rest)
        assert q == math.floor(Fraction(a) / Fraction(b)) or abs(q) > 2.0**53 or r in (0.0, b)
    assert signature(pointwise.remainder(x, y)) == signature(rest)
    assert signature(pointwise.floor_divide(x, y)) == signature(quotient)


def test_ldexp_rounds_once():
    """Into subnormal numbers, too, and over the whole range of exponents."""
    random = np.random.RandomState(5)
    x = np.ldexp(random.randint(2**52, 2**53, 400).astype(float), random.randint(-1126, 900, 400))
    n = random.randint(-2200, 2200, 400)
    n[:200] = -1040 - np.frexp(x)[1][:200] - random.randint(0, 40, 200)
    for value, power, got in zip(x.tolist(), n.tolist(), pointwise.ldexp(x, n).tolist(), strict=True):
        exact = Fraction(value) * Fraction(2) ** power
        assert got == (float(exact) if exact < Fraction(2) ** 1024 else INF)
    assert pointwise.ldexp(np.float32(3), 2) == 12
    with pytest.raises(ArgumentError, match="integers"):
        pointwise.ldexp(X, 0.5)


def test_what_c_leaves_open_is_fixed_or_refused():
    """The exponent of infinity is 0; only numbers that an integer dtype can hold become integers."""
    assert pointwise.frexp(np.array([INF, -INF, NAN, 3.0]))[1].tolist() == [0, 0, 0, 2]
    assert pointwise.converted(np.array([-1.9, 2.0**62, -(2.0**63)]), np.int64).tolist() == [-1, 2**62, -(2**63)]
    assert pointwise.converted(np.array([255.9, -0.9], np.float32), np.uint8).tolist() == [255, 0]
    assert pointwise.converted(np.array([2.5], np.float16), np.int64).tolist() == [2]
    for value, dtype in ((NAN, int), (INF, int), (2.0**63, int), (256.0, np.uint8), (-1.0, np.uint8), (2.0**64, "u8")):
        with pytest.raises(ArgumentError, match="hold"):
            pointwise.converted(np.array([value]), dtype)
    with pytest.raises(DtypeError):
        pointwise.converted(X, complex)


def test_gradient_follows_the_documented_formulas():
    """Bit for bit, of even and uneven steps."""
    f, h, x = real(9), 0.3, np.cumsum(np.abs(real(9, seed=1)) + 0.5)
    even = CONTRACT[np.gradient](f, h, edge_order=2)
    assert even[1:-1].tolist() == ((f[2:] - f[:-2]) / (2 * h)).tolist()
    assert even[0] == -1.5 / h * f[0] + 2 / h * f[1] + -0.5 / h * f[2]
    assert even[-1] == 0.5 / h * f[-3] + -2 / h * f[-2] + 1.5 / h * f[-1]
    uneven = CONTRACT[np.gradient](f, x, edge_order=2)
    h, k = np.diff(x)[:-1], np.diff(x)[1:]
    a, b, c = -k / (h * (h + k)), (k - h) / (h * k), h / (k * (h + k))
    assert uneven[1:-1].tolist() == (a * f[:-2] + b * f[1:-1] + c * f[2:]).tolist()
    h, k = h[0], k[0]
    assert uneven[0] == -(2 * h + k) / (h * (h + k)) * f[0] + (h + k) / (h * k) * f[1] + -h / (k * (h + k)) * f[2]


def test_rounding_to_decimals():
    """As it is written: scaled, rounded to even, scaled back."""
    assert pointwise.rounded(np.array([0.125, 2.5, -1.005]), 2).tolist() == [0.12, 2.5, -1.0]
    assert pointwise.rounded(np.array([25.0, 35.0]), -1).tolist() == [20.0, 40.0]


# Arguments.


def test_python_numbers_have_no_say_in_the_dtype():
    """As in NumPy 2, on every version; an array without dimensions has as any other."""
    for single in (np.float32(1.5), np.array(1.5, np.float32), np.ones(3, np.float32)):
        for function in (np.add, np.maximum, np.power, np.arctan2, np.logaddexp, np.hypot, np.remainder, np.fmod):
            assert CONTRACT[function](single, 0.1).dtype == np.float32
            assert CONTRACT[function](0.1, single).dtype == np.float32
            assert CONTRACT[function](single, np.float64(0.1)).dtype == np.float64
        assert CONTRACT[np.where](True, single, 0.0).dtype == np.float32
        assert CONTRACT[np.choose](1, [single, 0.1]).dtype == np.float32
        assert CONTRACT[np.select]([single > 9], [single], 0.1).dtype == np.float32
        assert CONTRACT[np.select]([single > 9], [single], np.int32(1)).dtype == np.float64
        assert CONTRACT[np.clip](single, 0.0, 1.0).dtype == np.float32
        assert CONTRACT[np.tanh](single).dtype == sums.mean(single).dtype == np.float32
        assert pointwise.relu(single).dtype == np.float32
    for integer, dtype in ((np.int8, np.float16), (np.int16, np.float32), (np.int64, np.float64), (bool, np.float16)):
        assert CONTRACT[np.exp](np.ones(2, integer)).dtype == dtype
    assert CONTRACT[np.add](np.ones(2, np.int8), 1).dtype == np.int8
    assert CONTRACT[np.add](np.ones(2, np.int8), 0.5).dtype == np.float64


@pytest.mark.parametrize(
    "call",
    [
        lambda: CONTRACT[np.sum](X, out=X), lambda: CONTRACT[np.exp](X, out=X), lambda: CONTRACT[np.clip](X, 0, 1, X),
        lambda: CONTRACT[np.exp](X, where=X > 0), lambda: PRODUCTS[np.einsum]("ij->j", X, order="F"),
        lambda: PRODUCTS[np.matmul](X, X.T, out=X), lambda: contract.pad(X, 1, "linear_ramp"),
        lambda: PRODUCTS[np.linalg.matrix_power](X[:5], -1), lambda: PRODUCTS[np.einsum]("ij,jk->ik", X),
        lambda: PRODUCTS[np.einsum]("ij->ik", X), lambda: PRODUCTS[np.tensordot](X, Y, 1),
        lambda: CONTRACT[(np.logaddexp, "reduce")](np.zeros((0, 2))), lambda: PRODUCTS[np.convolve](X[0], X[1], "x"),
    ],
)  # fmt: skip
def test_what_is_not_taken_is_named(call):
    """An option or a value that portable arithmetic does not take raises before anything is computed."""
    with pytest.raises(ArgumentError, match=r"np\.|pad"):
        call()


def test_complex_and_long_numbers_are_refused():
    """Where portable arithmetic computes by itself."""
    for bad in (np.ones(2, complex), np.ones(2, np.longdouble)):
        for function in (np.sum, np.mean, np.exp, np.arctan, np.power, np.var):
            with pytest.raises(DtypeError):
                CONTRACT[function](*([bad, 2.5] if function is np.power else [bad]))
