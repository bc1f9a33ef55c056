"""Portable error functions, and the inverse of the normal distribution."""

from __future__ import annotations

import numpy as np

from purenet.arithmetic import kernels
from purenet.arithmetic.elementary import log
from purenet.arithmetic.elementwise import Vector, canonical_nan, elementwise, power_of_two, scaled

ERF_SMALL = (
    5.957176147748911e-11,
    -1.1372848856791674e-09,
    1.4659775274047436e-08,
    -1.6350312701054695e-07,
    1.6461000484121368e-06,
    -1.4925595266831182e-05,
    0.0001205533111164271,
    -0.000854832698083379,
    0.0052239776248180145,
    -0.026866170645076792,
    0.11283791670954879,
    -0.3761263890318375,
    0.1283791670955126,
)
"""erf(x) / x - 1 in z = x**2, for |x| <= 1: interpolation at Chebyshev nodes."""

ERF_LARGE = (
    4.7841387941070134e-12,
    -3.623255294243442e-11,
    7.15563802847271e-11,
    2.548015501049823e-10,
    -2.608736756989698e-09,
    1.3994928016697192e-08,
    -5.769779400607454e-08,
    1.7316526303135208e-07,
    -2.0372651863594933e-07,
    -1.9521823277025788e-06,
    2.0706471050943394e-05,
    -0.0001353093323374192,
    0.0007323993775936622,
    -0.0035707563476171157,
    0.01646511813745695,
    0.9237508418239381,
    4.418160805994411,
    5.364941264616636,
)
"""-log(1 - erf(x)) in x - 2, for 1 <= x <= 6: least squares at 80 Chebyshev nodes with weight 1 - erf(x)."""

ERFC_CENTRE = 3.0
ERFC = (
    -1.0672595214976916e-09,
    -6.467844455782987e-09,
    -5.756503996147508e-09,
    4.1134756392158016e-08,
    8.977480611608504e-08,
    -1.4410354379681688e-07,
    -6.056586389337659e-07,
    3.6066863475424126e-07,
    3.4661596712796173e-06,
    -7.34163165466839e-07,
    -2.0098253837625926e-05,
    4.950552349634667e-06,
    0.0001250987929274765,
    -0.00010516006241299548,
    -0.000779832185525928,
    0.0018886903981696801,
    0.002529391807900063,
    -0.023770514921937647,
    0.06830802734440604,
    -0.11927366341516857,
    0.12964515870275026,
    -0.04756229435345306,
    -0.1356211061245811,
)
ERFC_CONSTANT = 1.2530080582697296
ERFC_CONSTANT_TAIL = 5.0692573899256966e-17
"""(1 + 2x) * exp(x**2) * erfc(x) = constant + t * ERFC(t), t = (x - 3) / (x + 3), for 0 <= x <= 28: interpolation at
Chebyshev nodes. The form, nearly constant, is that of Shepherd and Laframboise, Math. Comp. 36 (1981)."""

# Wichura, Algorithm AS 241 (PPND16), Applied Statistics 37 (1988): numerators and denominators of its three regions.
CENTRAL = (
    (
        2.5090809287301226727e3,
        3.3430575583588128105e4,
        6.7265770927008700853e4,
        4.5921953931549871457e4,
        1.3731693765509461125e4,
        1.9715909503065514427e3,
        1.3314166789178437745e2,
        3.3871328727963666080e0,
    ),
    (
        5.2264952788528545610e3,
        2.8729085735721942674e4,
        3.9307895800092710610e4,
        2.1213794301586595867e4,
        5.3941960214247511077e3,
        6.8718700749205790830e2,
        4.2313330701600911252e1,
        1.0,
    ),
)
OUTER = (
    (
        7.74545014278341407640e-4,
        2.27238449892691845833e-2,
        2.41780725177450611770e-1,
        1.27045825245236838258e0,
        3.64784832476320460504e0,
        5.76949722146069140550e0,
        4.63033784615654529590e0,
        1.42343711074968357734e0,
    ),
    (
        1.05075007164441684324e-9,
        5.47593808499534494600e-4,
        1.51986665636164571966e-2,
        1.48103976427480074590e-1,
        6.89767334985100004550e-1,
        1.67638483018380384940e0,
        2.05319162663775882187e0,
        1.0,
    ),
)
FAR = (
    (
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        1.24266094738807843860e-3,
        2.65321895265761230930e-2,
        2.96560571828504891230e-1,
        1.78482653991729133580e0,
        5.46378491116411436990e0,
        6.65790464350110377720e0,
    ),
    (
        2.04426310338993978564e-15,
        1.42151175831644588870e-7,
        1.84631831751005468180e-5,
        7.86869131145613259100e-4,
        1.48753612908506148525e-2,
        1.36929880922735805310e-1,
        5.99832206555887937690e-1,
        1.0,
    ),
)


