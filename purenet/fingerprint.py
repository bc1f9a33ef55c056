"""What a computation ran on: versions, platform, BLAS with its kernel and threads, SIMD features.

Native arithmetic gives the same bits where all of this is the same; portable arithmetic gives them everywhere.
Histories keep it, and a bug report should. It is looked up when `environment` is called, from NumPy's own records and
from the BLAS library that NumPy has loaded already; what cannot be found out is None.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from purenet.errors import StorageError
from purenet.records import static, struct


@struct
class Environment:
    """What a computation ran on; `print` shows it line by line.

    Args:
        purenet, python, numpy: versions; Python's with its implementation.
        system, c_library, machine, byte_order, processor: the platform.
        blas, blas_version, blas_configuration: the library of NumPy's matrix products, and how it was built.
        blas_kernel, blas_threads: what OpenBLAS chose on this processor; None for another BLAS.
        simd, simd_off: the instruction sets that NumPy's own loops use, and those that it has loops for but does not
            use, because the processor lacks them or because they are switched off.

    Example:
        >>> import attrs
        >>> here = environment()
        >>> here.differences(attrs.evolve(here, python="CPython 3.0.1"))
        ('Python: CPython 3... and CPython 3.0.1',)
    """

    purenet: str = static()
    python: str = static()
    numpy: str = static()
    system: str | None = static()
    c_library: str | None = static()
    machine: str | None = static()
    byte_order: str = static()
    processor: str | None = static()
    blas: str | None = static()
    blas_version: str | None = static()
    blas_configuration: str | None = static()
    blas_kernel: str | None = static()
    blas_threads: int | None = static()
    simd: tuple[str, ...] | None = static()
    simd_off: tuple[str, ...] | None = static()

    def __str__(self) -> str:
        width = max(map(len, _TITLES.values()))
        return "\n".join(f"{title:{width}}  {value}" for title, value in self._shown())

    def differences(self, other: Environment) -> tuple[str, ...]:
        """A line for each thing in which two environments differ; empty if they are the same."""
        pairs = zip(self._shown(), other._shown(), strict=True)
        return tuple(f"{title}: {ours} and {theirs}" for (title, ours), (_, theirs) in pairs if ours != theirs)

    def to_json(self) -> dict[str, Any]:
        """The environment as JSON values: text, integers, lists of text and null, by the names of the fields."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in ((name, getattr(self, name)) for name in _TITLES)
        }

    def _shown(self) -> Iterator[tuple[str, str]]:
        for name, title in _TITLES.items():
            value = getattr(self, name)
            text = " ".join(value) or "none" if isinstance(value, tuple) else value
            yield title, "unknown" if text is None else str(text)


_TITLES = {
    "purenet": "purenet",
    "python": "Python",
    "numpy": "NumPy",
    "system": "system",
    "c_library": "C library",
    "machine": "machine",
    "byte_order": "byte order",
    "processor": "processor",
    "blas": "BLAS",
    "blas_version": "BLAS version",
    "blas_configuration": "BLAS configuration",
    "blas_kernel": "BLAS kernel",
    "blas_threads": "BLAS threads",
    "simd": "SIMD in use",
    "simd_off": "SIMD not in use",
}
"""Every field of an environment, as a reader sees it."""


def environment() -> Environment:
    """What this process computes with: a record of versions, platform, BLAS and SIMD features.

    It looks at the process and the machine and changes neither. It never raises; what cannot be found out is None.

    Example:
        >>> environment().numpy == np.__version__
        True
    """
    import platform

    return Environment(
        purenet=sys.modules["purenet"].__version__,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        numpy=np.__version__,
        system=platform.system() or None,
        c_library=" ".join(platform.libc_ver()).strip() or None,
        machine=platform.machine() or None,
        byte_order=sys.byteorder,
        processor=_processor() or platform.processor() or None,
        **_blas(),
        simd=_in_use(True),
        simd_off=_in_use(False),
    )


