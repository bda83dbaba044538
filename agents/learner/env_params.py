"""Params of an environment as a run's settings change them, refused where they cannot be meant."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from metaenvs import errors


def replaced(env: Any, params: Any, values: Mapping[str, float], env_id: str) -> Any:
    """`params` of `env` with `values` by name, each of the type of the one it replaces.

    A parameter that holds one number for each task is changed for one of them by
    `parameter.task`: `task_weights.finger_spin`.

    Raises:
        ValueError: unknown name or task (the choices are listed); a value of another shape,
            not whole where a whole number is needed, not finite, or too small.
    """
    numbers = {
        field.name: getattr(params, field.name)
        for field in dataclasses.fields(params)
        if field.metadata.get("pytree_node", True)
        and jax.tree_util.all_leaves([getattr(params, field.name)])
    }
    new: dict[str, Any] = {}
    tasks = getattr(env, "task_names", ())
    for name, value in values.items():
        parameter, dot, _ = name.partition(".")
        if parameter not in numbers:
            raise errors.unknown(parameter, numbers, f"parameter of {env_id}")
        old = new.get(parameter, numbers[parameter])
        new[parameter] = (
            _of_task(old, tasks, name, value, env_id)
            if dot
            else _as(old, value, f"env_params.{name} of {env_id}")
        )
    params = dataclasses.replace(params, **new)
    if hasattr(env, "check_params"):
        env.check_params(params)
    return params


def _of_task(old: Any, tasks: Sequence[str], name: str, value: float, env_id: str) -> jax.Array:
    """`old [n_tasks]` with `value` for the task in `name`, which is `parameter.task`."""
    what = f"env_params.{name} of {env_id}"
    parameter, _, task = name.partition(".")
    if not tasks or np.shape(old) != (len(tasks),):
        raise ValueError(f"{what}: {parameter} does not hold one number for each task")
    if task not in tasks:
        raise errors.unknown(task, tasks, f"task of {env_id}")
    place = tasks.index(task)
    return jnp.asarray(old).at[place].set(_as(old[place], value, what))


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
