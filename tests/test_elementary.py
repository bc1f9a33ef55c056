"""The portable elementary functions: as exact as they say, and the same bits however they are called."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from purenet.arithmetic import elementary as elementary_module, kernels, scalar, special
from purenet.arithmetic.scalar import reduce_large_angle
from purenet.errors import ArgumentError, DtypeError

ARITHMETIC = Path(special.__file__).parent


def public_functions(module):
    """The functions that a module defines for others, by name."""
    own = {name: value for name, value in vars(module).items() if inspect.isfunction(value) and name[0] != "_"}
    return {name: value for name, value in own.items() if value.__module__ == module.__name__}


elementary = SimpleNamespace(**public_functions(elementary_module), **public_functions(special))

INF, NAN = math.inf, math.nan
TINY, SMALLEST, HUGE = 2.2250738585072014e-308, 5e-324, 1.7976931348623157e308

COMMON = [0.5, 1.0, -1.0, 0.1, -0.3, 1e-5, -1e-9, 1e-300, 3e-310, 2.5, -7.25, 21.7, -33.3]
POSITIVE = [0.5, 1.0, 2.0, 0.1, 10.0, 1000.0, 0.9999999, 1.0000001, 0.7071067811865476, 1.4142135623730951, 3e-310]
ANGLES = [3.141592653589793, 1.5707963267948966, 22.0, 1e5, 1048576.0, 1048577.5, 1e22, -1e300, HUGE]
ANGLES += [6381956970095103 * 2.0**797]  # of all float64 the closest to a multiple of pi / 2
POINTS = {
    "exp": [*COMMON, 709.78, -708.5, -745.1, 700.0, 0.34657359, 0.34657360],
    "exp2": [*COMMON, 1023.5, -1022.5, -1074.0, -1060.3],
    "expm1": [*COMMON, 709.78, -50.0, 0.36],
    "log": [*POSITIVE, HUGE],
    "log2": [*POSITIVE, HUGE],
    "log10": [*POSITIVE, HUGE],
    "log1p": [0.5, 1.0, -0.5, 0.1, -0.3, 1e-5, -1e-9, 1e-300, 3e-310, -0.9999999999999999, 21.7, 1e15, HUGE],
    "tanh": [*COMMON, 0.55, -19.0],
    "sigmoid": [*COMMON, -745.1, -710.0, 40.0],
    "softplus": [*COMMON, -745.1, -710.0, 40.0, 750.0],
    "erf": [*COMMON, 0.99, 1.01, 3.0, -5.9, 6.5],
    "erfc": [*COMMON, 0.49, 0.51, 3.0, 26.0, 27.2, -5.0],
    "sin": [*COMMON, *ANGLES],
    "cos": [*COMMON, *ANGLES],
    "sinh": [*COMMON, 710.0, -39.9, 40.1, 710.4],
    "cosh": [*COMMON, 710.0, -39.9, 40.1, 710.4],
    "normal_quantile": [0.5, 0.25, 0.975, 0.07, 0.0001, 1e-12, 1e-300, 0.9999999999999999, 0.49999999999],
}
POWER_POINTS = [
    (2.0, 0.5), (0.5, 1074.0), (10.0, 308.0), (10.0, -323.0), (0.999, 1e5), (1.0000000000000002, 1e18), (1e300, 1e-5),
    (3e-310, 0.3), (0.7, -3.3), (1.5, 1000.0), (-3.0, 5.0), (-3.0, 4.0), (0.9, 12.0), (1e-5, 0.25), (123.456, -7.5),
]  # fmt: skip
FUNCTIONS = sorted(POINTS)
SCALARS = ["cos", "exp", "log"]


def golden():
    """What `golden/write_elementary.py` has written."""
    return json.loads((Path(__file__).parent / "golden" / "elementary.json").read_text(encoding="utf-8"))


def exact_functions():
    """The functions as mpmath has them, at its present precision."""
    try:
        import mpmath as mp
    except ImportError:
        return {}

    def quantile(p):
        x = mp.mpf(float(elementary.normal_quantile(float(p))))
        for _ in range(7):  # Newton's iteration, from a start that is right to 15 digits
            x -= (mp.erfc(-x / mp.sqrt(2)) / 2 - p) * mp.sqrt(2 * mp.pi) * mp.exp(x * x / 2)
        return x

    exact = {name: getattr(mp, name) for name in FUNCTIONS if hasattr(mp, name) and name not in ("exp2", "log2")}
    return exact | {
        "exp2": lambda x: mp.mpf(2) ** x,
        "log2": lambda x: mp.log(x) / mp.log(2),
        "log10": lambda x: mp.log(x) / mp.log(10),
        "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
        "softplus": lambda x: mp.log1p(mp.exp(x)),
        "normal_quantile": quantile,
    }


EXACT = exact_functions()


def bits(x):
    return np.asarray(x, np.float64).view(np.uint64).tolist()


def units(got, want):
    """How many units in the last place `got` is from the correctly rounded `want`."""
    if got == want:
        return 0.0
    return abs(got - want) / math.ulp(want)


def patterns(count=4000):
    """Floats of every size, sign and kind: random bit patterns, and an even grid where the functions vary most."""
    words = np.random.Philox(key=1, counter=0).random_raw(count)
    grid = np.arange(-count, count) / 128.0 + 2.0**-40
    return np.concatenate([words.view(np.float64), grid, [0.0, -0.0, INF, -INF, NAN, 1.0, -1.0, SMALLEST, TINY, HUGE]])


def sweep_digests():
    """SHA-256 of the results of every function over `patterns`, little-endian."""
    x = patterns()
    results = {name: getattr(elementary, name)(x) for name in [*FUNCTIONS, "normal_quantile_about_half"]}
    results["power"] = elementary.power(x, np.roll(x, 1))
    results["power of grid"] = elementary.power(np.abs(x), np.roll(x, 4011))
    return {name: hashlib.sha256(y.astype("<f8").tobytes()).hexdigest() for name, y in results.items()}


def test_public_names():
    """Every function that is tested is public, and the other way round."""
    assert set(vars(elementary)) == {*FUNCTIONS, "power", "normal_quantile_about_half"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_exact_values(name):
    """Within 2 units of the last place of the stored exact values (normal_quantile: 2e-15 of the value)."""
    table = golden()["values"][name]
    assert len(table) == len(POINTS[name])
    for x, want in table:
        x, want = float.fromhex(x), float.fromhex(want)
        got = float(getattr(elementary, name)(x))
        assert units(got, want) <= (9 if name == "normal_quantile" else 2), (x, got, want)


def test_exact_powers():
    """Powers within 2 units of the last place of the stored exact values."""
    for x, y, want in golden()["power"]:
        x, y, want = float.fromhex(x), float.fromhex(y), float.fromhex(want)
        assert units(float(elementary.power(x, y)), want) <= 2, (x, y)


def test_checker_rejects():
    """The measure used above does reject a value that is 3 units off."""
    assert units(1.0 + 3 * 2.0**-52, 1.0) == 3.0
    assert units(2 * SMALLEST, SMALLEST) == 1.0


def test_golden_digests():
    """Not a bit has changed since the contract was written."""
    assert sweep_digests() == golden()["digests"]


def ranges(name, draw):
    """Random arguments over the range of a function: where it varies, near its limits, and of every size."""

    def even(low, high):
        return draw.uniform(low, high, 60)

    def sizes(low, high):
        return np.exp2(even(low, high)) * draw.choice([-1.0, 1.0], 60)

    if name in ("log", "log2", "log10"):
        return [even(0.5, 2.0), np.abs(sizes(-1074, 1024)), 1 + sizes(-52, -1)]
    if name == "log1p":
        return [even(-1, 2), np.abs(sizes(-1074, 1024)), sizes(-60, -0.1), -1 + np.abs(sizes(-52, -1))]
    if name == "normal_quantile":
        return [even(0, 1), np.abs(sizes(-1000, -1)), 0.5 + sizes(-45, -1.01)]
    if name in ("sin", "cos"):
        return [even(-1, 1), even(-1e6, 1e6), sizes(-1074, 1023), np.arange(1, 60) * math.pi / 2]
    limits = {"exp": 745, "exp2": 1074, "expm1": 709, "sinh": 710.4, "cosh": 710.4, "erfc": 27.2, "erf": 6.5}
    limit = limits.get(name, 745)
    return [even(-1, 1), even(-limit, min(limit, 709)), sizes(-1074, 4), even(-6, 6), even(0.3, 1.2)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_against_mpmath(name):
    """Within 2 units of the last place of mpmath at random arguments over the whole range."""
    mp = pytest.importorskip("mpmath")
    x = np.concatenate(ranges(name, np.random.RandomState(7)))
    y = getattr(elementary, name)(x)
    limit = 9 if name == "normal_quantile" else 2
    with mp.workprec(1300 if name in ("sin", "cos") else 1200 if name in ("expm1", "sinh", "tanh") else 300):
        for a, b in zip(x.tolist(), y.tolist(), strict=True):
            want = EXACT[name](mp.mpf(a))
            if abs(want) > mp.mpf(HUGE):
                assert b == math.copysign(INF, float(mp.sign(want)))
                continue
            unit = mp.mpf(2) ** max(int(mp.frexp(want)[1]) - 53, -1074)
            assert abs(mp.mpf(b) - want) <= limit * unit, (a, b, want)


def test_power_against_mpmath():
    """Powers within 2 units of the last place of mpmath, up to overflow and underflow."""
    mp = pytest.importorskip("mpmath")
    draw = np.random.RandomState(8)
    near_one = 1 + draw.uniform(-0.5, 1, 150) * 2.0 ** -np.arange(150)
    x = np.concatenate([np.exp2(draw.uniform(-1074, 1024, 150)), near_one])
    x[x == 1.0] = 1.5
    y = draw.uniform(-745, 709, 300) / elementary.log(x)
    y[::5] = draw.uniform(-0.9, 0.9, 60)
    z = elementary.power(x, y)
    with mp.workprec(200):
        for a, b, c in zip(x.tolist(), y.tolist(), z.tolist(), strict=True):
            want = mp.mpf(a) ** mp.mpf(b)
            unit = mp.mpf(2) ** max(int(mp.frexp(want)[1]) - 53, -1074)
            assert abs(mp.mpf(c) - want) <= 2 * unit, (a, b, c)


SPECIAL = {
    "exp": [(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (710.0, INF), (-746.0, 0.0), (-745.13, SMALLEST)],
    "exp2": [(0.0, 1.0), (INF, INF), (-INF, 0.0), (1024.0, INF), (-1075.5, 0.0), (10.0, 1024.0), (-1074.0, SMALLEST)],
    "expm1": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -1.0), (SMALLEST, SMALLEST), (-1e3, -1.0), (710.0, INF)],
    "log": [(0.0, -INF), (-0.0, -INF), (1.0, 0.0), (INF, INF), (-1.0, NAN), (-INF, NAN), (-SMALLEST, NAN)],
    "log2": [(0.0, -INF), (1.0, 0.0), (8.0, 3.0), (SMALLEST, -1074.0), (INF, INF), (-1.0, NAN)],
    "log10": [(0.0, -INF), (1.0, 0.0), (1e22, 22.0), (0.001, -3.0), (INF, INF), (-1.0, NAN)],
    "log1p": [(0.0, 0.0), (-0.0, -0.0), (-1.0, -INF), (INF, INF), (-1.5, NAN), (-INF, NAN), (SMALLEST, SMALLEST)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (1e300, 1.0), (SMALLEST, SMALLEST), (-TINY, -TINY)],
    "sigmoid": [(0.0, 0.5), (-0.0, 0.5), (INF, 1.0), (-INF, 0.0), (1e4, 1.0), (-1e4, 0.0)],
    "softplus": [(INF, INF), (-INF, 0.0), (1e4, 1e4), (-1e4, 0.0), (HUGE, HUGE)],
    "erf": [(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (7.0, 1.0), (-7.0, -1.0)],
    "erfc": [(0.0, 1.0), (INF, 0.0), (-INF, 2.0), (28.0, 0.0), (-7.0, 2.0)],
    "sin": [(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN), (SMALLEST, SMALLEST)],
    "cos": [(0.0, 1.0), (-0.0, 1.0), (INF, NAN), (-INF, NAN), (SMALLEST, 1.0)],
    "sinh": [(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (711.0, INF), (SMALLEST, SMALLEST)],
    "cosh": [(0.0, 1.0), (INF, INF), (-INF, INF), (-711.0, INF), (SMALLEST, 1.0)],
    "normal_quantile": [(0.0, -INF), (1.0, INF), (0.5, 0.0), (-0.1, NAN), (1.1, NAN), (INF, NAN), (-INF, NAN)],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_values(name):
    """Zeros, infinities and limits give the documented bits, even where all floating-point errors are to be raised."""
    f = getattr(elementary, name)
    with np.errstate(all="raise"):
        for x, want in SPECIAL[name]:
            assert bits(f(x)) == bits(want), (x, float(f(x)), want)
            assert bits(f(np.array([0.25, x, 0.5]))[1]) == bits(want)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_nan_is_canonical(name):
    """Any NaN in gives the one NaN out, whatever its sign and payload."""
    odd = np.array([0x7FF8000000000000, 0xFFF8000000000000, 0x7FF80000DEADBEEF, 0xFFF0000000000001], np.uint64)
    got = getattr(elementary, name)(odd.view(np.float64))
    assert bits(got) == bits(np.full(4, np.nan))
    assert bits(elementary.power(odd.view(np.float64), 2.0)) == bits(np.full(4, np.nan))


POWER_SPECIAL = [
    (NAN, 0.0, 1.0), (1.0, NAN, 1.0), (1.0, INF, 1.0), (-1.0, INF, 1.0), (-1.0, -INF, 1.0), (0.5, INF, 0.0),
    (0.5, -INF, INF), (2.0, INF, INF), (2.0, -INF, 0.0), (0.0, 3.0, 0.0), (-0.0, 3.0, -0.0), (-0.0, 2.0, 0.0),
    (0.0, -1.0, INF), (-0.0, -1.0, -INF), (-0.0, -2.0, INF), (-0.0, -0.5, INF), (INF, 2.0, INF), (INF, -2.0, 0.0),
    (-INF, 3.0, -INF), (-INF, 2.0, INF), (-INF, -3.0, -0.0), (-INF, 0.5, INF), (-2.0, 0.5, NAN), (-2.0, 3.0, -8.0),
    (-2.0, 2.0, 4.0), (NAN, 1.0, NAN), (2.0, NAN, NAN), (2.0, 1e300, INF), (2.0, -1e300, 0.0), (-2.0, 1e300, INF),
    (2.0, -1074.0, SMALLEST), (2.0, -1075.5, 0.0), (2.0, 1024.0, INF), (HUGE, 1.0, HUGE), (SMALLEST, 1.0, SMALLEST),
    (0.9999999999999999, 1e300, 0.0), (-1.0, 9007199254740993.0, 1.0), (-1.0, 9007199254740991.0, -1.0),
]  # fmt: skip


def test_power_special_values():
    """The special values of IEEE 754's pow."""
    with np.errstate(all="raise"):
        for x, y, want in POWER_SPECIAL:
            assert bits(elementary.power(x, y)) == bits(want), (x, y)
    columns = np.array(POWER_SPECIAL).T
    assert bits(elementary.power(columns[0], columns[1])) == bits(columns[2])