def from_json(value: Any) -> Environment:
    """The environment that `to_json` made JSON values of; names that this version does not know are left out.

    Raises:
        StorageError: if something is missing or has another type.

    Example:
        >>> from_json(environment().to_json()).differences(environment())
        ()
    """
    if not isinstance(value, Mapping):
        raise StorageError(f"expected an object, got {type(value).__name__}", path="environment")
    fields: dict[str, Any] = {}
    for name in _TITLES:
        if name not in value:
            raise StorageError("this is missing", path=f"environment.{name}")
        found, kinds = value[name], _KINDS.get(name, _OPTIONAL)
        items = found if isinstance(found, list) else []
        if type(found) not in kinds or not all(type(item) is str for item in items):
            expected = " or ".join(kind.__name__ for kind in kinds).replace("NoneType", "null")
            raise StorageError(f"expected {expected}, got {found!r:.60}", path=f"environment.{name}")
        fields[name] = tuple(items) if isinstance(found, list) else found
    return Environment(**fields)


_OPTIONAL: tuple[type, ...] = (str, type(None))
_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("purenet", "python", "numpy", "byte_order"), (str,)),
    **dict.fromkeys(("simd", "simd_off"), (list, type(None))),
    "blas_threads": (int, type(None)),
}
"""The types of what stands under a name in JSON."""


def _processor() -> str | None:
    """The model of the processor where Linux tells it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return None


def _extension() -> Any:
    """NumPy's compiled core, which is loaded; its place in the package has changed over time."""
    return sys.modules.get("numpy._core._multiarray_umath") or sys.modules.get("numpy.core._multiarray_umath")


def _in_use(wanted: bool) -> tuple[str, ...] | None:
    """The instruction sets that NumPy has loops for and that are in use, or those that are not."""
    core = _extension()
    features = getattr(core, "__cpu_features__", None)
    if features is None:
        return None
    named = (*getattr(core, "__cpu_baseline__", ()), *getattr(core, "__cpu_dispatch__", ()))
    return tuple(name for name in named if bool(features.get(name)) is wanted)


def _blas() -> dict[str, Any]:
    """What NumPy was built with, and above it what the OpenBLAS that is loaded says of itself."""
    built: Any = {}
    with suppress(Exception):  # what NumPy tells of its build has changed its form before
        built = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    told = {name: built[key] for name, key in _BUILT.items() if isinstance(built.get(key), str)}
    return {**dict.fromkeys((*_BUILT, "blas_kernel", "blas_threads")), **told, **loaded_blas()}


_BUILT = {"blas": "name", "blas_version": "version", "blas_configuration": "openblas configuration"}


def loaded_blas() -> dict[str, Any]:
    """What the OpenBLAS that NumPy uses says of itself, by the names of the fields; empty if none can be asked."""
    with suppress(Exception):  # nothing that a foreign library does is worth failing for; nor has every Python ctypes
        return _loaded_openblas()
    return {}


def _loaded_openblas() -> dict[str, Any]:
    """The same; it may raise anything. Empty if NumPy uses another BLAS."""
    import ctypes

    for library in _libraries():
        for prefix, suffix in (("scipy_", "64_"), ("", "64_"), ("scipy_", ""), ("", "")):
            names = (f"{prefix}openblas_get_{what}{suffix}" for what in ("corename", "num_threads", "config"))
            functions: list[Any] = [getattr(library, name, None) for name in names]
            if None in functions:
                continue
            corename, num_threads, config = functions
            corename.restype = config.restype = ctypes.c_char_p
            num_threads.restype = ctypes.c_int
            kernel = corename().decode()
            words = [word for word in config().decode().split() if word != kernel]
            version = {"blas_version": words[1]} if words[:1] == ["OpenBLAS"] and len(words) > 1 else {}
            built = {"blas_configuration": " ".join(words), **version}
            return {"blas": "OpenBLAS", **built, "blas_kernel": kernel, "blas_threads": num_threads()}
    return {}


def _libraries() -> Iterator[Any]:
    """The libraries in which to look for functions of OpenBLAS, none of which is loaded for the purpose.

    A name is looked up in NumPy's compiled core and in what it is linked with; Windows looks into one library alone, so
    there it is the one that comes with NumPy.
    """
    import ctypes

    files = [file] if (file := getattr(_extension(), "__file__", None)) else []
    if os.name == "nt":
        files += map(str, (Path(np.__file__).parents[1] / "numpy.libs").glob("*openblas*.dll"))
    for file in files:
        with suppress(OSError):
            yield ctypes.CDLL(file)
