"""Ids to environments: ours, users' own, and any that Gymnax knows."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import gymnax

from metaenvs import errors, popgym
from metaenvs.legacy import LegacyStep
from metaenvs.suites import SUITES

_factories: dict[str, Callable[..., Any]] = {}
_OWN: frozenset[str] = frozenset()

registered_envs: list[str] = []
"""Ids that `make` knows besides Gymnax's, updated in place by `register`."""


def register(env_id: str, factory: Callable[..., Any], *, overwrite: bool = False) -> None:
    """Make `factory(**kwargs)`, which returns a Gymnax environment, known as `env_id`.

    Gymnax knows it from then on too: `gymnax.make(env_id, **kwargs)` is `make`. With
    `overwrite` the factory takes the place of one that was registered before, as in a
    notebook whose cell is run again. Environments that were made already stay as they are.

    Raises:
        TypeError: if the id is no string or the factory cannot be called.
        ValueError: if the id is empty, or taken and not to be overwritten, or this package's
            or Gymnax's own.
    """
    if not isinstance(env_id, str) or not callable(factory):
        raise TypeError(f"register takes a string and a callable, got {env_id!r}, {factory!r}")
    if not env_id:
        raise ValueError("an environment id must not be empty")
    if env_id in _OWN or (env_id in gymnax.registered_envs and env_id not in _factories):
        raise ValueError(f"environment id {env_id!r} is already registered, and always the same")
    if env_id in _factories and not overwrite:
        raise ValueError(
            f"environment id {env_id!r} is already registered; replace it with register(..., "
            "overwrite=True)"
        )
    if env_id not in _factories:
        registered_envs.append(env_id)
    _factories[env_id] = factory
    if env_id not in gymnax.registered_envs:
        try:
            gymnax.register(env_id, functools.partial(_for_gymnax, env_id))
        except ValueError:  # known since before it was taken back
            gymnax.registered_envs.append(env_id)


def unregister(env_id: str) -> None:
    """Take back what `register` made known. Gymnax then says that it does not know the id.

    Raises:
        ValueError: if the id is not registered, or is this package's own.
    """
    if env_id in _OWN:
        raise ValueError(f"environment id {env_id!r} is always the same and stays")
    errors.lookup(_factories, env_id, "registered environment id")
    del _factories[env_id]
    registered_envs.remove(env_id)
    if env_id in gymnax.registered_envs:
        gymnax.registered_envs.remove(env_id)


def _for_gymnax(env_id: str, **kwargs: Any) -> Any:
    errors.lookup(_factories, env_id, "environment id")  # `make` would ask Gymnax
    return make(env_id, **kwargs)[0]


def keywords(env_id: str) -> tuple[str, ...]:
    """Keywords that `make` takes for an id of `registered_envs`; none for others."""
    return tuple(inspect.signature(_factories[env_id]).parameters) if env_id in _factories else ()


def make(env_id: str, *, step_api: str = "gymnax", **kwargs: Any) -> tuple[Any, Any]:
    """The environment called `env_id` and its default params.

    Args:
        env_id: one of `registered_envs`, or any id that Gymnax has registered.
        step_api: "gymnax": `step` returns the six values of Gymnax 1.0, (obs, state,
            reward, terminated, truncated, info); "legacy": the five of older versions,
            (obs, state, reward, done, info), for programs that unpack those.
        **kwargs: for a suite: `split`, `episodes_per_trial`, `projection`, `observe`.

    Raises:
        ValueError: unknown id (the message lists the choices) or a bad value.
        TypeError: unknown keyword (the message lists the valid ones).
    """
    with_step_api = errors.lookup(_STEP_APIS, step_api, "step_api")
    if env_id in _factories:
        env = _build(env_id, kwargs)
    elif env_id in gymnax.registered_envs:
        try:
            env, _ = gymnax.make(env_id, **kwargs)
        except TypeError as error:
            if not kwargs:
                raise
            raise TypeError(f"{env_id} takes no such settings: {error}") from error
    else:
        ids = dict.fromkeys(registered_envs + gymnax.registered_envs)
        raise errors.unknown(env_id, ids, "environment id")
    return with_step_api(env), env.default_params


def _build(env_id: str, kwargs: dict[str, Any]) -> Any:
    factory = _factories[env_id]
    try:
        inspect.signature(factory).bind(**kwargs)
    except TypeError as error:
        valid = ", ".join(keywords(env_id))
        raise TypeError(f"{env_id}: {error}. Valid keywords: {valid}") from None
    return factory(**kwargs)


_STEP_APIS: dict[str, Callable[[Any], Any]] = {"gymnax": lambda env: env, "legacy": LegacyStep}


for _suite in SUITES.values():
    register(_suite.id, _suite.make)
for _id in popgym.ids:
    register(_id, functools.partial(popgym.make, _id))
_OWN = frozenset(registered_envs)
