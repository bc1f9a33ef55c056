"""Programs whose bits must be the same everywhere, and the matrix of conditions under which they are run.

`python -m portability.programs` prints the digests of the programs as JSON; it needs NumPy, attrs and toolz alone.
"""
