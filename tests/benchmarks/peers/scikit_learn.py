"""scikit-learn: `MLPRegressor.fit` from given weights, a step for each epoch of one batch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from benchmarks.peers import Training
from benchmarks.workloads import BETA1, BETA2, EPSILON, Problem, Workload, problem


def training(workload: Workload) -> Training:
    """One `fit` for all steps of a turn, so that the checks of its input are paid once.

    Its loss is half the mean squared error, and its gradient that of half the squared error summed over the outputs:
    gradient descent takes the learning rate times 2 / outputs instead. Its Adam adds epsilon before the correction
    of the bias, where the paper's algorithm adds it after.
    """
    p = problem(workload)
    model = _model(workload, p)

    def advance(state: Any, steps: int) -> tuple[Any, Any]:
        from sklearn.exceptions import ConvergenceWarning

        state.max_iter = steps
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            state.fit(p.x, p.y)
        return state, 2 * state.loss_curve_[-1]

    def fresh() -> Any:
        model.coefs_ = [weight.copy() for weight, _ in p.layers]
        model.intercepts_ = [bias.copy() for _, bias in p.layers]
        model.n_iter_, model.t_, model.loss_curve_, model.best_loss_ = 0, 0, [], float("inf")
        return model

    def losses(steps: int) -> list[float]:
        return [2 * float(loss) for loss in advance(fresh(), steps)[0].loss_curve_]

    note = "its Adam adds epsilon before the correction of the bias" if workload.optimizer == "adam" else ""
    return Training(fresh, advance, note, losses)


def _model(workload: Workload, p: Problem) -> Any:
    """An estimator that has been through one step, so that its next `fit` starts from the weights it is given."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    scale = 2 / workload.sizes[-1] if workload.optimizer == "sgd" else 1.0
    model = MLPRegressor(
        hidden_layer_sizes=workload.sizes[1:-1], solver=workload.optimizer, alpha=0.0,
        batch_size=workload.batch, learning_rate_init=scale * workload.learning_rate, max_iter=1, shuffle=False,
        tol=0.0, warm_start=True, momentum=0.0, nesterovs_momentum=False, beta_1=BETA1, beta_2=BETA2,
        epsilon=EPSILON, n_iter_no_change=10**9,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(p.x, p.y.ravel() if workload.sizes[-1] == 1 else p.y)


def prediction(workload: Workload) -> Callable[[Any], Any]:
    """`predict`."""
    p = problem(workload)
    model = _model(workload, p)
    model.coefs_ = [weight.copy() for weight, _ in p.layers]
    model.intercepts_ = [bias.copy() for _, bias in p.layers]
    return model.predict
