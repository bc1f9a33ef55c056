"""Tangent, inverse functions, roots: as exact as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from purenet.arithmetic import inverse


@pytest.mark.parametrize("name", "tan arctan arcsin arccos arcsinh arccosh arctanh".split())  # noqa: SIM905
def test_inverse_functions_are_near_those_of_the_c_library(name):
    """Within 3 units in the last place of Python's own, which are within one of the exact value."""
    domain = {"arcsin": (-1, 1), "arccos": (-1, 1), "arctanh": (-1, 1), "arccosh": (1, 40)}.get(name, (-40, 40))
    x = np.linspace(*domain, 4001)[1:-1]
    if name == "tan":
        x = x / 26
    exact = [getattr(math, name.replace("arc", "a"))(value) for value in x.tolist()]
    got = getattr(inverse, name)(x)
    assert np.max(np.abs(got - exact) / np.spacing(np.abs(exact))) <= 3


def test_inverse_functions_against_mpmath():
    """At most 2 units in the last place, over their whole range."""
    mp = pytest.importorskip("mpmath")
    words = np.random.Philox(key=5, counter=0).random_raw(600)
    anywhere = words.view(np.float64)[np.isfinite(words.view(np.float64))]
    grid = np.arange(-400, 400) / 64 + 2.0**-40
    inside = np.concatenate([grid / 6.5, 1 - 2.0 ** -np.arange(1, 53), 2.0 ** -np.arange(1, 60)])
    everywhere = np.concatenate([anywhere, grid])
    cases = {
        "tan": (mp.tan, everywhere), "arctan": (mp.atan, everywhere), "arcsin": (mp.asin, inside),
        "arccos": (mp.acos, inside), "arcsinh": (mp.asinh, everywhere), "arctanh": (mp.atanh, inside),
        "arccosh": (mp.acosh, np.concatenate([1 + np.abs(grid), 1 + 2.0 ** -np.arange(1, 53), np.abs(anywhere) + 1])),
        "cbrt": (mp.cbrt, np.abs(everywhere)),
    }  # fmt: skip
    with mp.workprec(1400):
        for name, (exact, x) in cases.items():
            for value, got in zip(x.tolist(), getattr(inverse, name)(x).tolist(), strict=True):
                want = exact(mp.mpf(value))
                assert abs(got - want) <= 2 * math.ulp(float(want)), (name, value)
        x, y = everywhere, np.roll(everywhere, 77)
        for name, exact in {"hypot": lambda a, b: mp.sqrt(a * a + b * b), "arctan2": mp.atan2}.items():
            for a, b, got in zip(x.tolist(), y.tolist(), getattr(inverse, name)(x, y).tolist(), strict=True):
                want = exact(mp.mpf(a), mp.mpf(b))
                assert abs(got - want) <= 2 * math.ulp(float(want)) or got == math.inf, (name, a, b)


def test_inverse_coefficients_are_what_they_say():
    """Every polynomial is made again from its description, with mpmath, and has the same coefficients."""
    mp = pytest.importorskip("mpmath")
    from test_elementary import interpolation

    with mp.workdps(160):
        root = mp.sqrt
        forms = {
            "ARCTAN": (lambda z: (mp.atan(root(z)) / root(z) - 1) / z, mp.mpf(49) / 256),
            "ARCSIN": (lambda z: (mp.asin(root(z)) / root(z) - 1) / z, mp.mpf(1) / 4),
        }
        for name, (f, high) in forms.items():
            stored = getattr(inverse, name)
            assert tuple(map(float, interpolation(mp, f, 0, high, len(stored) - 1))) == stored, name
        values = [mp.mpf(0), mp.atan(mp.mpf(1) / 2), mp.pi / 4, mp.atan(mp.mpf(3) / 2), mp.pi / 2]
        assert tuple(map(float, values)) == inverse.ARCTAN_OF_CENTRES
        assert tuple(float(v - mp.mpf(float(v))) for v in values) == inverse.ARCTAN_TAILS
