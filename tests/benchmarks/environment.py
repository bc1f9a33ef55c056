"""The conditions of a measurement: thread settings, and what is to be told of machine and libraries."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
    "NPROC",  # what XLA sizes its thread pools by
)  # fmt: skip
_NOT_INHERITED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "PYTHONDONTWRITEBYTECODE", "PYTHONWARNINGS")


def with_threads(threads: int, inherited: dict[str, str], path: list[Path]) -> dict[str, str]:
    """The environment of a process that computes with so many threads, on the kernel that its BLAS chooses itself.

    Example:
        >>> with_threads(1, {"OPENBLAS_CORETYPE": "Haswell", "HOME": "~"}, [])["OMP_NUM_THREADS"]
        '1'
    """
    kept = {name: value for name, value in inherited.items() if name not in _NOT_INHERITED}
    single = " --xla_cpu_multi_thread_eigen=false" if threads == 1 else ""
    return {
        **kept,
        **dict.fromkeys(_THREADS, str(threads)),
        "XLA_FLAGS": (inherited.get("XLA_FLAGS", "") + single).strip(),
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "PYTHONPATH": os.pathsep.join(map(str, path)),
    }


def describe(threads: int) -> dict[str, Any]:
    """What a reader has to know about this process to judge its figures."""
    from purenet.fingerprint import environment

    here = environment()
    return {
        "cpu": here.processor or here.machine,
        "cores": _cores(),
        "system": f"{here.system} {here.machine}",
        "python": here.python.split()[-1],
        "threads": threads,
        "blas": f"{here.blas} {here.blas_version}, {here.blas_kernel or 'unknown'} kernel",
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
    }


_PACKAGES = ("numpy", "torch", "jax", "optax", "autograd", "scikit-learn")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


BUSY = 0.1
"""The part of the machine that others may use before figures are not to be trusted."""


def busy_seconds() -> tuple[float, float, float]:
    """Processor seconds that all programs have used, that the machine had, and that this process and its children used.

    The first two are 0 where the system does not tell.
    """
    t = os.times()
    own = t.user + t.system + t.children_user + t.children_system
    try:
        fields = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()[1:9]
    except OSError:
        return 0.0, 0.0, own
    ticks = [int(field) / os.sysconf("SC_CLK_TCK") for field in fields]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks), own  # all but idle and waiting for disks


def used_by_others(before: tuple[float, float, float], after: tuple[float, float, float]) -> float | None:
    """The part of the machine that other programs used between two `busy_seconds`; None where it is not known.

    Example:
        >>> used_by_others((0.0, 0.0, 0.0), (15.0, 20.0, 10.0))
        0.25
    """
    used, had, own = (b - a for a, b in zip(before, after, strict=True))
    return max(0.0, (used - own) / had) if had > 0 else None
