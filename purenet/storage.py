"""`save` and `load`: any tree as one file that holds all it needs, and no code.

The file is a safetensors file, which other programs read too: an array for each leaf, named by its path. The structure
(containers, records, static fields) is a JSON text in its metadata.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from purenet.errors import ArgumentError, StorageError
from purenet.registry import has_name, name_of
from purenet.safetensors import PathLike, parse_json, read, write
from purenet.structure import Builder, Describer, is_named_tuple_type, is_record_type

_FORMAT = "1"
_MODULES = (
    "purenet.fingerprint",
    "purenet.arithmetic.modes",
    "purenet.keys",
    "purenet.transforms.custom",
    "purenet.transforms.portability.function",
    "purenet.layers",
    "purenet.layers.initializers",
    "purenet.losses",
    "purenet.schedules",
    "purenet.optimizers.part",
    "purenet.optimizers.uniform",
    "purenet.optimizers.adaptive",
    "purenet.optimizers.selection",
    "purenet.data",
    "purenet.training",
    "purenet.conformance",
    "purenet.model",
    "purenet.history.run",
)
"""The modules whose records and functions a file may name."""


def save(tree: Any, path: PathLike) -> None:
    """Write a tree to a file: the same tree gives the same bytes, on any machine.

    The file is replaced atomically. It is written only if `load` can read it back to the same bits.

    Args:
        tree: records, tuples, named tuples, lists, dicts and None, with numbers and arrays of bool, (u)int8 to
            (u)int64, float16, float32 or float64 at the leaves.
        path: the file; by custom its name ends in `.safetensors`.

    Raises:
        DtypeError: if the tree holds something that a file cannot; it names the path in the tree.
        ArgumentError: if a static field holds a function without a name (see `pn.register`).
        StorageError: if a record has values that its own constructor refuses.
        WriteError: if the file cannot be written; it is a `StorageError` and an `OSError`.

    Example:
        >>> import pathlib, tempfile
        >>> file = pathlib.Path(tempfile.mkdtemp(), "parameters.safetensors")
        >>> save({"weight": (1.0, None), "steps": 3}, file)
        >>> load(file)
        {'steps': 3, 'weight': (1.0, None)}
    """
    import json

    describer = Describer(builtins)
    structure = describer.describe(tree)
    text = json.dumps(structure, ensure_ascii=False, separators=(",", ":"))
    write(path, describer.arrays, {"purenet.format": _FORMAT, "purenet.tree": text})


def load(path: PathLike, classes: Iterable[Any] = ()) -> Any:
    """The tree that `save` wrote, bit for bit; its arrays are read-only.

    A safetensors file of another program is loaded as a dict of its arrays.

    Args:
        path: the file.
        classes: records, named tuples and functions of one's own that the file may name, besides the registered ones.

    Raises:
        StorageError: if the file is damaged or hostile, or names something that is not known here.
        OSError: if it cannot be opened.

    Example:
        >>> import pathlib, tempfile
        >>> import purenet as pn
        >>> @pn.struct
        ... class Double:
        ...     inner: pn.Dense
        >>> file = pathlib.Path(tempfile.mkdtemp(), "net.safetensors")
        >>> save(Double(pn.dense(pn.key(0), 3, 2)), file)
        >>> load(file, classes=(Double,))
        Double(inner=Dense(weight: float64[3, 2], bias: float64[2]))
    """
    if isinstance(classes, type) or not isinstance(classes, Iterable):
        raise ArgumentError(f"expected a tuple of classes, got {classes!r:.60}; write (Scale,)", path="classes")
    arrays, metadata = read(path)
    if not any(key.startswith("purenet.") for key in metadata):
        return arrays
    try:
        if metadata.get("purenet.format", _FORMAT) != _FORMAT:
            version = metadata["purenet.format"]
            raise StorageError(f"it has format {version!r:.20}, this version of purenet reads {_FORMAT!r}")
        if set(metadata) != {"purenet.digest", "purenet.format", "purenet.tree"}:
            raise StorageError(f"its metadata is not what purenet writes: {sorted(metadata)!r:.200}")
        builder = Builder(arrays, tuple(classes), builtins)
        tree = builder.build(parse_json(metadata["purenet.tree"], "its structure"))
        if builder.arrays:
            raise StorageError(f"its structure has no place for the array {min(builder.arrays)!r:.80}")
    except RecursionError:
        raise StorageError("its structure is nested too deeply", path=str(path)) from None
    except StorageError as error:
        raise StorageError(f"{error}", path=str(path)) from error
    return tree


def builtins() -> dict[str, Any]:
    """Everything in purenet that a file may name: records, named tuples, and the public functions of the losses."""
    from importlib import import_module

    found: dict[str, Any] = {}
    for module in map(import_module, _MODULES):
        for key, value in vars(module).items():
            is_type = is_record_type(value) or is_named_tuple_type(value)
            is_loss = not is_type and str(getattr(value, "__module__", "")).startswith("purenet.losses")
            if (is_type or is_loss) and not key.startswith("_") and has_name(value):
                found[name_of(value)] = value
    return {name: value for name, value in found.items() if name.startswith("purenet.")}
