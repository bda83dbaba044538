"""Sequence models that share one contract (`SequenceModel`) and one table of names."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from agents.sequence_models.base import SequenceModel, wipe
from agents.sequence_models.gru import GRU
from agents.sequence_models.lstm import LSTM
from agents.sequence_models.mlp import MLP
from agents.sequence_models.rglru import RGLRU
from agents.sequence_models.s5 import S5
from agents.sequence_models.transformer import Transformer
from metaenvs import errors

MODELS: dict[str, type[SequenceModel]] = {
    "s5": S5,
    "gru": GRU,
    "lstm": LSTM,
    "transformer": Transformer,
    "rglru": RGLRU,
    "mlp": MLP,
}


def make(name: str, /, **fields: Any) -> SequenceModel:
    """The model called `name` in `MODELS`, with the given fields: make("s5", width=64).

    Raises:
        ValueError: unknown model, or a field that it lacks; the message lists the choices.
    """
    model = errors.lookup(MODELS, name, "sequence model")
    own = [f.name for f in dataclasses.fields(model) if f.name not in ("parent", "name")]
    for field in fields:
        if field not in own:
            raise errors.unknown(field, own, f"field of sequence model {name!r}")
    return model(**fields)


def count_parameters(model: SequenceModel) -> int:
    """How many numbers the model learns. Computes shapes only."""
    x, reset = jnp.zeros((1, 1, model.width)), jnp.zeros((1, 1), bool)
    variables = jax.eval_shape(model.init, jax.random.key(0), model.init_carry(1), x, reset)
    return sum(leaf.size for leaf in jax.tree.leaves(variables))


def width_for(name: str, params: int, /, **fields: Any) -> int:
    """The width at which the model called `name` has about `params` parameters.

    The nearest of the widths that the model can have: width_for("lstm", 200_000, layers=2).

    Raises:
        ValueError: as `make`, and if even the smallest model has more parameters.
    """
    multiple = make(name, **fields).width_multiple

    def count(k: float) -> int:
        return count_parameters(make(name, width=int(k) * multiple, **fields))

    smallest = count(1)
    if smallest > params:
        raise ValueError(
            f"the smallest {name!r} with these settings has {smallest:,} parameters, "
            f"more than params={params:,}"
        )
    # Weights are vectors and matrices, so their number is a polynomial of degree two in the width.
    number = np.polynomial.Polynomial.fit((1, 2, 3), (smallest, count(2), count(3)), 2)
    # Rounding may leave the smallest model's width just below 1.
    k = max(1.0, *(number - params).roots().real)
    nearest = min((np.floor(k), np.ceil(k)), key=lambda k: abs(count(k) - params))
    return multiple * int(nearest)


__all__ = [
    "GRU",
    "LSTM",
    "MLP",
    "MODELS",
    "RGLRU",
    "S5",
    "SequenceModel",
    "Transformer",
    "count_parameters",
    "make",
    "width_for",
    "wipe",
]
