"""Random expressions of portable arithmetic, and derivatives of such, whose bits must be the same everywhere.

An expression is Python source, so that a difference shows as what one can type; `expression(number)` is fixed by its
number. Nothing is stored: conditions are compared with each other. `python -m portability.fuzz 0 300` prints the
digests of the first 300 as JSON.

Left out is what NumPy 1 does in another dtype, or in another form: `float_power` and `logical_xor` of a float32 with a
Python number, `gradient` with a float32 step, `nonzero` of a number.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Mapping, Sequence
from math import prod
from string import ascii_lowercase
from typing import Any, NamedTuple

import numpy as np

import purenet as pn
from portability import patterns
from portability.drawn import FLOATS, INTEGERS, LAYOUTS, VALUES, Draws, array_of
from purenet.arithmetic import native

Shape = tuple[int, ...]

LARGEST = 40_000
"""So many elements may a value have."""


class Term(NamedTuple):
    """A piece of source, the shape of its value, and whether that is of floats."""

    source: str
    shape: Shape
    floats: bool = True


class Expression(NamedTuple):
    """Source in the names of its operands, these, and a description of them."""

    source: str
    operands: dict[str, Any]
    said: str

    def __str__(self) -> str:
        return f"{self.source} with {self.said}"

    def digest(self, contiguous: bool = False, portable: Any = pn.portable) -> str:
        """The digest of the value, or what is raised; `contiguous` gives the operands another layout.

        The digest is empty if this NumPy lacks one of the functions.
        """
        operands = self.operands
        if contiguous:
            operands = {name: np.array(a.astype(a.dtype.newbyteorder("="))) for name, a in operands.items()}
        names = {"np": np, "pn": pn, "native": native, "portable": portable, **operands}
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                return str(pn.digest(eval(self.source, names)))
        except Exception as error:
            lacking = isinstance(error, AttributeError) and "module 'numpy" in str(error)
            return "" if lacking else f"raises {type(error).__name__}: {error}"


class Writer:
    """Writes an expression step by step, and draws its operands."""

    def __init__(self, draws: Draws, smooth: bool) -> None:
        self.draws = draws
        self.smooth = smooth
        self.operands: dict[str, Any] = {}
        self.constants: set[str] = set()
        self.said: list[str] = []

    # Operands.

    def length(self) -> int:
        return self.draws.pick((1, 2, 3, 3, 4, 5, 7, 8, 9, 16, 17, 33))

    def shape(self) -> Shape:
        """A shape: mostly small, sometimes empty, sometimes large enough for a second thread or block."""
        draws = self.draws
        if draws.chance(0.05):
            return draws.pick(((65, 300), (130, 129), (2100,), (3, 70, 65), (2, 4100), (257, 33)))
        shape = tuple(self.length() for _ in range(draws.pick((0, 1, 1, 2, 2, 2, 2, 3))))
        return (*shape[:-1], 0) if shape and draws.chance(0.02) else shape

    def new(self, shape: Shape, floats: bool = True, constant: float = 0.15) -> Term:
        """A new operand: an argument, or with this chance, unless it is the first, what the function closes over."""
        draws = self.draws
        dtype, kind = draws.pick(FLOATS if floats else INTEGERS), draws.pick(VALUES)
        layout = draws.pick(LAYOUTS) if shape else "C"
        if self.smooth:  # where most derivatives are numbers
            dtype = "float32" if dtype == "float16" else dtype
            kind = kind if draws.chance(0.3) else "ordinary"
        name = ascii_lowercase[len(self.operands)]
        self.operands[name] = array_of(draws, shape, dtype, kind, layout)
        if draws.chance(constant) and len(self.operands) > 1:
            self.constants.add(name)
        lengths = ", ".join(map(str, shape))
        self.said.append(f"{name}: {layout} {kind if floats else 'small'} {dtype}[{lengths}]")
        return Term(name, shape, floats)

    def other(self, shape: Shape, floats: bool = True) -> Term:
        """An operand that can be broadcast with a shape."""
        draws = self.draws
        if draws.chance(0.25):
            return Term(draws.pick(patterns.SCALARS if floats else patterns.INTEGER_SCALARS), ())
        same = [name for name, a in self.operands.items() if a.shape == shape and (a.dtype.kind == "f") == floats]
        if same and draws.chance(0.3):
            return Term(draws.pick(same), shape, floats)
        if draws.chance(0.3):
            shape = tuple([1 if draws.chance(0.4) else n for n in shape])[draws.below(len(shape) + 1) :]
        return self.new(shape, floats)

    # Steps.

    def step(self, x: Term) -> Term:
        """The expression with one more function around it."""
        draws = self.draws
        if not x.floats:
            return self.pair(x, patterns.OF_INTEGERS) if draws.chance(0.6) else Term(f"({x.source}+0.5)", x.shape)
        steps = [self.single, self.single, self.pair, self.product]
        if x.shape:
            steps += [self.movement, self.weighing]
            steps += [self.picking, self.reduction] if 0 not in x.shape else []
        longer = draws.pick(steps)(x)
        return longer if prod(longer.shape) <= LARGEST else x

    def single(self, x: Term) -> Term:
        return Term("(" + self.draws.pick(patterns.SMOOTH).format(x=x.source) + ")", x.shape)

    def pair(self, x: Term, among: Sequence[str] = patterns.SMOOTH_PAIRS) -> Term:
        y = self.other(x.shape, x.floats)
        shape = np.broadcast_shapes(x.shape, y.shape)
        return Term("(" + self.draws.pick(among).format(x=x.source, y=y.source) + ")", shape, x.floats)

    def reduction(self, x: Term) -> Term:
        """A function along axes, as a function or a method, with `keepdims`, `where`, `initial` or `ddof`."""
        draws, n = self.draws, len(x.shape)
        rough = not self.smooth and draws.chance(0.5)
        name = draws.pick(patterns.ROUGH_REDUCTIONS if rough else patterns.REDUCTIONS)
        axis = draws.below(n)
        written = str(axis - n if draws.chance(0.3) else axis)
        if name == "softmax":
            return Term(f"native.softmax({x.source})", x.shape)
        if name == "logsumexp":
            return Term(f"native.log_sum_exp({x.source})", (*x.shape[:-1], 1))
        if name in patterns.IN_PLACE_OF_EACH:
            return Term(f"np.{name}({x.source},axis={written})", x.shape, name not in patterns.NOT_OF_FLOATS)
        if name == "diff":
            shape = (*x.shape[:axis], x.shape[axis] - 1, *x.shape[axis + 1 :])
            return Term(f"np.diff({x.source},axis={written})", shape)
        axes = {axis}
        if name in patterns.MANY_AXES and draws.chance(0.4):
            axes, written = ({0, 2}, "(2,0)") if n > 2 and draws.chance(0.5) else (set(range(n)), "None")
        keepdims = draws.chance(0.3)
        options = f",keepdims={keepdims}" if keepdims else ""
        if name in ("var", "std") and draws.chance(0.4) and prod(x.shape[i] for i in axes) > 1:
            options += ",ddof=1"
        if name in ("sum", "prod") and draws.chance(0.15):
            options += ",initial=0.7"
        if name in ("sum", "mean") and draws.chance(0.15) and not self.smooth:
            options += f",where={x.source}>0"
        if name == "norm":
            options += draws.pick(("", "", ",ord=1", ",ord=3"))
        function = f"({x.source}).{name[7:]}(" if name.startswith("method.") else f"np.{name}({x.source},axis="
        function = function.replace("np.norm", "np.linalg.norm")
        shape = tuple(1 if i in axes else length for i, length in enumerate(x.shape) if keepdims or i not in axes)
        if name.startswith("method."):
            function += "axis="
        return Term(f"{function}{written}{options})", shape, name not in patterns.NOT_OF_FLOATS)

    def movement(self, x: Term) -> Term:
        """The same elements elsewhere."""
        draws, n = self.draws, len(x.shape)
        axis = draws.below(n)
        doubled = tuple([2 * length if i == axis else length for i, length in enumerate(x.shape)])
        others = (*x.shape[1 : axis + 1], x.shape[0], *x.shape[axis + 1 :])
        forms = [
            ("({x}).T", x.shape[::-1]),
            ("({x}).reshape(-1)", (prod(x.shape),)),
            ("np.ravel({x},order='F')", (prod(x.shape),)),
            (f"np.flip({{x}},{axis})", x.shape),
            (f"np.roll({{x}},1,axis={axis})", x.shape),
            (f"np.concatenate([{{x}},2*{{x}}],axis={axis})", doubled),
            (f"np.repeat({{x}},2,axis={axis})", doubled),
            ("np.stack([{x},-{x}],axis=-1)", (*x.shape, 2)),
            ("({x})[None]", (1, *x.shape)),
            (f"np.expand_dims({{x}},{axis})", (*x.shape[:axis], 1, *x.shape[axis:])),
            (f"np.moveaxis({{x}},0,{axis})", others),
        ]
        if n > 1:
            forms += [("np.swapaxes({x},-1,-2)", (*x.shape[:-2], x.shape[-1], x.shape[-2])), ("np.tril({x})", x.shape)]
        source, shape = draws.pick(forms)
        return Term(source.format(x=x.source), shape)

    def picking(self, x: Term) -> Term:
        """Some of the elements, or more than there are."""
        draws = self.draws
        axis = draws.below(len(x.shape))
        mode = draws.pick(("constant", "edge", "wrap"))
        forms = [
            ("({x})[0]", x.shape[1:]),
            ("({x})[...,-1]", x.shape[:-1]),
            ("({x})[::-2]", ((x.shape[0] + 1) // 2, *x.shape[1:])),
            ("({x})[[0,-1,0]]", (3, *x.shape[1:])),
            (f"np.take({{x}},[0,0],axis={axis})", tuple([2 if i == axis else n for i, n in enumerate(x.shape)])),
            (f"np.pad({{x}},1,mode='{mode}')", tuple([n + 2 for n in x.shape])),
        ]
        if len(x.shape) == 2:
            forms += [("np.diagonal({x})", (min(x.shape),)), ("np.trace({x})", ())]
        source, shape = draws.pick(forms)
        return Term(source.format(x=x.source), shape)

    def product(self, x: Term) -> Term:
        """A matrix product or one of its kin."""
        draws, n = self.draws, len(x.shape)
        if not n or draws.chance(0.1):
            return self.einsum()
        k, free = x.shape[-1], self.length()
        right: list[tuple[str, Shape, Shape]] = [
            ("({x}@{y})", (k, free), (*x.shape[:-1], free)),
            ("({x}@{y})", (k, free), (*x.shape[:-1], free)),
            ("np.dot({x},{y})", (k, free), (*x.shape[:-1], free)),
            ("({x}@{y})", (k,), x.shape[:-1]),
            ("np.inner({x},{y})", (free, k), (*x.shape[:-1], free)),
            ("np.outer({x},{y})", (free,), (prod(x.shape), free)),
        ]
        if n > 1:
            right += [("({y}@{x})", (free, x.shape[-2]), (*x.shape[:-2], free, k))]
            right += [("np.matmul({x},{y})", (*x.shape[:-2], k, free), (*x.shape[:-1], free))]
        if n == 2:
            right += [("np.tensordot({x},{y},axes=((0,1),(1,0)))", (k, x.shape[0], free), (free,))]
            right += [("({x}@({x}).T+{y})", (1,), (x.shape[0], x.shape[0]))]
        if n == 1:
            right += [("np.vdot({x},{y})", (k,), ()), ("np.vecdot({x},{y})", (k,), ())]
            right += [("np.linalg.multi_dot([{x},np.outer({y},{x}),{y}])", (k,), ())]
        if n == 1 and 0 < k < 300:
            right += [("np.convolve({x},{y})", (free,), (k + free - 1,)), ("np.correlate({y},{x})", (k,), (1,))]
            right += [("np.kron({x},{y})", (free,), (k * free,))]
        source, shape, result = draws.pick([form for form in right if prod(form[1]) <= LARGEST])
        left = f"({x.source})" if "{x}@" in source else x.source
        return Term(source.format(x=left, y=self.new(shape).source), result)

    def einsum(self) -> Term:
        """An Einstein sum of new operands."""
        subscripts = self.draws.pick(patterns.EINSUMS)
        lengths = {letter: self.draws.pick((1, 2, 3, 5, 9, 33)) for letter in ascii_lowercase}
        left, arrow, output = subscripts.partition("->")
        shapes = [tuple([lengths[c] for c in part if c != "."]) for part in left.split(",")]
        terms = [self.new(shape, constant=0.15 if i else 0.0).source for i, shape in enumerate(shapes)]
        if not arrow:
            output = "".join(sorted(c for c in set(left) - {","} if left.count(c) == 1))
        return Term(f"np.einsum('{subscripts}',{','.join(terms)})", tuple([lengths[c] for c in output if c != "."]))

    def weighing(self, x: Term) -> Term:
        """A layer, a loss or a mean with weights."""
        draws = self.draws
        k = x.shape[-1]
        form = draws.pick(("dense", "norm", "loss", "average"))
        if 0 in x.shape or form == "dense":
            weight = self.new((k, 3)).source
            bias = f",{weight}[0]" if k else ""
            return Term(f"pn.forward(pn.Dense({weight}{bias}),{x.source})", (*x.shape[:-1], 3))
        if form == "norm":
            weight = self.new((k,)).source
            return Term(f"pn.forward(pn.LayerNorm({weight},{weight}[::-1]),{x.source})", x.shape)
        if form == "average":
            return Term(f"np.average({x.source},axis=0,weights={self.new(x.shape[:1]).source})", x.shape[1:])
        name = draws.pick(patterns.LOSSES[: 5 if len(x.shape) == 2 else 4])
        target = self.new(x.shape).source
        target = f"np.argmax({target},axis=-1)" if name == "softmax_cross_entropy" else target
        weights = f",{self.new(x.shape[:1]).source}+0.5" if draws.chance(0.4) else ""
        return Term(f"pn.losses.{name}({x.source},{target}{weights})", ())


def written(writer: Writer) -> str:
    """Operands with up to six functions around them."""
    draws = writer.draws
    x = writer.new(writer.shape(), writer.smooth or draws.chance(0.9))
    for _ in range(1 + draws.below(5)):
        x = writer.step(x)
    if writer.smooth or not x.floats or draws.chance(0.4):
        return x.source
    if draws.chance(0.4):
        y = writer.other(x.shape)
        return draws.pick(patterns.ROUGH_PAIRS).format(x=f"({x.source})", y=y.source)
    among = patterns.ROUGH + (patterns.OF_VECTORS if prod(x.shape) and x.shape else ())
    return draws.pick(among).format(x=f"({x.source})")


_FORMS = (
    "portable({f}{slices})({args})",
    "portable(pn.value_and_grad({f},argnums={one}){slices})({args})",
    "portable(pn.value_and_grad({f},argnums={one}){slices})({args})",
    "portable(pn.grad({f},argnums={all}){slices})({args})",
    "pn.value_and_grad(portable({f}{slices}),argnums={one})({args})",
    "portable(lambda {args}: pn.jvp({f},({args},),({along},)){slices})({args})",
    "portable(lambda {args}: pn.hvp({f},({args},),({along},)){slices})({args})",
)
"""A value, and derivatives of first and second order, with portable arithmetic outside or inside."""


def expression(number: int) -> Expression:
    """The expression of a number."""
    draws = Draws(number)
    writer = Writer(draws, smooth=draws.chance(0.45))
    source = written(writer)
    names = [name for name in writer.operands if name not in writer.constants]
    form = draws.pick(_FORMS[1:]) if writer.smooth else _FORMS[0]
    source = form.format(
        f=f"lambda {','.join(names)}: " + (f"np.sum({source})" if writer.smooth else source),
        slices=draws.pick(("", "", ",slices=2", ",slices=3")),
        args=",".join(names),
        one=draws.below(len(names)),
        all=tuple(range(len(names))),
        along=",".join([f"np.cos({name})" for name in names]),
    )
    return Expression(source, writer.operands, "; ".join(writer.said))


def native_instead(f: Any, slices: int = 1) -> Any:
    """The function as it is, in NumPy's arithmetic, in the place of `pn.portable`."""
    return f


def digests(first: int, count: int, **options: Any) -> dict[str, str]:
    """The digest of each of so many expressions, from a number on."""
    return {str(number): expression(number).digest(**options) for number in range(first, first + count)}


def differences(found: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The expressions that do not have one digest under all conditions, with the conditions by what they give."""
    told = []
    for number in next(iter(found.values())):
        conditions: dict[str, list[str]] = {}
        for condition, of_each in found.items():
            conditions.setdefault(of_each[number], []).append(condition)
        conditions.pop("", None)
        if len(conditions) > 1:
            told.append(f"{number}: {expression(int(number))}: {conditions}")
    return told


def main() -> None:
    """Print the digests of so many expressions, from a number on; after the word `native`, in NumPy's arithmetic."""
    first, count, *words = sys.argv[1:]
    options = {"portable": native_instead} if "native" in words else {}
    print(json.dumps(digests(int(first), int(count), **options)))


if __name__ == "__main__":
    main()
