"""purenet: neural networks as a functional pipeline in plain NumPy."""

from purenet import errors, tree
from purenet.records import Array, static, struct
from purenet.tree import ravel

__all__ = ["Array", "errors", "ravel", "static", "struct", "tree"]
