"""A reader of histories written from docs/history-format.md alone: no purenet, the standard library and NumPy only.

It checks what it reads. As a program: python tests/history_reader.py FOLDER
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

DTYPES = {"BOOL": "?", "F16": "<f2", "F32": "<f4", "F64": "<f8"} | {
    f"{kind}{8 * size}": f"<{kind.lower()}{size}" for kind in "IU" for size in (1, 2, 4, 8)
}


def check(is_right, file, what):
    """Stop at the first thing that is wrong."""
    if not is_right:
        raise ValueError(f"{file}: {what}")


def document(path):
    """A JSON document whose digest is right."""
    data = path.read_bytes()
    blank = data[:11] + b"0" * 64 + data[75:]
    check(data[11:75].decode() == hashlib.sha256(blank).hexdigest(), path.name, "wrong digest")
    contents = json.loads(data)
    check(contents["format"] == "purenet history 1", path.name, "unknown format")
    return contents


def saved(path, size, digest):
    """The arrays of a file of this digest, by name."""
    data = path.read_bytes()
    blank = data[:43] + b"0" * 64 + data[107:]
    is_right = len(data) == size and data[43:107].decode() == digest == hashlib.sha256(blank).hexdigest()
    check(is_right, path.name, "wrong size or digest")
    start = 8 + int.from_bytes(data[:8], "little")
    entries = {name: entry for name, entry in json.loads(data[8:start]).items() if name != "__metadata__"}
    content = {name: data[start:][slice(*entry["data_offsets"])] for name, entry in entries.items()}
    return {n: np.frombuffer(content[n], DTYPES[e["dtype"]]).reshape(e["shape"]) for n, e in entries.items()}


class History:
    """The manifest, the records up to the first that is not right, and the stored states."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.manifest, self.index = (document(self.folder / f"{name}.json") for name in ("manifest", "index"))
        self.data = (self.folder / "journal").read_bytes()
        self.size = 48 + 8 * len(self.manifest["metrics"])
        check(self.data[32:64].hex() == self.manifest["digest"] == self.index["manifest"], "journal", "another run's")
        check(hashlib.sha256(self.data[:64]).digest()[:16] == self.data[64:80], "journal", "wrong header")
        count = next(n for n in range(len(self.data)) if not self.follows(n))
        check(count >= self.index["records"], "journal", f"damaged or cut short at record {count}")
        metrics = ("metrics", "<f8", (len(self.manifest["metrics"]),))
        record = np.dtype([("step", "<u8"), ("loss", "<f8"), ("check", "V16"), metrics, ("chain", "V16")])
        self.records = np.frombuffer(self.data, record, count, 80)

    def follows(self, n):
        """Whether record n is whole and goes on from what stands before it."""
        end = 80 + (n + 1) * self.size
        chain = hashlib.sha256(self.data[end - self.size - 16 : end - 16]).digest()[:16]
        return len(self.data) >= end and chain == self.data[end - 16 : end]

    def snapshot(self, step):
        """The arrays of the state after so many steps."""
        [found] = [entry for entry in self.index["snapshots"] if entry[0] == step]
        return saved(self.folder / "snapshots" / f"{step:012d}.safetensors", *found[1:])


if __name__ == "__main__":
    history = History(sys.argv[1])
    print("losses:", *history.records["loss"])
    for step, _, _ in history.index["snapshots"]:
        print(f"after {step} steps:", {name: list(array.shape) for name, array in history.snapshot(step).items()})
