"""`Model`: what training did to the data is done again, or undone, when the network predicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from laws import assert_pure

import purenet as pn
from purenet.errors import ArgumentError, DataError, PurenetError, ShapeError
from purenet.model import Model

X = np.array([[1.0, 10.0], [3.0, 30.0], [5.0, 20.0]])


def net(outputs: int = 2) -> Any:
    """A small network of two inputs."""
    return pn.mlp(pn.key(1), (2, 4, outputs))


def numbers() -> Model:
    """A model that predicts numbers, with scales on both sides."""
    return Model(net(), pn.standardize(X), pn.standardize(X * [7.0, -2.0]), ("a", "b"), "c")


def classes() -> Model:
    """A model that predicts one of three names."""
    return Model(net(3), pn.standardize(X), classes=("x", "y", "z"))


@pytest.mark.parametrize("model", [numbers(), classes()])
def test_predicting_is_pure(model: Model) -> None:
    """The rows keep their bits and stay writable, and the same rows get the same prediction."""
    x = X.copy()
    assert_pure(model.predict, x)
    assert_pure(Model(pn.Sequential(())).predict, x)
    assert x.flags.writeable


def test_a_number_comes_back_in_the_units_of_the_target() -> None:
    """The inputs are scaled, the outputs scaled back."""
    model = numbers()
    assert model.standardize_x is not None
    assert model.standardize_y is not None
    scaled = (X - model.standardize_x.mean) / model.standardize_x.scale
    expected = pn.forward(model.net, scaled) * model.standardize_y.scale + model.standardize_y.mean
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-14)


def test_a_class_is_that_of_the_largest_output() -> None:
    """Names, or whole numbers, instead of indices."""
    model = classes()
    largest = np.argmax(model.outputs(X), axis=1)
    assert model.predict(X).tolist() == [("x", "y", "z")[i] for i in largest]
    digits = Model(model.net, model.standardize_x, classes=(2, 4, 8))
    assert digits.predict(X).tolist() == [(2, 4, 8)[i] for i in largest]


def test_no_class_is_made_up_where_there_is_no_number() -> None:
    """An input that is missing has no prediction; the largest of NaN would be the first class."""
    with pytest.raises(DataError, match=r"^Model\.outputs: NaN at row 1, column 0"):
        classes().predict(np.where(X == 30.0, np.nan, X))


def test_without_scales_a_model_is_its_network() -> None:
    """Bit for bit."""
    assert pn.same_bits(Model(net()).predict(X), pn.forward(net(), X))


@pytest.mark.parametrize("model", [numbers(), classes(), Model(net())])
def test_a_loaded_model_predicts_the_same_bits(model: Model, tmp_path: Path) -> None:
    """A file holds all that a prediction needs."""
    path = tmp_path / "model.safetensors"
    pn.save(model, path)
    loaded = pn.load(path, classes=(Model,))
    assert pn.same_bits(loaded, model)
    assert pn.same_bits(loaded.predict(X), model.predict(X))
    assert (loaded.inputs, loaded.target, loaded.classes) == (model.inputs, model.target, model.classes)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Model(net(), None, pn.standardize(X), classes=(0, 1)), ArgumentError, "classes have no scale"),
        (lambda: Model(net(), pn.standardize(X), inputs=("a",)), ShapeError, r"Model.standardize_x: .*\(1,\)"),
        (lambda: Model(net(3), classes=("a", "b")).predict(X), ShapeError, "3 outputs for 2 classes"),
        (lambda: numbers().predict(X[:, :1]), ShapeError, r"Standardize.apply: .*\(2,\)"),
        (lambda: Model(net()).predict(X[:, :1]), ShapeError, r"layers\[0\]"),
    ],
)
def test_parts_that_do_not_fit_are_refused(make: Any, error: type[PurenetError], message: str) -> None:
    """With the place, what was expected and what came."""
    with pytest.raises(error, match=message):
        make()
