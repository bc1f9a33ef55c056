"""The package as its source shows it: what each module imports, holds and calls, read without importing anything."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from repository import PACKAGE, ROOT, modules

# The house from the ground up: a module imports only from those before it.
ORDER = (
    "errors",
    "arguments",
    "records",
    "walk",
    "tree",
    "registry",
    "canonical",
    "fingerprint",
    "arithmetic",
    "keys",
    "random",
    "transforms",
    "layers",
    "loss_rules",
    "losses",
    "schedules",
    "optimizers",
    "data",
    "state",
    "unrolled",
    "training",
    "conformance",
    "per_example",
    "model",
    "safetensors",
    "structure",
    "storage",
    "history",
    "cli",
    "__main__",
)

MUTATORS = {
    "add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "reverse", "setdefault",
    "sort", "update",
}  # fmt: skip
CONTAINERS = {"dict", "list", "set", "bytearray", "defaultdict", "OrderedDict", "Counter", "deque"}
STATEFUL = {
    "WeakKeyDictionary", "WeakValueDictionary", "WeakSet", "local", "ContextVar", "count", "cycle", "iter", "Lock",
    "RLock", "RandomState", "default_rng", "Generator", "Philox",
}  # fmt: skip


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def module_name(path: Path) -> str:
    """The dotted name of a file of the package; a package is named by its `__init__`."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def module_names() -> frozenset[str]:
    """The dotted names of all modules of the package."""
    return frozenset(module_name(path) for path in modules())


def subject(name: str) -> str:
    """The member of ORDER that a module belongs to; empty for the package itself."""
    return name.split(".")[1] if "." in name else ""


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every import in a file, at any depth, as (line, module): `from a import b` is of `a.b` where that is a module."""
    name = module_name(path)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                source = ".".join([*above, source] if source else above)
            for alias in node.names:
                submodule = f"{source}.{alias.name}"
                yield node.lineno, submodule if submodule in module_names() else source


def own_imports(path: Path) -> Iterator[tuple[int, str]]:
    """The imports of a file that are of purenet's own modules."""
    return ((line, target) for line, target in imports(path) if target.split(".")[0] == PACKAGE.name)


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when a module is imported: all but the bodies of functions, and not what only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            outside = [*child.decorator_list, *child.args.defaults, *filter(None, child.args.kw_defaults)]
            for part in outside:
                yield part
                yield from at_import(part)
        elif not isinstance(child, ast.Lambda) and not _is_for_type_checkers(child):
            yield child
            yield from at_import(child)


def _is_for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and dotted(node.test).endswith("TYPE_CHECKING")


def dotted(node: ast.AST) -> str:
    """The dotted name that an expression is, such as `np.random.seed`; empty if it is something else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr}" if base else ""
    return ""


def called(node: ast.Call) -> str:
    """The last part of the name of what is called; generic parameters do not count."""
    function = node.func.value if isinstance(node.func, ast.Subscript) else node.func
    return dotted(function).rpartition(".")[2]


def module_variables(path: Path) -> Iterator[tuple[int, str, ast.expr]]:
    """The variables of a module with their values."""
    for statement in parsed(path).body:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    yield statement.lineno, target.id, statement.value
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            yield statement.lineno, statement.target.id, statement.value


def mutable_state(path: Path) -> Iterator[tuple[int, str]]:
    """The variables of a module that hold state: containers that some module changes, and objects that change.

    A dict, list or set that nothing ever changes is a table, and no state.
    """
    name = module_name(path)
    changed = mutated_names()
    for line, variable, value in module_variables(path):
        made = {called(node) for node in [value, *at_import(value)] if isinstance(node, ast.Call)}
        if made & (STATEFUL | changing_classes()):
            yield line, variable
        literal = isinstance(value, ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp)
        container = literal or (isinstance(value, ast.Call) and called(value) in CONTAINERS)
        if container and variable != "__all__" and (name, variable) in changed:
            yield line, variable
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                function = decorator.func if isinstance(decorator, ast.Call) else decorator
                if dotted(function).rpartition(".")[2] in {"cache", "lru_cache", "singledispatch"}:
                    yield node.lineno, node.name


@cache
def mutated_names() -> frozenset[tuple[str, str]]:
    """Every (module, variable) that a statement anywhere in the package changes in place."""
    return frozenset(found for path in modules() for found in _mutated_in(path))


@cache
def changing_classes() -> frozenset[str]:
    """The names of the package's classes with a method, other than its constructor, that changes the object."""
    return frozenset(
        node.name
        for path in modules()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef) and any(_changes_its_object(method) for method in node.body)
    )


def _changes_its_object(method: ast.AST) -> bool:
    if not isinstance(method, ast.FunctionDef) or method.name == "__init__":
        return False
    for node in ast.walk(method):
        set_ = [*node.targets] if isinstance(node, ast.Assign | ast.Delete) else []
        set_ += [node.target] if isinstance(node, ast.AugAssign | ast.AnnAssign) else []
        if any(dotted(target).startswith("self.") for target in [*set_, *_changed(node)]):
            return True
    return False


def _mutated_in(path: Path) -> Iterator[tuple[str, str]]:
    homes: dict[str, tuple[str, str]] = {}
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                homes[alias.asname or alias.name] = (node.module, alias.name)
    for node in ast.walk(parsed(path)):
        for target in _changed(node):
            name = dotted(target)
            first, _, rest = name.partition(".")
            if first in homes and not rest:
                yield homes[first]
            elif first in homes and "." not in rest:
                module, submodule = homes[first]
                yield f"{module}.{submodule}", rest
            elif not rest:
                yield module_name(path), first


def _changed(node: ast.AST) -> Iterator[ast.AST]:
    """The objects that a statement or call changes in place."""
    if isinstance(node, ast.Assign | ast.Delete):
        yield from (target.value for target in node.targets if isinstance(target, ast.Subscript))
    elif isinstance(node, ast.AugAssign):
        yield node.target.value if isinstance(node.target, ast.Subscript) else node.target
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
        yield node.func.value


def calls(path: Path) -> Iterator[tuple[int, str]]:
    """Every name that a file reads, as (line, dotted name)."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Name | ast.Attribute) and dotted(node):
            yield node.lineno, dotted(node)


def public_definitions(path: Path) -> Iterator[tuple[str, ast.AST]]:
    """The module, its public functions and classes, and their public methods, each with its name."""
    yield module_name(path), parsed(path)
    yield from _public_in(parsed(path), module_name(path))


def _public_in(node: ast.Module | ast.ClassDef, name: str) -> Iterator[tuple[str, ast.AST]]:
    for child in node.body:
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or child.name.startswith("_"):
            continue
        decorators = {dotted(decorator).rpartition(".")[2] for decorator in child.decorator_list}
        if decorators & {"overload", "setter", "deleter", "override"}:
            continue
        yield f"{name}.{child.name}", child
        if isinstance(child, ast.ClassDef):
            yield from _public_in(child, f"{name}.{child.name}")
