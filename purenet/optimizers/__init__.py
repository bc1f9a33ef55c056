"""Optimizers: records made of parts, each of which turns updates into updates.

`part.py` states what a part is. The parts are in `uniform.py`, those that treat all elements alike, in `adaptive.py`,
those that give each a scale of its own, and in `selection.py`, those that treat some leaves unlike others. `recipes.py`
has the optimizers known by name, each a chain of parts. `leafwise.py` carries the formulas out.
"""

from purenet.optimizers.adaptive import (
    scale_by_adam,
    scale_by_rms,
    scale_by_root_sum_of_squares,
)
from purenet.optimizers.part import (
    Part,
    chain,
)
from purenet.optimizers.recipes import (
    RECIPES,
    adagrad,
    adam,
    adamw,
    by_name,
    rmsprop,
    sgd,
)
from purenet.optimizers.selection import (
    Selection,
    add_decayed_weights,
    masked,
    scale_leaves,
    select,
)
from purenet.optimizers.uniform import (
    clip,
    clip_by_global_norm,
    scale,
    scale_by_learning_rate,
    scale_by_schedule,
    trace,
)

__all__ = [
    "RECIPES",
    "Part",
    "Selection",
    "adagrad",
    "adam",
    "adamw",
    "add_decayed_weights",
    "by_name",
    "chain",
    "clip",
    "clip_by_global_norm",
    "masked",
    "rmsprop",
    "scale",
    "scale_by_adam",
    "scale_by_learning_rate",
    "scale_by_rms",
    "scale_by_root_sum_of_squares",
    "scale_by_schedule",
    "scale_leaves",
    "select",
    "sgd",
    "trace",
]