@elementwise
def erf(x: Vector) -> Vector:
    """The error function, 2 / sqrt(pi) * integral of exp(-t**2) from 0 to `x`; keeps the sign of zero."""
    size = np.minimum(np.abs(x), 6.0)  # each element has the bits of its own form, whatever else its block needs
    if size.max() <= 1.0:
        y = _erf_small(size)
    elif size.min() > 1.0:
        y = _erf_large(size)
    else:
        y = np.where(size <= 1.0, _erf_small(size), _erf_large(np.maximum(size, 1.0)))
    np.copysign(y, x, out=y)
    return y if x.max() <= np.inf else canonical_nan(y)


def _erf_small(size: Vector) -> Vector:
    y: Vector = kernels.horner(size * size, ERF_SMALL)
    y *= size
    y += size
    return y


def _erf_large(size: Vector) -> Vector:
    exponent = kernels.horner(size - 2.0, ERF_LARGE)
    k, r, p = kernels.reduce_exp(np.negative(exponent, out=exponent))
    y: Vector = r + p
    y += 1.0
    y *= power_of_two(k)
    y -= 1.0
    return np.negative(y, out=y)


@elementwise
def erfc(x: Vector) -> Vector:
    """1 - erf(x), with no loss for large `x`."""
    size = np.minimum(np.abs(x), 28.0)
    t = (size - ERFC_CENTRE) / (size + ERFC_CENTRE)
    form, form_low = kernels.fast_two_sum(ERFC_CONSTANT, kernels.horner(t, ERFC) * t + ERFC_CONSTANT_TAIL)
    square, square_low = kernels.two_product(size, size)
    k, r, p = kernels.reduce_exp(-square, -square_low)
    gauss, gauss_low = kernels.exp_pair(r, p)
    high, low = kernels.two_product(form, gauss)
    low += form * gauss_low
    low += form_low * gauss
    divisor, divisor_low = kernels.two_sum(2.0 * size, 1.0)
    y = scaled(kernels.quotient(high, low, divisor, divisor_low), k)
    np.subtract(2.0, y, out=y, where=x < 0.0)
    if not size.min() > 0.5:
        y = np.where(size <= 0.5, 1.0 - np.copysign(_erf_small(np.minimum(size, 0.5)), x), y)
    return canonical_nan(y)


@elementwise
def normal_quantile(p: Vector) -> Vector:
    """The number that a standard normal variable falls below with probability `p`; NaN outside [0, 1].

    Good to 2e-15 of its value. normal_quantile(0) = -inf, normal_quantile(1) = inf.
    References:
        Wichura, Algorithm AS 241: the percentage points of the normal distribution, Applied Statistics 37 (1988).
    """
    y = _quantile(p - 0.5, np.minimum(p, 1.0 - p))
    y[~((p >= 0.0) & (p <= 1.0))] = np.nan
    return y


@elementwise
def normal_quantile_about_half(q: Vector) -> Vector:
    """`normal_quantile(1/2 + q)`, exactly odd, for probabilities that need more bits near 1 than a float has."""
    return _quantile(q, 0.5 - np.abs(q))


def _quantile(q: Vector, tail: Vector) -> Vector:
    """The quantile at 1/2 + q, `tail` being the smaller of the probabilities below and above it."""
    y = _ratio(0.180625 - q * q, CENTRAL)
    y *= q
    outer = np.flatnonzero(np.abs(q) > 0.425)
    if outer.size:
        y[outer] = np.copysign(_tail_quantile(tail[outer]), q[outer])
    return y


def _tail_quantile(tail: Vector) -> Vector:
    """How far out a normal variable lies beyond which there is the probability `tail`."""
    r = np.sqrt(-log(tail))
    y = _ratio(r - 1.6, OUTER)
    far = np.flatnonzero(r > 5.0)
    if far.size:
        y[far] = _ratio(r[far] - 5.0, FAR)
        y[tail == 0.0] = np.inf
    return y


def _ratio(z: Vector, coefficients: tuple[tuple[float, ...], tuple[float, ...]]) -> Vector:
    y: Vector = kernels.horner(z, coefficients[0])
    y /= kernels.horner(z, coefficients[1])
    return y
