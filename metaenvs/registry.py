"""Ids to environments: ours, users' own, and any that Gymnax knows."""

import inspect
from collections.abc import Callable
from typing import Any

import gymnax

from metaenvs import errors
from metaenvs.suites import SUITES

_factories: dict[str, Callable[..., Any]] = {}

registered_envs: list[str] = []
"""Ids that `make` knows besides Gymnax's, updated in place by `register`."""


def register(env_id: str, factory: Callable[..., Any]) -> None:
    """Make `factory(**kwargs)`, which returns a Gymnax environment, known as `env_id`.

    Raises:
        TypeError: if the id is no string or the factory cannot be called.
        ValueError: if the id is empty or taken.
    """
    if not isinstance(env_id, str) or not callable(factory):
        raise TypeError(f"register takes a string and a callable, got {env_id!r}, {factory!r}")
    if not env_id:
        raise ValueError("an environment id must not be empty")
    if env_id in _factories or env_id in gymnax.registered_envs:
        raise ValueError(f"environment id {env_id!r} is already registered")
    _factories[env_id] = factory
    registered_envs.append(env_id)


def make(env_id: str, **kwargs: Any) -> tuple[Any, Any]:
    """The environment called `env_id` and its default params.

    Args:
        env_id: one of `registered_envs`, or any id that Gymnax has registered.
        **kwargs: for a suite: `split`, `episodes_per_trial`, `projection`, `observe`.

    Raises:
        ValueError: unknown id (the message lists the choices) or a bad value.
        TypeError: unknown keyword (the message lists the valid ones).
    """
    if env_id not in _factories:
        if env_id in gymnax.registered_envs:
            return gymnax.make(env_id, **kwargs)
        error = errors.unknown(env_id, registered_envs + gymnax.registered_envs, "environment id")
        raise error
    factory = _factories[env_id]
    try:
        inspect.signature(factory).bind(**kwargs)
    except TypeError as error:
        valid = ", ".join(inspect.signature(factory).parameters)
        raise TypeError(f"{env_id}: {error}. Valid keywords: {valid}") from None
    env = factory(**kwargs)
    return env, env.default_params


for _suite in SUITES.values():
    register(_suite.id, _suite.make)
