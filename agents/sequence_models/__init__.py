"""Sequence models that share one contract (`SequenceModel`) and one table of names."""

import dataclasses
from typing import Any

from agents.sequence_models.base import SequenceModel, wipe
from agents.sequence_models.gru import GRU
from agents.sequence_models.lstm import LSTM
from agents.sequence_models.mlp import MLP
from agents.sequence_models.s5 import S5

MODELS: dict[str, type[SequenceModel]] = {"s5": S5, "gru": GRU, "lstm": LSTM, "mlp": MLP}


def make(name: str, /, **fields: Any) -> SequenceModel:
    """The model called `name` in `MODELS`, with the given fields: make("s5", width=64)."""
    if name not in MODELS:
        raise ValueError(f"unknown sequence model {name!r}; choices: {_list(MODELS)}")
    model = MODELS[name]
    own = [f.name for f in dataclasses.fields(model) if f.name not in ("parent", "name")]
    for field in fields:
        if field not in own:
            raise ValueError(f"{name!r} has no field {field!r}; choices: {_list(own)}")
    return model(**fields)


def _list(names):
    return ", ".join(map(repr, names))


__all__ = ["GRU", "LSTM", "MLP", "MODELS", "S5", "SequenceModel", "make", "wipe"]