@pytest.mark.parametrize("name", SCALARS)
def test_scalar_has_the_bits_of_the_array(name):
    """A function of Python floats gives the very bits of the array function."""
    x = patterns(3000)
    f = getattr(scalar, name)
    assert bits([f(v) for v in x.tolist()]) == bits(getattr(elementary, name)(x))


def test_integer_power():
    """Repeated squaring from the lowest bit, as documented; exact where the power is."""
    assert scalar.integer_power(3.0, 0) == 1.0
    assert [scalar.integer_power(2.0, n) for n in (1, 10, 1000)] == [2.0, 1024.0, 2.0**1000]
    square = 0.999 * 0.999
    assert scalar.integer_power(0.999, 5) == 0.999 * (square * square)
    for n in (7, 100, 12345, 10**6):
        assert scalar.integer_power(0.9999, n) == pytest.approx(float(elementary.power(0.9999, n)), rel=1e-10)
    assert scalar.integer_power(1e200, 5) == INF
    with pytest.raises(ArgumentError, match="n >= 0"):
        scalar.integer_power(0.9, -1)


@pytest.mark.parametrize("name", [*FUNCTIONS, "normal_quantile_about_half"])
def test_bits_do_not_depend_on_the_call(name):
    """Each element has the same bits alone, in any slice, stride, shape, byte order and length of array."""
    f = getattr(elementary, name)
    x = np.tile(patterns(800), 13)[:30000]
    if name in ("sin", "cos"):
        x = np.where(np.abs(x) < 1e6, x, 3.0)
    kept = x.tobytes()
    want = bits(f(x))
    x.flags.writeable = False
    assert bits(f(x)) == want
    assert x.tobytes() == kept
    assert bits(f(x[::-1])[::-1]) == want
    assert bits(f(x[::7])) == want[::7]
    assert bits(f(x.reshape(100, 300).T).T.ravel()) == want
    assert bits(f(x.astype(">f8"))) == want
    for start, stop in ((0, 1), (5, 8), (4095, 4099), (10, 9000), (29_999, 30_000)):
        assert bits(f(x[start:stop])) == want[start:stop]
    assert bits([f(v) for v in x[:300].tolist()]) == want[:300]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_narrow_floats_are_rounded_once(name):
    """float32 and float16 results are the float64 results rounded."""
    f = getattr(elementary, name)
    for dtype in (np.float32, np.float16):
        x = np.concatenate([np.linspace(-30, 30, 601), [0.0, -0.0, INF, -INF, NAN, 100.0, -100.0]]).astype(dtype)
        y = f(x)
        assert y.dtype == dtype
        with np.errstate(over="ignore"):
            assert y.tobytes() == f(x.astype(np.float64)).astype(dtype).tobytes()


