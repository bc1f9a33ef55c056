"""A C library whose elementary functions are all off by a unit in the last place, as another one's may be.

It is built with the C compiler of the machine and loaded before the real one (LD_PRELOAD). Results whose last bits are
all zero stay: every C library gets `pow(2, 3)` right.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

_ONE = [
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos", "atan", "sinh",
    "cosh", "tanh", "asinh", "acosh", "atanh", "cbrt", "erf", "erfc", "tgamma", "lgamma",
]  # fmt: skip
_TWO = ["pow", "atan2", "hypot"]

_HEAD = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <string.h>
static double off(double v) {
    uint64_t b; memcpy(&b, &v, 8);
    if (v != v || v - v != 0 || (b & 0xfffff) == 0) return v;
    b ^= 1; memcpy(&v, &b, 8); return v;
}
static float offf(float v) {
    uint32_t b; memcpy(&b, &v, 4);
    if (v != v || v - v != 0 || (b & 0xff) == 0) return v;
    b ^= 1; memcpy(&v, &b, 4); return v;
}
"""


def build(folder: Path) -> Path | None:
    """The library, or None where there is no C compiler or no LD_PRELOAD."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return None
    source, library = folder / "strange.c", folder / "strange.so"
    functions = [_wrapper(name, "x", suffix) for name in _ONE for suffix in ("", "f")]
    functions += [_wrapper(name, "x, y", suffix) for name in _TWO for suffix in ("", "f")]
    source.write_text(_HEAD + "".join(functions), encoding="utf-8")
    command = [compiler, "-O1", "-fno-builtin", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return library


def _wrapper(name: str, arguments: str, suffix: str) -> str:
    kind = "float" if suffix else "double"
    parameters = ", ".join(f"{kind} {argument}" for argument in arguments.split(", "))
    return f"""
{kind} {name}{suffix}({parameters}) {{
    static {kind} (*real)({parameters});
    if (!real) real = dlsym(RTLD_NEXT, "{name}{suffix}");
    return off{suffix}(real({arguments}));
}}
"""
