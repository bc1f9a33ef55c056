"""The environment: what it says is true, it survives a file, and nothing that is unknown or foreign makes it fail."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import numpy as np
import pytest
from laws import assert_pure
from repository import ROOT

import purenet as pn
from purenet import fingerprint as module
from purenet.errors import StorageError
from purenet.fingerprint import Environment, environment, from_json

HERE = environment()

needs_openblas = pytest.mark.skipif(HERE.blas_kernel is None, reason="NumPy computes with another BLAS here")


def elsewhere(tmp_path: Path, **variables: str) -> Environment:
    """The environment that a new process has when these variables are set."""
    program = "import json, purenet.fingerprint as e; print(json.dumps(e.environment().to_json()))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True,
        timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
    )  # fmt: skip
    return from_json(json.loads(done.stdout))


def test_it_says_what_is_so() -> None:
    """The versions and the platform are those of this process; asking changes nothing and prints nothing."""
    found = assert_pure(environment)
    assert (found.purenet, found.numpy) == (pn.__version__, np.__version__)
    assert found.python == f"{platform.python_implementation()} {platform.python_version()}"
    assert (found.system, found.machine, found.byte_order) == (platform.system(), platform.machine(), sys.byteorder)
    assert found.simd is None or not set(found.simd) & set(found.simd_off or ())


def test_asking_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """`np.show_config` prints unless told otherwise."""
    environment()
    assert capfd.readouterr() == ("", "")


def test_blas_is_the_one_that_others_see() -> None:
    """threadpoolctl finds NumPy's BLAS in another way: through the libraries that the process has mapped."""
    threadpoolctl = pytest.importorskip("threadpoolctl")
    pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    own = [pool for pool in pools if "numpy" in pool["filepath"]]
    if not own or own[0]["internal_api"] != "openblas":
        pytest.skip("no OpenBLAS came with NumPy")
    [pool] = own
    assert HERE.blas == "OpenBLAS"
    assert (HERE.blas_version, HERE.blas_kernel) == (pool["version"], pool["architecture"])
    assert HERE.blas_threads == pool["num_threads"]


@needs_openblas
def test_kernel_threads_and_simd_are_those_in_use(tmp_path: Path) -> None:
    """What is switched by variables before the process starts shows, and only that differs."""
    switched = {"OPENBLAS_NUM_THREADS": "1"}
    kernels = {HERE.blas_kernel}
    if HERE.machine in {"x86_64", "AMD64"}:
        switched["OPENBLAS_CORETYPE"] = "Prescott"  # which any such processor runs
        kernels = {"Prescott", "Katmai"}  # two names of one kernel
    dispatched = [name for name in HERE.simd or () if name in np_core().__cpu_dispatch__]
    if dispatched:
        switched["NPY_DISABLE_CPU_FEATURES"] = " ".join(dispatched)
    other = elsewhere(tmp_path, **switched)
    assert other.blas_threads == 1
    assert other.blas_kernel in kernels
    assert set(dispatched) <= set(other.simd_off or ())
    assert not set(dispatched) & set(other.simd or ())
    changing = {"blas_kernel", "blas_threads", "simd", "simd_off"}
    assert {name for name, value in HERE.to_json().items() if other.to_json()[name] != value} <= changing


def np_core() -> Any:
    """NumPy's compiled core."""
    return module._extension()


def test_differences_are_lines_that_name_both_sides() -> None:
    """One line for each field that differs, none for the same environment."""
    assert HERE.differences(environment()) == ()
    other = attrs.evolve(HERE, blas_kernel="Z80", simd=("MMX",), c_library=None)
    lines = HERE.differences(other)
    assert [line.split(":")[0] for line in lines] == ["C library", "BLAS kernel", "SIMD in use"]
    assert lines[0].endswith(" and unknown")
    assert lines[1] == f"BLAS kernel: {HERE.blas_kernel or 'unknown'} and Z80"
    assert lines[2].endswith(" and MMX")


def test_every_field_differs_shows_and_is_stored() -> None:
    """No field is forgotten by the differences, the text or the JSON."""
    for field in attrs.fields(Environment):
        other = attrs.evolve(HERE, **{field.name: ("x",) if field.name.startswith("simd") else "x"})
        assert len(HERE.differences(other)) == 1, field.name
        assert str(other) != str(HERE)
    assert list(HERE.to_json()) == [field.name for field in attrs.fields(Environment)]


def test_it_survives_a_file_and_has_a_digest() -> None:
    """JSON and back is the same record, bit for bit; names of a later version are left out."""
    text = json.dumps({**HERE.to_json(), "quantum": True})
    assert pn.same_bits(from_json(json.loads(text)), HERE)
    assert pn.digest(from_json(json.loads(text))) == pn.digest(HERE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"numpy": 2}, "environment.numpy: expected str, got 2"),
        ({"system": ["Linux"]}, "environment.system: expected str or null"),
        ({"blas_threads": True}, "environment.blas_threads: expected int or null, got True"),
        ({"simd": "AVX2"}, "environment.simd: expected list or null"),
        ({"simd": ["AVX2", 1]}, "environment.simd: expected list or null"),
        (None, "environment: expected an object, got NoneType"),
    ],
)
def test_damaged_json_is_refused(change: dict[str, Any] | None, message: str) -> None:
    """A wrong type is named with its place."""
    with pytest.raises(StorageError, match=message):
        from_json(None if change is None else {**HERE.to_json(), **change})


def test_missing_json_is_refused() -> None:
    """Each field has to be there."""
    for name in HERE.to_json():
        with pytest.raises(StorageError, match=f"environment.{name}: this is missing"):
            from_json({key: value for key, value in HERE.to_json().items() if key != name})


class Crashing:
    """A library that has every name, none of which works."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


@pytest.mark.parametrize("library", [SimpleNamespace(), Crashing()], ids=["another BLAS", "a broken one"])
def test_a_foreign_blas_is_unknown_rather_than_fatal(monkeypatch: pytest.MonkeyPatch, library: Any) -> None:
    """Without the functions of OpenBLAS, kernel and threads are None, and the rest stays."""
    monkeypatch.setattr(module, "_libraries", lambda: iter([library]))
    found = environment()
    assert (found.blas_kernel, found.blas_threads) == (None, None)
    assert found.numpy == np.__version__


def test_a_numpy_that_tells_nothing_is_unknown_rather_than_fatal(monkeypatch: pytest.MonkeyPatch) -> None:
    """No compiled core where it was, no record of the build: None, and no error."""
    monkeypatch.setattr(module, "_extension", lambda: None)
    monkeypatch.setattr(np, "show_config", lambda mode: {})
    found = environment()
    assert [found.blas, found.blas_version, found.blas_configuration] == [None] * 3
    assert [found.blas_kernel, found.blas_threads, found.simd, found.simd_off] == [None] * 4
    assert pn.same_bits(from_json(found.to_json()), found)
