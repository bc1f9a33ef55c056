"""Layers: records of parameters, each with a forward function in plain NumPy and a hand-derived pullback."""

from purenet.layers import initializers
from purenet.layers.activations import Elu, Gelu, LeakyRelu, Relu, Sigmoid, Silu, Softplus, Tanh
from purenet.layers.basic import Dense, Dropout, Flatten, LayerNorm
from purenet.layers.combinators import Residual, Sequential
from purenet.layers.construction import dense, layer_norm, mlp
from purenet.layers.dispatch import forward

__all__ = [
    "Dense",
    "Dropout",
    "Elu",
    "Flatten",
    "Gelu",
    "LayerNorm",
    "LeakyRelu",
    "Relu",
    "Residual",
    "Sequential",
    "Sigmoid",
    "Silu",
    "Softplus",
    "Tanh",
    "dense",
    "forward",
    "initializers",
    "layer_norm",
    "mlp",
]