def test_dtypes_and_shapes():
    """Integers count as float64, numbers give scalars, Python numbers follow arrays, shapes are kept and broadcast."""
    assert elementary.exp(np.arange(3)).dtype == np.float64
    assert elementary.exp(np.array([True, False])).dtype == np.float64
    assert isinstance(elementary.exp(1), np.float64)
    assert isinstance(elementary.exp(np.float32(1)), np.float32)
    assert elementary.exp(np.zeros((2, 0, 3))).shape == (2, 0, 3)
    assert elementary.exp([[1.0, 2.0]]).shape == (1, 2)
    assert elementary.power(np.ones(3, np.float32), 2).dtype == np.float32
    assert elementary.power(np.ones(3, np.float32), 2.5).dtype == np.float32
    assert elementary.power(np.ones(3, np.float32), np.float64(2)).dtype == np.float64
    assert elementary.power(2.0, np.ones((2, 1)) * np.ones(3)).shape == (2, 3)
    assert elementary.power(np.ones((2, 1)), np.ones(3)).shape == (2, 3)


@pytest.mark.parametrize("bad", [np.ones(2, complex), np.array(["a"]), np.array([None]), np.ones(1, np.longdouble)])
def test_other_dtypes_are_refused(bad):
    """What is not real, or wider than float64, is refused by name."""
    if bad.dtype == np.float64:
        pytest.skip("long double is float64 here")
    with pytest.raises(DtypeError, match=str(bad.dtype)):
        elementary.exp(bad)


