"""Whole processes: from nothing to the end of the first seed program, by the clock on the wall and by their memory."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

PROGRAMS = {"script": (), "purenet": (), "jax": ("jax",), "torch": ("torch",)}
"""The programs `programs/seed_*.py`, with the packages that they need."""

STEPS = 500

_TESTS = Path(__file__).resolve().parent.parent

# Run in front of a program, so that the memory is read at its very end. The peak of the address space itself comes
# first: what `getrusage` gives may be the peak of the process that started this one.
_WITH_PEAK = """
import atexit, runpy, sys
def report():
    try:
        with open("/proc/self/status") as status:
            peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        import resource
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)
    print(peak)
atexit.register(report)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def measure(names: list[str] | None = None, *, rounds: int = 9, steps: int = STEPS) -> dict[str, Any]:
    """Seconds and peak memory of each program in each round, after one that is not counted.

    Returns:
        `{"seconds": {program: [...]}, "megabytes": {program: [...]}}`.

    Raises:
        AssertionError: if two programs end on different losses.
    """
    chosen = [n for n, needs in PROGRAMS.items() if (names is None or n in names) and all(map(find_spec, needs))]
    losses = {name: _peak(name, steps)[0] for name in chosen}  # this also fills the caches of files
    for loss in losses.values():
        assert math.isclose(loss, losses[chosen[0]], rel_tol=1e-6), f"different losses: {losses}"
    seconds: dict[str, list[float]] = {name: [] for name in chosen}
    megabytes: dict[str, list[float]] = {name: [] for name in chosen}
    for i in range(rounds):
        for name in reversed(chosen) if i % 2 else chosen:
            seconds[name].append(_wall(name, steps))
    for _ in range(min(rounds, 3)):
        for name in chosen:
            megabytes[name].append(_peak(name, steps)[1])
    return {"seconds": seconds, "megabytes": megabytes, "steps": steps}


def overhead(rounds: int = 5) -> float:
    """Seconds that an empty Python process takes: the part of each figure that is nobody's."""
    times = []
    for _ in range(rounds):
        began = perf_counter()
        _run("-c", "")
        times.append(perf_counter() - began)
    return median(times)


def _run(*arguments: str) -> str:
    """What a Python process with this checkout's purenet prints."""
    path = os.pathsep.join(filter(None, [str(_TESTS.parent), os.environ.get("PYTHONPATH")]))
    command, environment = [sys.executable, *arguments], {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def _program(name: str) -> str:
    return str(_TESTS / "benchmarks" / "programs" / f"seed_{name}.py")


def _wall(name: str, steps: int) -> float:
    began = perf_counter()
    _run(_program(name), str(steps))
    return perf_counter() - began


def _peak(name: str, steps: int) -> tuple[float, float]:
    """The last loss of a program, and its peak memory in megabytes."""
    loss, kibibytes = _run("-c", _WITH_PEAK, _program(name), str(steps)).split()
    return float(loss), int(kibibytes) / 1000 * 1.024
