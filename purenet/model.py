"""`Model`: a network with all that it takes to predict from raw data: the scales, the columns and the classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from purenet.data.dataset import check_finite
from purenet.data.preparation import Standardize
from purenet.errors import ArgumentError, ShapeError
from purenet.layers import forward
from purenet.records import Array, frozen, static, struct


@struct
class Model:
    """A trained network together with what was done to its data; `purenet fit --save` writes one.

    Args:
        net: the network.
        standardize_x: what the inputs go through before the network; None if nothing.
        standardize_y: what the targets went through in training, undone in predictions; None if nothing.
        inputs: the names of the input columns, in order; None if they have none.
        target: the name of what is predicted; None if it has none.
        classes: the classes that the outputs of the network stand for; None if it predicts numbers.

    Raises:
        ShapeError: if the parts do not fit together.
        ArgumentError: if there are classes and `standardize_y`, too.

    Example:
        >>> from purenet.layers import Dense
        >>> model = Model(Dense(np.array([[1.0, -1.0]])), classes=("high", "low"))
        >>> model.predict(np.array([[3.0], [-5.0]]))
        array(['high', 'low'], dtype='<U4')
    """

    net: Any
    standardize_x: Standardize | None = None
    standardize_y: Standardize | None = None
    inputs: tuple[str, ...] | None = static(default=None)
    target: str | None = static(default=None)
    classes: tuple[int, ...] | tuple[str, ...] | None = static(default=None)

    def __attrs_post_init__(self) -> None:
        if self.classes is not None and self.standardize_y is not None:
            raise ArgumentError("classes have no scale; leave out one of classes and standardize_y", path="Model")
        if self.inputs is not None and self.standardize_x is not None:
            expected = (len(self.inputs),)
            if self.standardize_x.mean.shape != expected:
                problem = f"expected a scale of shape {expected} for the inputs, got {self.standardize_x.mean.shape}"
                raise ShapeError(problem, path="Model.standardize_x")

    def outputs(self, x: Any) -> Array:
        """What the network itself makes of raw inputs: the logits of the classes, or numbers on its own scale.

        Args:
            x: one row per example, shape (rows, inputs).
        """
        if self.standardize_x is not None:
            x = self.standardize_x.apply(x)
        return forward(self.net, x)  # type: ignore[no-any-return]

    def predict(self, x: Any) -> Array:
        """The prediction for each row of raw inputs: the most likely class, or numbers in the units of the target.

        Args:
            x: one row per example, shape (rows, inputs).

        Returns:
            shape (rows,) for classes, else (rows, targets).

        Raises:
            DataError: if no class is the most likely, because an output is NaN or infinite; it names the row.
        """
        outputs = self.outputs(x)
        if self.classes is not None:
            if outputs.shape[-1] != len(self.classes):
                problem = f"the network has {outputs.shape[-1]} outputs for {len(self.classes)} classes"
                raise ShapeError(problem, path="Model.net")
            check_finite(outputs, "Model.outputs")
            return frozen(np.array(self.classes)[np.argmax(outputs, axis=-1)])  # type: ignore[no-any-return]
        return outputs if self.standardize_y is None else self.standardize_y.invert(outputs)