def test_symmetries():
    """Odd functions are odd and even ones even, bit for bit; complements add up."""
    x = patterns(500)
    x = x[(x == x) & (np.abs(x) < 1e6)]
    for name in ("tanh", "sinh", "erf", "sin"):
        assert bits(getattr(elementary, name)(-x)) == bits(-getattr(elementary, name)(x))
    for name in ("cosh", "cos"):
        assert bits(getattr(elementary, name)(-x)) == bits(getattr(elementary, name)(x))
    q = np.linspace(0, 0.5, 999)
    assert bits(elementary.normal_quantile_about_half(-q)) == bits(-elementary.normal_quantile_about_half(q))
    assert np.abs(elementary.erf(x) + elementary.erfc(x) - 1.0).max() <= 2.0**-52
    assert np.abs(elementary.sigmoid(x) + elementary.sigmoid(-x) - 1.0).max() <= 2.0**-52


def test_large_angles_agree_with_small_ones():
    """Integer reduction and reduction in pieces give the same angle where both work."""
    for x in np.random.RandomState(5).uniform(-1e6, 1e6, 200).tolist():
        quadrant, r, error = reduce_large_angle(x)
        k, r_pieces, error_pieces = kernels.reduce_angle(x)
        assert (quadrant, r) == (int(k) & 3, r_pieces)
        assert abs(error - error_pieces) <= 2.0**-90


