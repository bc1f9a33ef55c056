"""Transformations: from a function of trees of arrays to its derivatives."""

from purenet.transforms.check import check_grads
from purenet.transforms.custom import custom_vjp, stop_gradient
from purenet.transforms.forward import hessian, hvp, jacobian, jvp
from purenet.transforms.portability.function import portable
from purenet.transforms.reverse import grad, value_and_grad, vjp

__all__ = [
    "check_grads",
    "custom_vjp",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "portable",
    "stop_gradient",
    "value_and_grad",
    "vjp",
]
