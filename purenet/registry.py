"""Names for classes and functions, so that files and digests can speak of them without holding any code.

A name in a file is looked up here and nowhere else; nothing is ever imported because a file says so. There is one table
for names that users register; what purenet itself defines needs no registration.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, TypeVar

from purenet.errors import ArgumentError
from purenet.records import is_struct_type

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*([./:-][A-Za-z0-9_]+)*", re.ASCII)
_LONGEST = 200

_registered: dict[str, Any] = {}
_names: dict[int, tuple[str, Any]] = {}  # by identity: what is registered need not be hashable
_lock = Lock()


def register(name: str) -> Callable[[T], T]:
    """Give a class or function of one's own a name, under which files and digests know it.

    The decorator returns what it decorates. Above a record it stands over `@pn.struct`. Running a definition again, as
    one does in a notebook, replaces what it defined before: the same module, name and registered name.

    Args:
        name: letters, digits and `_`, in parts joined by `.`, `-`, `/` or `:`, such as `"my.scale"`. Names that begin
            with `purenet.` are purenet's own.

    Raises:
        ArgumentError: if the name cannot be used, is taken by something else, or the object has another name already.

    Example:
        >>> @register("docs.double")
        ... def double(x):
        ...     return 2 * x
        >>> name_of(double), lookup("docs.double") is double
        ('docs.double', True)
    """
    _check_name(name)

    def decorate(thing: T) -> T:
        if not callable(thing):
            problem = f"expected a class or a function to register as {name!r}, got {type(thing).__name__}"
            raise ArgumentError(problem, path="register")
        with _lock:
            _check_free(name, thing)
            _registered[name] = thing
            _names[id(thing)] = (name, thing)
        return thing

    return decorate


def name_of(thing: Any) -> str:
    """The name under which files and digests know a class or function.

    It is the registered name; without one, a record of purenet is `purenet.Dense` and a function of purenet is
    `purenet.losses.mean_squared_error`.

    Raises:
        ArgumentError: if it has no name.
    """
    entry = _names.get(id(thing))
    if entry is not None:
        return entry[0]
    own = _own_name(thing)
    if own is not None:
        return own
    problem = f"{_describe(thing)} has no name that a file or digest could hold"
    raise ArgumentError(f'{problem}; put @pn.register("my.name") above its definition (and above @pn.struct)')


def has_name(thing: Any) -> bool:
    """Whether `name_of` has a name for a class or function."""
    return id(thing) in _names or _own_name(thing) is not None


def lookup(name: str, builtins: Mapping[str, Any] | None = None) -> Any:
    """The class or function that is known under a name.

    Args:
        name: a registered name; one that begins with `purenet.` is looked up in `builtins` alone.
        builtins: what is known without registration.

    Raises:
        ArgumentError: if nothing is known under that name.
    """
    if name.startswith("purenet."):
        if builtins is not None and name in builtins:
            return builtins[name]
        raise ArgumentError(f"this version of purenet has nothing named {name!r} that a file may hold")
    if name in _registered:
        return _registered[name]
    raise ArgumentError(f"nothing is registered as {name!r}; register it with @pn.register({name!r})")


def qualified_name(cls: Any) -> str:
    """The module and qualified name of a class or function, such as `__main__.Scale`."""
    return f"{cls.__module__}.{cls.__qualname__}"


def _check_name(name: str) -> None:
    if not isinstance(name, str):
        problem = f'expected a name, got {name!r:.60}; write @pn.register("my.name"), with the parentheses'
    elif len(name) > _LONGEST or _NAME.fullmatch(name) is None:
        expected = f'expected a name like "my.scale", of at most {_LONGEST} letters, digits and _ . - / :'
        problem = f"{expected}, got {name!r:.60}"
    elif name == "purenet" or name.startswith("purenet."):
        problem = f"{name!r} is a name of purenet's own; choose one that does not begin with purenet"
    else:
        return
    raise ArgumentError(problem, path="register")


def _check_free(name: str, thing: Any) -> None:
    """Names and things go one to one: what a file says must not depend on the order of registrations."""
    holder = _registered.get(name, thing)
    known = name_of(thing) if has_name(thing) else name
    if holder is not thing and not _is_redefinition(holder, thing):
        problem = f"{name!r} is the name of {_describe(holder)} already; choose another for {_describe(thing)}"
        raise ArgumentError(problem, path="register")
    if known != name:
        raise ArgumentError(f"{_describe(thing)} has the name {known!r} already", path="register")


def _is_redefinition(old: Any, new: Any) -> bool:
    """Whether running one definition again made both. Lambdas and local functions may be different things each time."""
    return hasattr(old, "__qualname__") and "<" not in _describe(old) and _describe(old) == _describe(new)


def _own_name(thing: Any) -> str | None:
    """The name of what a module of purenet defines; None for all else, also for a function that wraps one of them."""
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if not isinstance(module, str) or not module.startswith("purenet."):
        return None
    if getattr(sys.modules.get(module), "__dict__", {}).get(name) is not thing:
        return None
    if isinstance(thing, type) and is_struct_type(thing):
        return f"purenet.{name}"
    return f"purenet.{module.split('.')[1]}.{name}"


def _describe(thing: Any) -> str:
    return qualified_name(thing) if hasattr(thing, "__qualname__") else f"{thing!r:.60}"
