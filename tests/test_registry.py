"""Laws of register, name_of and lookup: names and things go one to one, and names reach nothing but the table."""

import functools
import sys
import threading
import types
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

import purenet as pn
from purenet import registry, tree
from purenet.errors import ArgumentError
from purenet.registry import has_name, lookup, name_of, qualified_name, register


@register("tests.registry.square")
def square(x):
    return x * x


@register("tests.registry.Scale")
@pn.struct
class Scale:
    factor: Any


def test_decorated_things_are_returned_and_found():
    """The decorator returns what it decorates; name_of and lookup are inverse to each other."""
    assert square(3) == 9
    assert name_of(square) == "tests.registry.square"
    assert lookup("tests.registry.square") is square
    assert name_of(Scale) == "tests.registry.Scale"
    assert lookup("tests.registry.Scale") is Scale
    assert has_name(Scale)


def test_any_callable_can_be_registered():
    """NumPy functions, partial objects and callables that cannot be hashed get names as functions do."""

    class Unhashable:
        __hash__ = None

        def __call__(self, x):
            return x

    for name, thing in {
        "numpy.tanh": np.tanh,
        "tests.registry.clip-1": functools.partial(np.clip, a_min=0, a_max=1),
        "tests/registry:unhashable": Unhashable(),
    }.items():
        assert register(name)(thing) is thing
        assert name_of(thing) == name
        assert lookup(name) is thing


def test_the_same_again_is_fine():
    """Registering one object under one name twice changes nothing."""
    assert register("tests.registry.square")(square) is square
    assert lookup("tests.registry.square") is square


def test_taken_names_and_second_names_are_refused():
    """Another object under a taken name, and another name for a named object, raise and leave the table as it is."""

    def other(x):
        return x

    with pytest.raises(ArgumentError, match=r"'tests.registry.square' is the name of .*square already; choose another"):
        register("tests.registry.square")(other)
    assert not has_name(other)
    with pytest.raises(ArgumentError, match=r"has the name 'tests.registry.square' already"):
        register("tests.registry.square2")(square)
    assert lookup("tests.registry.square") is square
    with pytest.raises(ArgumentError, match=r"nothing is registered as 'tests.registry.square2'"):
        lookup("tests.registry.square2")


def test_redefinition_replaces():
    """Running a definition again, as in a notebook, replaces the object; the old one keeps its name."""
    source = "def activation(x):\n    return x\nclass Layer:\n    pass\n"
    versions = []
    for _ in range(2):
        namespace: dict[str, Any] = {"__name__": "notebook"}
        exec(source, namespace)
        register("tests.registry.activation")(namespace["activation"])
        register("tests.registry.Layer")(namespace["Layer"])
        versions.append(namespace)
    assert lookup("tests.registry.activation") is versions[1]["activation"]
    assert lookup("tests.registry.Layer") is versions[1]["Layer"]
    assert name_of(versions[0]["activation"]) == "tests.registry.activation"


def test_lambdas_and_local_functions_do_not_replace():
    """Two lambdas, and two functions made in a function, have one qualified name and may be different things."""

    def make(n):
        def add(x):
            return x + n

        return add

    register("tests.registry.lambda")(lambda x: x)
    register("tests.registry.add")(make(1))
    for name, thing in (("tests.registry.lambda", lambda x: -x), ("tests.registry.add", make(2))):
        with pytest.raises(ArgumentError, match="already"):
            register(name)(thing)


BAD_NAMES = ["", " ", ".", "a.", ".a", "a..b", "1a", "a b", "a\n", "ä", "../x", "a/../b", "x" * 201, "purenet.X"]


@pytest.mark.parametrize("name", [*BAD_NAMES, "purenet", None, 3, square])
def test_bad_names_are_refused(name):
    """Names that are empty, odd, path-like, too long or purenet's own are refused with an example of a good one."""
    with pytest.raises(ArgumentError, match=r"register: .*(my\.scale|my\.name|purenet)"):
        register(name)


def test_only_callables_are_registered():
    """A value that is no class and no function has no place in the table."""
    with pytest.raises(ArgumentError, match=r"expected a class or a function to register as .*, got int"):
        register("tests.registry.three")(3)


def test_purenet_names_its_own():
    """What modules of purenet define has a name without registration, and cannot get another."""
    assert name_of(tree.leaves) == "purenet.tree.leaves"
    assert name_of(registry.name_of) == "purenet.registry.name_of"
    with pytest.raises(ArgumentError, match=r"has the name 'purenet\.tree\.leaves' already"):
        register("tests.registry.leaves")(tree.leaves)


def test_structs_of_purenet_go_by_their_class_name(monkeypatch):
    """A record defined at the top of a module of purenet is purenet.Name, wherever the module stands."""
    module = types.ModuleType("purenet.layers.made_up")
    module.Made = pn.struct(type("Made", (), {"__module__": module.__name__}))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert name_of(module.Made) == "purenet.Made"


def test_wrappers_do_not_pass_for_what_they_wrap():
    """A function that copies the name of one of purenet's own, as functools.wraps does, has no name of its own."""

    @functools.wraps(tree.leaves)
    def wrapper(*args):
        return tree.leaves(*args)

    assert wrapper.__module__ == "purenet.tree"
    assert not has_name(wrapper)
    with pytest.raises(ArgumentError, match="has no name"):
        name_of(wrapper)


def test_unnamed_things_say_how_to_name_them():
    """The error for a thing without a name shows the decorator, and points out one that stands wrongly."""
    with pytest.raises(ArgumentError, match=r'test_registry\..*<lambda> has no name .*put @pn\.register\("my\.name"\)'):
        name_of(lambda x: x)

    @pn.struct
    @register("tests.registry.Below")
    class Below:
        x: Any

    with pytest.raises(ArgumentError, match=r"put @pn\.register.* above @pn\.struct"):
        name_of(Below)


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "purenet.os", "purenet.errors.TreeError", "", "../x"])
def test_lookup_reaches_the_table_alone(name):
    """Names of things that exist elsewhere in Python are unknown."""
    with pytest.raises(ArgumentError):
        lookup(name)
    with pytest.raises(ArgumentError):
        lookup(name, {"purenet.Dense": Scale})


def test_builtins_are_an_allow_list():
    """Names of purenet's own are looked up in the mapping given, others never are."""
    assert lookup("purenet.Dense", {"purenet.Dense": Scale}) is Scale
    with pytest.raises(ArgumentError, match=r"nothing is registered as 'tests.only'"):
        lookup("tests.only", {"tests.only": Scale})


def test_qualified_name():
    """Module and qualified name, as a traceback shows them."""
    assert qualified_name(Scale) == f"{__name__}.Scale"


def test_registration_from_many_threads():
    """Of many threads that claim one name for different things, one gets it."""
    won, barrier = [], threading.Barrier(8)

    def claim(i):
        thing = functools.partial(int, i)
        barrier.wait()
        with suppress(ArgumentError):
            won.append(register("tests.registry.contested")(thing))

    threads = [threading.Thread(target=claim, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert lookup("tests.registry.contested") is won[0]
