"""Params of an environment as a run's settings change them, refused where they cannot be meant."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from metaenvs import errors


def replaced(env: Any, params: Any, values: Mapping[str, float], env_id: str) -> Any:
    """`params` of `env` with `values` by name, each of the type of the one it replaces.

    Raises:
        ValueError: unknown name (the choices are listed); a value of another shape, not whole
            where a whole number is needed, not finite, or too small.
    """
    numbers = {
        field.name: getattr(params, field.name)
        for field in dataclasses.fields(params)
        if field.metadata.get("pytree_node", True)
        and jax.tree_util.all_leaves([getattr(params, field.name)])
    }
    new = {}
    for name, value in values.items():
        if name not in numbers:
            raise errors.unknown(name, numbers, f"parameter of {env_id}")
        new[name] = _as(numbers[name], value, f"env_params.{name} of {env_id}")
    params = dataclasses.replace(params, **new)
    if hasattr(env, "check_params"):
        env.check_params(params)
    return params


def _as(default: Any, value: float, what: str) -> Any:
    """`value` in place of `default`."""
    if np.shape(value) != np.shape(default):
        raise ValueError(f"{what} is no single number but {np.shape(default)} of them: {value!r}")
    if not np.isfinite(value):
        raise ValueError(f"{what} must be finite, got {value!r}")
    kind = np.asarray(default).dtype.kind
    if kind not in "iu":
        return value
    if value != int(value):
        raise ValueError(f"{what} must be a whole number, got {value!r}")
    # What is counted is there at least once.
    if int(default) > 0 and value < 1:
        raise ValueError(f"{what} must be at least 1, got {value!r}")
    return int(value)
