"""Writes docs/names.md, which lists all public names; run it when one was added or is called in another way."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from repository import ROOT

import purenet as pn

PAGE = ROOT / "docs" / "names.md"

_INTRODUCTION = """# All names

Every public name, how it is called, and the first sentence of what `help` says about it. This page is generated
(`python tests/names_page.py`).
"""

_SECTIONS = {
    "Networks": """mlp dense layer_norm Sequential Residual Dense Dropout Flatten LayerNorm Elu Gelu LeakyRelu Relu
        Sigmoid Silu Softplus Tanh forward initializers.*""",
    "Losses": "losses.*",
    "Training": "objective make_step init_state State train",
    "Optimizers": """sgd adam adamw rmsprop adagrad chain clip clip_by_global_norm add_decayed_weights trace scale
        scale_by_adam scale_by_learning_rate scale_by_rms scale_by_root_sum_of_squares scale_by_schedule scale_leaves
        masked""",
    "Schedules": "schedules.*",
    "Data": """Dataset Batches read_csv to_dataset read_npy read_npz train_test_split standardize Standardize one_hot
        Model""",
    "Derivatives": """grad value_and_grad vjp jvp jacobian hessian hvp per_example_grads stop_gradient custom_vjp
        check_grads""",
    "The same bits": "portable Portable Native same_bits digest selftest environment",
    "Runs on disk": "Run record Snapshots open_history History resume fork verify diff prune record_states",
    "Randomness": "key split fold_in random.*",
    "Records, trees and files": "struct static Array register save load ravel tree.*",
    "Errors": "errors.*",
}


def sections() -> dict[str, dict[str, Any]]:
    """What each section lists, by name."""
    return {title: dict(_listed(words.split())) for title, words in _SECTIONS.items()}


def _listed(words: list[str]) -> Iterator[tuple[str, Any]]:
    for word in words:
        if word.endswith(".*"):
            module = word.removesuffix(".*")
            for name in members(module):
                yield f"{module}.{name}", getattr(getattr(pn, module), name)
        else:
            yield word, getattr(pn, word)


def members(module: str) -> list[str]:
    """The names of a public module: what it exports, but not again what is `pn.name` or a class behind a function."""
    found = getattr(pn, module)
    if module in ("errors", "initializers"):  # modules whose every name is public
        mine = {
            name: value for name, value in vars(found).items() if getattr(value, "__module__", "") == found.__name__
        }
        return [name for name in mine if name[0] != "_" and (module == "initializers" or isinstance(mine[name], type))]
    behind = {"schedules", "random"}
    return [name for name in found.__all__ if name not in pn.__all__ and not (module in behind and name[0].isupper())]


def unlisted() -> set[str]:
    """The public names that no section lists."""
    listed = {name.partition(".")[0] for names in sections().values() for name in names}
    return set(pn.__all__) - listed


def page() -> str:
    """The text of the page."""
    parts = [_INTRODUCTION]
    for title, names in sections().items():
        rows = [f"| `{_called(name, value)}` | {_sentence(value)} |" for name, value in names.items()]
        parts.append("\n".join([f"## {title}\n", "| `pn.` | |", "| --- | --- |", *rows, ""]))
    return "\n".join(parts)


_NOT_CALLED = (pn.Array, pn.History, *vars(pn.errors).values())


def _called(name: str, value: Any) -> str:
    """A name with the parameters and defaults of what it stands for, if that is for users to call."""
    if value in _NOT_CALLED:
        return name
    parameters = [_as_written(parameter) for parameter in inspect.signature(value).parameters.values()]
    return f"{name}{inspect.Signature(parameters)}"


class _Written(str):
    """A default as one writes it."""

    __slots__ = ()
    __repr__ = str.__str__


_DEFAULTS = {"init": "initializers.he_normal", "trees": "{}", "arithmetic": "Portable()"}


def _as_written(parameter: inspect.Parameter) -> inspect.Parameter:
    plain, default = parameter.replace(annotation=inspect.Parameter.empty), parameter.default
    if default is inspect.Parameter.empty:
        return plain
    if isinstance(default, type):
        return plain.replace(default=_Written(default.__name__ if default is map else f"np.{default.__name__}"))
    return plain.replace(default=_Written(_DEFAULTS.get(parameter.name, repr(default))))


def _sentence(value: Any) -> str:
    """What a name stands for."""
    if value is pn.Array:
        return "A NumPy array: the annotation of a field that holds parameters."
    if isinstance(value, pn.initializers.VarianceScaling):
        shown = "normally" if value.distribution == "normal" else "uniformly"
        fan = "(the mean of inputs and outputs)" if value.fan == "mean" else value.fan
        return f"Random weights with mean 0 and variance {value.gain:g} / {fan}, {shown} distributed."
    paragraph = " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())
    return paragraph.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
