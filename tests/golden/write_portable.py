"""Write the known answers of portable arithmetic: tests/golden/portable.json, and purenet/conformance/answers.py.

Run by hand, `python tests/golden/write_portable.py`, and only when the contract gets a new version: the digests are
the promise that no bit ever changes. Tests never call it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

HEADER = '''"""What the operations of the numeric contract give, on every machine; written once for a version of it."""

from types import MappingProxyType

ANSWERS = MappingProxyType(
    {
'''


def main() -> None:
    from portability.programs import data_of_seeds, digests

    from purenet.conformance import answer
    from purenet.conformance.operations import operations

    answers = {
        f"{group}: {name}": answer(operation)
        for group, members in operations().items()
        for name, operation in members.items()
    }
    wrong = {name: found for name, found in answers.items() if " " in found}
    if wrong:
        raise SystemExit(f"these operations raise errors: {wrong}")
    lines = "".join(f'        "{name}": "{found}",\n' for name, found in answers.items())
    table = ROOT / "purenet" / "conformance" / "answers.py"
    table.write_text(f"{HEADER}{lines}    }}\n)\n", encoding="utf-8")
    golden = {"seeds": data_of_seeds(), "digests": digests()}
    Path(__file__).with_name("portable.json").write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
