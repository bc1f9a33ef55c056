"""Write tests/golden/contract.json: a signature of what the contract's functions give today, case by case.

Run by hand, `python tests/golden/write_contract.py`, and only when the contract gets a new version or the table of
cases grows: the signatures are the promise that no bit ever changes. Tests never call it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from contract_cases import signatures

if __name__ == "__main__":
    text = json.dumps(signatures(), indent=0)
    Path(__file__).with_name("contract.json").write_text(text + "\n", encoding="utf-8")
