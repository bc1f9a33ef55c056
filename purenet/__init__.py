"""purenet: neural networks as a functional pipeline in plain NumPy.

Immutable records of parameters pass through pure functions; `grad` and its kin differentiate plain NumPy code; a
training run is a fold over steps, and can be replayed bit for bit.

`import purenet` loads nothing yet: each public name is loaded from its module when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what type checkers and editors read; a test holds it against the table below
    from purenet import (
        errors as errors,
        losses as losses,
        random as random,
        schedules as schedules,
        tree as tree,
    )
    from purenet.arithmetic.modes import (
        Native as Native,
        Portable as Portable,
    )
    from purenet.canonical import (
        digest as digest,
        same_bits as same_bits,
    )
    from purenet.conformance import (
        selftest as selftest,
    )
    from purenet.data import (
        Batches as Batches,
        Dataset as Dataset,
        Standardize as Standardize,
        one_hot as one_hot,
        read_csv as read_csv,
        read_npy as read_npy,
        read_npz as read_npz,
        standardize as standardize,
        to_dataset as to_dataset,
        train_test_split as train_test_split,
    )
    from purenet.fingerprint import (
        environment as environment,
    )
    from purenet.history import (
        History as History,
        Run as Run,
        Snapshots as Snapshots,
        diff as diff,
        fork as fork,
        open_history as open_history,
        prune as prune,
        record as record,
        record_states as record_states,
        resume as resume,
        train as train,
        verify as verify,
    )
    from purenet.layers import (
        Dense as Dense,
        Dropout as Dropout,
        Elu as Elu,
        Flatten as Flatten,
        Gelu as Gelu,
        LayerNorm as LayerNorm,
        LeakyRelu as LeakyRelu,
        Relu as Relu,
        Residual as Residual,
        Sequential as Sequential,
        Sigmoid as Sigmoid,
        Silu as Silu,
        Softplus as Softplus,
        Tanh as Tanh,
        dense as dense,
        forward as forward,
        initializers as initializers,
        layer_norm as layer_norm,
        mlp as mlp,
    )
    from purenet.model import (
        Model as Model,
    )
    from purenet.optimizers import (
        adagrad as adagrad,
        adam as adam,
        adamw as adamw,
        add_decayed_weights as add_decayed_weights,
        chain as chain,
        clip as clip,
        clip_by_global_norm as clip_by_global_norm,
        masked as masked,
        rmsprop as rmsprop,
        scale as scale,
        scale_by_adam as scale_by_adam,
        scale_by_learning_rate as scale_by_learning_rate,
        scale_by_rms as scale_by_rms,
        scale_by_root_sum_of_squares as scale_by_root_sum_of_squares,
        scale_by_schedule as scale_by_schedule,
        scale_leaves as scale_leaves,
        sgd as sgd,
        trace as trace,
    )
    from purenet.per_example import (
        per_example_grads as per_example_grads,
    )
    from purenet.random import (
        fold_in as fold_in,
        key as key,
        split as split,
    )
    from purenet.records import (
        Array as Array,
        static as static,
        struct as struct,
    )
    from purenet.registry import (
        register as register,
    )
    from purenet.storage import (
        load as load,
        save as save,
    )
    from purenet.training import (
        State as State,
        init_state as init_state,
        make_step as make_step,
        objective as objective,
    )
    from purenet.transforms import (
        check_grads as check_grads,
        custom_vjp as custom_vjp,
        grad as grad,
        hessian as hessian,
        hvp as hvp,
        jacobian as jacobian,
        jvp as jvp,
        portable as portable,
        stop_gradient as stop_gradient,
        value_and_grad as value_and_grad,
        vjp as vjp,
    )
    from purenet.tree import (
        ravel as ravel,
    )

__version__ = "0.1.0"

_NAMES: dict[str, tuple[str, ...]] = {
    "": ("errors", "losses", "random", "schedules", "tree"),
    "arithmetic.modes": ("Native", "Portable"),
    "canonical": ("digest", "same_bits"),
    "conformance": ("selftest",),
    "data": (
        *("Batches", "Dataset", "Standardize", "one_hot", "read_csv", "read_npy", "read_npz", "standardize"),
        *("to_dataset", "train_test_split"),
    ),
    "fingerprint": ("environment",),
    "history": (
        *("History", "Run", "Snapshots", "diff", "fork", "open_history", "prune", "record", "record_states"),
        *("resume", "train", "verify"),
    ),
    "layers": (
        *("Dense", "Dropout", "Elu", "Flatten", "Gelu", "LayerNorm", "LeakyRelu", "Relu", "Residual", "Sequential"),
        *("Sigmoid", "Silu", "Softplus", "Tanh", "dense", "forward", "initializers", "layer_norm", "mlp"),
    ),
    "optimizers": (
        *("adagrad", "adam", "adamw", "add_decayed_weights", "chain", "clip", "clip_by_global_norm", "masked"),
        *("rmsprop", "scale", "scale_by_adam", "scale_by_learning_rate", "scale_by_rms"),
        *("scale_by_root_sum_of_squares", "scale_by_schedule", "scale_leaves", "sgd", "trace"),
    ),
    "random": ("fold_in", "key", "split"),
    "records": ("Array", "static", "struct"),
    "registry": ("register",),
    "storage": ("load", "save"),
    "training": ("State", "init_state", "make_step", "objective"),
    "model": ("Model",),
    "per_example": ("per_example_grads",),
    "transforms": (
        *("check_grads", "custom_vjp", "grad", "hessian", "hvp", "jacobian", "jvp", "portable", "stop_gradient"),
        *("value_and_grad", "vjp"),
    ),
    "tree": ("ravel",),
}
"""The public names, by the module of purenet that they come from; the first row are modules themselves."""

_HOMES = {name: home for home, names in _NAMES.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name) if home else import_module(f"{__name__}.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
