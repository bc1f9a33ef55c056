"""The matrix: the programs in new processes, under every BLAS kernel, thread count and SIMD level of this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, NamedTuple

from repository import ROOT

SWITCHES = {
    "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "GOTO_NUM_THREADS",
    "NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES",
}  # fmt: skip

# Every kernel that some OpenBLAS has been built with, oldest first. A library runs the nearest that it has in place of
# one that it lacks, or that the processor cannot run.
KERNELS = {
    "x86_64": (
        *("Prescott", "Core2", "Penryn", "Nehalem", "Opteron_SSE3", "Barcelona", "Bobcat", "Sandybridge", "Bulldozer"),
        *("Piledriver", "Steamroller", "Excavator", "Haswell", "Zen", "SkylakeX", "Cooperlake", "SapphireRapids"),
    ),
    "aarch64": (
        *("ARMV8", "CORTEXA53", "CORTEXA57", "CORTEXA72", "CORTEXA73", "THUNDERX", "THUNDERX2T99", "TSV110"),
        *("EMAG8180", "NEOVERSEN1", "NEOVERSEV1", "NEOVERSEN2", "ARMV8SVE", "A64FX", "ARMV9SME"),
    ),
}
THREADS = (1, 2)

_IDENTITY = """
import json
import numpy as np
from purenet.fingerprint import environment
core = getattr(np, "_core", None) or np.core
print(json.dumps({"environment": environment().to_json(), "dispatched": core._multiarray_umath.__cpu_dispatch__}))
"""
PRODUCTS = ("-m", "portability.products")


class Cell(NamedTuple):
    """A condition: the variables that set it, and what the environment has to say of itself then."""

    name: str
    variables: dict[str, str]
    told: dict[str, Any]


def run(arguments: Sequence[str], variables: dict[str, str], python: str = sys.executable) -> Any:
    """What a new process prints as JSON under these variables alone; None if the processor could not run it.

    Raises:
        RuntimeError: if it fails in another way.
    """
    kept = {name: value for name, value in os.environ.items() if name not in SWITCHES}
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    command = [python, "-W", "error", *arguments]
    done = subprocess.run(
        command, env={**kept, **variables, "PYTHONPATH": path}, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=600, check=False,
    )  # fmt: skip
    if done.returncode < 0:  # by a signal, as when an instruction is not known
        return None
    if done.returncode:
        raise RuntimeError(f"under {variables}: {done.stderr}")
    return json.loads(done.stdout)


def in_parallel(jobs: Sequence[tuple[Any, ...]]) -> list[Any]:
    """The results of `run`, as many at a time as there are cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as pool:
        return list(pool.map(lambda job: run(*job), jobs))


@cache
def kernels() -> dict[str, str]:
    """The kernels that NumPy's OpenBLAS has and this processor can run, each with a value of OPENBLAS_CORETYPE."""
    here = run(["-c", _IDENTITY], {})["environment"]
    machine = {"AMD64": "x86_64", "arm64": "aarch64"}.get(here["machine"], here["machine"])
    if here["blas_kernel"] is None:
        return {}
    names = KERNELS.get(machine, ())
    found = in_parallel([(["-c", _IDENTITY], {"OPENBLAS_CORETYPE": name}) for name in names])
    pairs = [(told["environment"]["blas_kernel"], name) for name, told in zip(names, found, strict=True) if told]
    return dict(reversed(pairs))  # of several names for one kernel, the first


def kernel_cells() -> tuple[list[Cell], list[str]]:
    """Kernels by threads, oldest kernel last; and the names of those whose own products end the process.

    Such a kernel fails in plain NumPy, before anything of purenet's runs: it can be no condition of the matrix.
    """
    every = [
        Cell(
            f"{kernel}, {threads} threads",
            {"OPENBLAS_CORETYPE": name, "OPENBLAS_NUM_THREADS": str(threads)},
            {"blas_kernel": kernel, "blas_threads": threads},
        )
        for kernel, name in kernels().items()
        for threads in THREADS
    ]
    survived = in_parallel([(PRODUCTS, cell.variables) for cell in every])
    pairs = list(zip(every, survived, strict=True))
    return [cell for cell, survives in pairs if survives], [cell.name for cell, survives in pairs if not survives]


def simd_levels() -> list[tuple[str, ...]]:
    """What to switch off of the instruction sets that NumPy uses here: the highest, more, and at last all of them."""
    probed = run(["-c", _IDENTITY], {})
    dispatched = [name for name in probed["dispatched"] if name in probed["environment"]["simd"]]
    stride = max(1, -(-len(dispatched) // 5))
    return [tuple(dispatched[start:]) for start in range(0, len(dispatched), stride)]


def cells(of_kernels: Sequence[Cell]) -> Iterator[Cell]:
    """Every condition of the matrix: kernels by threads, SIMD levels, and the least of everything."""
    yield Cell("as it is", {}, {})
    yield from of_kernels
    levels = simd_levels()
    for off in levels:
        variables = {"NPY_DISABLE_CPU_FEATURES": " ".join(off)}
        yield Cell(f"without {' '.join(off)}", variables, {"simd_off": off})
    if of_kernels and levels:
        name, variables, told = of_kernels[-1]
        variables = {**variables, "NPY_DISABLE_CPU_FEATURES": " ".join(levels[0])}
        yield Cell(f"{name}, without SIMD", variables, {**told, "simd_off": levels[0]})


def least() -> dict[str, str]:
    """The variables of the least of everything, found without trying: OpenBLAS takes the nearest kernel that it has."""
    levels = simd_levels()
    variables = {"NPY_DISABLE_CPU_FEATURES": " ".join(levels[0])} if levels else {}
    return {**variables, "OPENBLAS_CORETYPE": "Nehalem", "OPENBLAS_NUM_THREADS": "1"}


def is_as_told(cell: Cell, environment: dict[str, Any]) -> bool:
    """Whether a process ran under the condition that it was to run under."""
    for name, value in cell.told.items():
        met = set(value) <= set(environment[name]) if isinstance(value, tuple) else environment[name] == value
        if not met:
            return False
    return True


def matrix(of_kernels: Sequence[Cell], *arguments: str) -> list[tuple[Cell, Any]]:
    """What `python -m` with these arguments prints in every cell."""
    every = list(cells(of_kernels))
    found = in_parallel([(["-m", *arguments], cell.variables) for cell in every])
    return list(zip(every, found, strict=True))
