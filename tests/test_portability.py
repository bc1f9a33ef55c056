"""The same bits everywhere: whole programs in portable arithmetic, compared with digests that were written once.

The longer checks run them in new processes under every BLAS kernel of this processor, one and two threads, with SIMD
levels switched off, and with another C library; run on several versions of NumPy, they compare those, too. Random
expressions need no digests: whatever they give, they have to give it under all of these conditions.
"""

from __future__ import annotations

import json
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from portability import fuzz, matrix, programs, strange_library
from portability.programs import OF_SEEDS, PROGRAMS, portable

import purenet as pn

GOLDEN = json.loads((Path(__file__).parent / "golden" / "portable.json").read_text(encoding="utf-8"))


QUICK, LONG = (0, 600), (0, 3000)
"""Random expressions: the first, and how many."""


def fuzzing(first: int, count: int, *words: str) -> list[str]:
    """The command that prints the digests of random expressions."""
    return ["-m", "portability.fuzz", str(first), str(count), *words]


@cache
def result(name: str) -> Any:
    """What a program gives here."""
    return PROGRAMS[name](portable)


@cache
def seeds_are_known() -> bool:
    """Whether this C library's logarithm lets NumPy's old generator draw the numbers that the digests are of."""
    return programs.data_of_seeds() == GOLDEN["seeds"]


def expected(seeds: str) -> dict[str, str]:
    """The digests that a process has to get whose seed programs' data has this digest."""
    known = seeds == GOLDEN["seeds"]
    return {name: digest for name, digest in GOLDEN["digests"].items() if known or name not in OF_SEEDS}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_has_the_bits_that_it_always_had(name: str) -> None:
    """The digest of all its results is the one that was written down."""
    if name in OF_SEEDS and not seeds_are_known():
        pytest.skip("this C library's logarithm gives the seed programs other data")
    assert pn.digest(result(name)) == GOLDEN["digests"][name]


def test_every_program_has_a_digest_of_its_own() -> None:
    """None is missing, none is left over, no two programs compute the same."""
    assert set(GOLDEN["digests"]) == set(PROGRAMS)
    assert len(set(GOLDEN["digests"].values())) == len(PROGRAMS)


def test_bits_do_not_depend_on_how_operands_lie_in_memory() -> None:
    """C- and Fortran-ordered, strided, reversed, misaligned, memory-mapped, byte-swapped."""
    found = {layout: pn.digest(values) for layout, values in result("operands").items()}
    assert len(found) == 7
    assert len(set(found.values())) == 1, found


def test_a_prediction_has_the_same_bits_alone_and_in_any_batch() -> None:
    """Row by row and in batches of several sizes."""
    found = {size: pn.digest(rows) for size, rows in result("batch sizes").items()}
    assert 1 in found
    assert len(set(found.values())) == 1, found


@cache
def kernel_cells() -> tuple[list[matrix.Cell], list[str]]:
    """The kernels of this processor that can multiply matrices, and the names of the others."""
    return matrix.kernel_cells()


@pytest.mark.longer
def test_every_condition_gives_the_same_bits(capsys: pytest.CaptureFixture[str]) -> None:
    """Kernels, threads and SIMD levels of this processor: each process runs as it should, and conforms."""
    of_kernels, broken = kernel_cells()
    if broken:
        with capsys.disabled():
            print(f"\nleft out, for NumPy {np.__version__}'s own products end the process: {', '.join(broken)}")
    found = matrix.matrix(of_kernels, "portability.programs")
    assert len(found) > 1
    for cell, told in found:
        assert told is not None, f"{cell.name}: the process died"
        assert matrix.is_as_told(cell, told["environment"]), f"{cell.name}: {told['environment']}"
        wrong = [name for name, digest in expected(told["seeds"]).items() if told["digests"][name] != digest]
        assert not wrong, f"{cell.name}: other bits in {wrong}"
        assert not told["differing"], f"{cell.name}: other bits in {told['differing']}"


