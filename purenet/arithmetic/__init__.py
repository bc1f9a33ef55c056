"""The numbers: native and portable arithmetic, and the elementary functions that never change a bit.

`elementary` and `special` have the portable functions for arrays, `scalar` for Python floats; `kernels` has the
polynomials of all.
"""