def interpolation(mp, f, low, high, degree):
    """Coefficients of the polynomial through `f` at Chebyshev nodes, highest power first."""
    n = degree + 1
    centre, half = (low + high) / mp.mpf(2), (high - low) / mp.mpf(2)
    nodes = [centre + half * mp.cos((2 * i + 1) * mp.pi / (2 * n)) for i in range(n)]
    matrix = mp.matrix(n, n)
    for i, x in enumerate(nodes):
        for j in range(n):
            matrix[i, j] = x**j
    return list(reversed(list(mp.lu_solve(matrix, mp.matrix([f(x) for x in nodes])))))


def test_coefficients_are_what_they_say():
    """Every polynomial is made again from its description, with mpmath, and has the same coefficients."""
    mp = pytest.importorskip("mpmath")
    with mp.workdps(160):
        root = mp.sqrt
        half_ln2 = mp.log(2) / 2 * mp.mpf("1.0001")
        z_log = ((root(2) - 1) / (root(2) + 1)) ** 2
        z_angle = (mp.pi / 4 * mp.mpf("1.0001")) ** 2
        forms = {
            "EXP": (lambda z: (root(z) * mp.coth(root(z) / 2) - 2) / z, 0, half_ln2**2),
            "LOG": (lambda z: 2 * (mp.atanh(root(z)) - root(z)) / root(z) ** 3, 0, z_log),
            "LOG_REST": (lambda z: (mp.atanh(root(z)) / root(z) - 1 - z / 3) / z**2, 0, z_log),
            "SIN": (lambda z: (mp.sin(root(z)) - root(z)) / root(z) ** 3, 0, z_angle),
            "COS": (lambda z: (mp.cos(root(z)) - 1 + z / 2) / z**2, 0, z_angle),
            "ERF_SMALL": (lambda z: mp.erf(root(z)) / root(z) - 1, 0, 1),
        }
        for name, (f, low, high) in forms.items():
            stored = getattr(kernels, name, None) or getattr(special, name)
            assert tuple(map(float, interpolation(mp, f, low, high, len(stored) - 1))) == stored, name