def test_random_expressions_have_the_same_bits_under_other_conditions() -> None:
    """None is refused; a layout changes no bit; nor do an old kernel, one thread and NumPy without SIMD."""
    here = fuzz.digests(*QUICK)
    assert not [str(fuzz.expression(int(number))) for number, digest in here.items() if digest.startswith("raises")]
    there = matrix.run(fuzzing(*QUICK), matrix.least())
    assert fuzz.differences({"here": here, "contiguous": fuzz.digests(*QUICK, contiguous=True), "there": there}) == []


@pytest.mark.longer
def test_random_expressions_have_the_same_bits_under_every_condition() -> None:
    """More of them, under every kernel, number of threads and SIMD level."""
    found = matrix.matrix(kernel_cells()[0], *fuzzing(*LONG)[1:])
    assert fuzz.differences({cell.name: digests for cell, digests in found}) == []


@pytest.mark.longer
def test_random_expressions_have_the_same_bits_on_every_numpy() -> None:
    """On that of every other Python that the variable names."""
    others = [python for python in os.environ.get("PURENET_PYTHONS", "").split(os.pathsep) if python]
    if not others:
        pytest.skip("PURENET_PYTHONS names no Pythons with other versions of NumPy")
    found = matrix.in_parallel([(fuzzing(*LONG), {}, python) for python in (sys.executable, *others)])
    assert fuzz.differences(dict(zip(("here", *others), found, strict=True))) == []


@pytest.mark.longer
def test_random_expressions_would_find_a_difference() -> None:
    """In NumPy's own arithmetic some of them have other bits without SIMD, and are named."""
    here, there = matrix.in_parallel([(fuzzing(*QUICK, "native"), variables) for variables in ({}, matrix.least())])
    found = fuzz.differences({"here": here, "there": there})
    assert len(found) > 10
    assert all("portable(" in line and "here" in line for line in found)


@pytest.mark.longer
def test_the_matrix_would_find_a_difference() -> None:
    """In NumPy's own arithmetic the same programs have other bits on another kernel."""
    of_kernels, _ = kernel_cells()
    if len({cell.told["blas_kernel"] for cell in of_kernels}) < 2:
        pytest.skip("there is one kernel only")
    command = ["-m", "portability.programs", "native", "second seed"]
    found = matrix.in_parallel([(command, cell.variables) for cell in of_kernels])
    assert len({told["digests"]["second seed"] for told in found}) > 1


@pytest.mark.longer
def test_a_kernel_that_cannot_multiply_is_no_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where NumPy's own products end the process, here with two threads, the kernel is left out by name."""
    fatal = "import os; os.environ['OPENBLAS_NUM_THREADS'] == '2' and os.kill(os.getpid(), 9); print('true')"
    monkeypatch.setattr(matrix, "PRODUCTS", ("-c", fatal))
    of_kernels, broken = matrix.kernel_cells()
    assert {cell.variables["OPENBLAS_NUM_THREADS"] for cell in of_kernels} <= {"1"}
    assert broken == [cell.name.replace("1 threads", "2 threads") for cell in of_kernels]


@pytest.mark.longer
def test_bits_do_not_depend_on_the_c_library(tmp_path: Path) -> None:
    """Every logarithm, power or sine of the C library may be off by an ulp: no program takes any of them.

    Only the data of the seed programs does, by which one sees that the library is in use.
    """
    library = strange_library.build(tmp_path)
    if library is None:
        pytest.skip("there is no C compiler, or no LD_PRELOAD")
    levels = matrix.simd_levels()
    every = (
        [{}, {"NPY_DISABLE_CPU_FEATURES": " ".join(levels[0])}] if levels else [{}]
    )  # without SIMD, NumPy calls it more
    strange = [{"LD_PRELOAD": str(library), **variables} for variables in every]
    random = matrix.in_parallel([(fuzzing(*QUICK), variables) for variables in strange])
    assert fuzz.differences({"here": fuzz.digests(*QUICK), **dict(zip("ab", random, strict=False))}) == []
    command = ["-m", "portability.programs"]
    for told in matrix.in_parallel([(command, variables) for variables in strange]):
        assert told["seeds"] != GOLDEN["seeds"]
        wrong = [name for name, digest in expected(told["seeds"]).items() if told["digests"][name] != digest]
        assert not wrong
        assert not told["differing"]
