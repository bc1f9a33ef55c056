"""How the tests run a command, and read what it wrote."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any, NamedTuple

from repository import ROOT


class Done(NamedTuple):
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def losses(self) -> dict[int, float]:
        """The losses that were printed, by step."""
        return {int(step): float(loss) for step, loss in re.findall(r"^(\d+) (\S+)$", self.out, re.M)}

    def value(self, name: str) -> str:
        """A value of the summary."""
        [found] = re.findall(rf"^{re.escape(name)}  +(.*)$", self.out, re.M)
        return str(found)


def start(*words: object, encoding_of_output: str = "utf-8", **options: Any) -> subprocess.Popen[str]:
    """Start a command in a process of its own, with Python's usual answer to Ctrl-C."""
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from purenet.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding_of_output}
    command = [sys.executable, "-W", "error", "-c", program, *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True, encoding="utf-8", **options)