def test_error_function_coefficients_are_what_they_say():
    """The two forms of the error function are made again, with mpmath, and have the same coefficients."""
    mp = pytest.importorskip("mpmath")
    with mp.workdps(70):

        def form(t):
            with mp.workdps(400):
                x = 3 * (1 + t) / (1 - t)
                return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)

        *rest, constant = interpolation(mp, form, -1, mp.mpf(25) / 31, len(special.ERFC))
        assert tuple(map(float, rest)) == special.ERFC
        assert float(constant) == special.ERFC_CONSTANT
        assert float(constant - mp.mpf(special.ERFC_CONSTANT)) == special.ERFC_CONSTANT_TAIL
        nodes = [mp.mpf(7) / 2 + mp.mpf(5) / 2 * mp.cos((2 * i + 1) * mp.pi / 160) for i in range(80)]
        degree = len(special.ERF_LARGE) - 1
        matrix, target = mp.matrix(80, degree + 1), mp.matrix(80, 1)
        for i, x in enumerate(nodes):
            for j in range(degree + 1):
                matrix[i, j] = (x - 2) ** j * mp.erfc(x)
            target[i] = -mp.log(mp.erfc(x)) * mp.erfc(x)
        fitted = mp.lu_solve(matrix.T * matrix, matrix.T * target)
        assert tuple(map(float, reversed(list(fitted)))) == special.ERF_LARGE


