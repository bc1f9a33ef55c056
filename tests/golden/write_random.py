"""Write tests/golden/random.json: what the draws give today.

Run by hand, `python tests/golden/write_random.py`, and only when the contract gets a new version: the values are the
promise that no bit ever changes. Tests never call it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from test_random import DRAWS, KEYS, fingerprint


def main() -> None:
    golden = {
        "keys": {name: [f"{word:016x}" for word in make().words.tolist()] for name, make in KEYS.items()},
        "draws": {name: fingerprint(draw()) for name, draw in DRAWS.items()},
    }
    Path(__file__).with_name("random.json").write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
