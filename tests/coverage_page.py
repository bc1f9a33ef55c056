"""Writes docs/coverage.md, which says what NumPy functions can be differentiated; run it when rules have changed."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Any

import numpy as np
from repository import ROOT

from purenet.transforms.rule import ZeroDerivative
from purenet.transforms.rules import RULES

PAGE = ROOT / "docs" / "coverage.md"
_DISPATCHED = (np.ufunc, type(np.sum))

_INTRODUCTION = """# Coverage of NumPy

What a derivative can be taken of, for every function of `np` and `np.linalg` that takes arrays and lets traced values
take over its calls. This page is generated (`python tests/coverage_page.py`), here from NumPy {version}; functions
that a version of NumPy does not have are simply missing there.

{counts}

All rules work in reverse and in forward mode, to any order, for real floating-point arrays of any shape, with
broadcasting, `axis` (negative, several, None), `keepdims`, and `where=` on reductions. A function that is refused
raises a `MissingRuleError` that names it and shows the few lines that give it a rule.

Beside these: operators, indexing of every kind, iteration, and the array methods of the same names; of the ufunc
methods `reduce` and `accumulate` of `add`, `multiply`, `maximum` and `minimum`, and `outer` of every binary ufunc
with a rule. `np.fft` is refused. `np.array` and `np.asarray` of a traced value are refused, for they would make a
plain array of it: use `np.stack` or `np.concatenate`. So are `out=`, in-place operators, assignment to elements, and
`where=` of a ufunc.

## Conventions

Where a function has no derivative:

| function | convention |
|---|---|
| `absolute`, `fabs`, `hypot`, `arctan2` | 0 at 0 |
| `maximum`, `minimum`, `fmax`, `fmin`, `max`, `min` | ties share the derivative equally |
| `clip` | passed on at the bounds |
| `linalg.norm` (Euclidean, Frobenius, p), `std` | 0 where the result is 0 |
| `sqrt`, `cbrt`, `log` | infinite at 0, with NumPy's warning |
| `power`, by the base | 0 where the exponent is 0 |
| `power`, by the exponent | 0 where the base is 0, NaN where it is negative |
| `prod`, `cumprod`, `linalg.det` | exact, also with zeros and for singular matrices |
| `sort`, `partition`, `unique`, `median` | follow the element that was taken |
| `interp` | the piece to the right at a kink, 0 beyond the ends |
| `linalg.cholesky`, `linalg.eigh`, `linalg.eigvalsh` | of symmetric matrices: the cotangent is symmetric |
| `linalg.eigh`, `linalg.svd` | no contribution between vectors of equal values |
| rounding, comparisons, positions | 0: the result is a plain array |

Limits: `linalg.qr` needs at least as many rows as columns (`reduced` or `r`), `linalg.svd` needs
`full_matrices=False` unless the matrix is square, `pad` knows the modes `constant`, `edge`, `reflect`, `symmetric`
and `wrap`, and complex numbers are refused throughout.
"""

_SECTIONS = {
    "differentiable": "## Differentiable",
    "zero": "## Zero derivative\n\nPiecewise constant: carried out on the plain values.",
    "refused": "## Refused",
}


def public_functions() -> Iterator[tuple[str, Any]]:
    """Every function of `np` and `np.linalg` whose calls a traced value can take over, by name."""
    for prefix, module in (("np", np), ("np.linalg", np.linalg)):
        for name in sorted(vars(module)):
            function = vars(module)[name]
            if not name.startswith("_") and isinstance(function, _DISPATCHED):
                yield f"{prefix}.{name}", function


def kind_of(function: Any) -> str:
    """What the rules make of a function: `differentiable`, `zero` or `refused`."""
    rule = RULES.get(function)
    if rule is None:
        return "refused"
    return "zero" if isinstance(rule, ZeroDerivative) else "differentiable"


def kinds() -> dict[str, str]:
    """The kind of every function, by name."""
    return {name: kind_of(function) for name, function in public_functions()}


def page() -> str:
    """The text of the page."""
    found = kinds()
    counts = ", ".join(f"{list(found.values()).count(kind)} {word}" for kind, word in
                       (("differentiable", "are differentiable"), ("zero", "have derivative zero"),
                        ("refused", "are refused")))  # fmt: skip
    parts = [_INTRODUCTION.format(version=np.__version__, counts=f"Of {len(found)} names {counts}.")]
    for kind, heading in _SECTIONS.items():
        names = [name for name in found if found[name] == kind]
        parts.append(f"{heading}\n")
        for prefix, title in (("np.", "`np`"), ("np.linalg.", "`np.linalg`")):
            mine = [f"`{name.removeprefix(prefix)}`" for name in names if name.rpartition(".")[0] + "." == prefix]
            if mine:
                parts.append(textwrap.fill(f"{title}: {', '.join(mine)}", 118, break_on_hyphens=False) + "\n")
    return "\n".join(parts)


def kinds_on(text: str) -> dict[str, str]:
    """The kind of every function as a page has it."""
    found: dict[str, str] = {}
    for kind, heading in _SECTIONS.items():
        section = text.split(heading.split("\n", 1)[0] + "\n")[1].split("\n## ")[0]
        for prefix, line in re.findall(r"^`(np(?:\.linalg)?)`: (.*?)\n\n", section + "\n\n", re.M | re.S):
            found |= {f"{prefix}.{name}": kind for name in re.findall(r"`(\w+)`", line)}
    return found


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
