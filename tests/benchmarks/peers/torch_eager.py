"""PyTorch: modules, `backward`, and a fused optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.peers import Training
from benchmarks.workloads import BETA1, BETA2, EPSILON, Problem, Workload, problem


def training(workload: Workload) -> Training:
    """The usual loop."""
    return trained(workload, lambda f: f)


def trained(workload: Workload, compiled: Callable[[Any], Any]) -> Training:
    """The usual loop, with the function of model and batch that computes the loss passed through `compiled`."""
    import torch

    p = problem(workload)
    x, y = torch.tensor(p.x), torch.tensor(p.y)
    functions = torch.nn.functional
    loss_of = functions.cross_entropy if workload.loss == "cross entropy" else functions.mse_loss
    objective = compiled(lambda model, x, y: loss_of(model(x), y))
    start = model(p)

    def fresh() -> tuple[Any, Any]:
        # the same parameters, set anew: a new model would be compiled again
        with torch.no_grad():
            for parameter, array in zip(start.parameters(), _parameters(p), strict=True):
                parameter.copy_(torch.tensor(array))
        return start, optimizer(workload, start)

    def advance(state: tuple[Any, Any], steps: int) -> tuple[Any, Any]:
        net, descent = state
        loss = None
        for _ in range(steps):
            descent.zero_grad()
            loss = objective(net, x, y)
            loss.backward()
            descent.step()
        return state, loss.detach()

    return Training(fresh, advance)


def optimizer(workload: Workload, net: Any) -> Any:
    """SGD or Adam over all parameters."""
    import torch

    if workload.optimizer == "sgd":
        return torch.optim.SGD(net.parameters(), workload.learning_rate, fused=True)
    return torch.optim.Adam(net.parameters(), workload.learning_rate, (BETA1, BETA2), EPSILON, fused=True)


def model(p: Problem) -> Any:
    """The network of a problem."""
    import torch

    layers: list[Any] = []
    for weight, _ in p.layers:
        layers += [torch.nn.Linear(*weight.shape, dtype=torch.tensor(weight).dtype), torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1])
    with torch.no_grad():
        for parameter, array in zip(net.parameters(), _parameters(p), strict=True):
            parameter.copy_(torch.tensor(array))
    return net


def _parameters(p: Problem) -> list[Any]:
    """The arrays in PyTorch's order: a weight has shape (n_out, n_in)."""
    return [array.T.copy() for layer in p.layers for array in layer]


def prediction(workload: Workload) -> Callable[[Any], Any]:
    """The module in inference mode, from a NumPy array to a NumPy array, which share their memory with tensors."""
    import torch

    net = model(problem(workload)).eval()

    def predict(x: Any) -> Any:
        with torch.inference_mode():
            return net(torch.from_numpy(x)).numpy()

    return predict