def test_constants_are_what_they_say():
    """The constants given in two or more pieces add up to what they stand for, and the high pieces are short."""
    mp = pytest.importorskip("mpmath")
    with mp.workprec(1400):
        half_pi = sum(map(mp.mpf, kernels.HALF_PI_PARTS)) + mp.mpf(kernels.HALF_PI_REST)
        assert abs(half_pi - mp.pi / 2) < mp.mpf(2) ** -156
        assert abs(mp.mpf(kernels.LN2) + mp.mpf(kernels.LN2_TAIL) - mp.log(2)) < mp.mpf(2) ** -108
        assert abs(mp.mpf(kernels.LN2_HIGH) + mp.mpf(kernels.LN2_LOW) - mp.log(2)) < mp.mpf(2) ** -97
        tail = mp.mpf(elementary_module.INVERSE_LN2_TAIL)
        assert abs(mp.mpf(kernels.INVERSE_LN2) + tail - 1 / mp.log(2)) < mp.mpf(2) ** -108
        tail = mp.mpf(elementary_module.INVERSE_LN10_TAIL)
        assert abs(mp.mpf(elementary_module.INVERSE_LN10) + tail - 1 / mp.log(10)) < mp.mpf(2) ** -108
        low = mp.mpf(elementary_module.LOG10_OF_2_LOW)
        assert abs(mp.mpf(elementary_module.LOG10_OF_2_HIGH) + low - mp.log(2, 10)) < mp.mpf(2) ** -97
        assert int(mp.floor(2 / mp.pi * mp.mpf(2) ** 1280)) == scalar.TWO_OVER_PI
        assert int(mp.floor(mp.pi / 2 * mp.mpf(2) ** 192)) == scalar.HALF_PI
    for short, size in [*((part, 33) for part in kernels.HALF_PI_PARTS), (kernels.LN2_HIGH, 42)]:
        assert math.frexp(short)[0] * 2**size % 1 == 0


MODULES = ["elementary", "elementwise", "kernels", "scalar", "special"]
EXACT_NUMPY = {
    "abs", "asarray", "ascontiguousarray", "broadcast_arrays", "clip", "copysign", "dtype", "empty", "errstate",
    "flatnonzero", "float64", "inf", "int64", "maximum", "minimum", "nan", "ndarray", "negative", "rint", "signbit",
    "sqrt", "subtract", "where",
}  # fmt: skip
EXACT_MATH = {"copysign", "floor", "frexp", "inf", "isinf", "ldexp", "nan"}


def test_only_exact_operations():
    """The modules name nothing of NumPy and math but what is exact to the last bit on every machine."""
    for module in MODULES:
        tree = ast.parse((ARITHMETIC / f"{module}.py").read_text(encoding="utf-8"))
        used = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)]
        assert {n.attr for n in used if n.value.id == "np"} <= EXACT_NUMPY
        assert {n.attr for n in used if n.value.id == "math"} <= EXACT_MATH
        imported = [alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names]
        assert set(imported) <= {"numpy", "math"}
        operators = {type(n.op) for n in ast.walk(tree) if isinstance(n, ast.BinOp)}
        assert ast.MatMult not in operators
