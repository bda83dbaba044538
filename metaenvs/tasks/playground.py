"""MuJoCo Playground's environments as tasks. Playground is imported only when one is made.

Source: Zakka et al. 2025 (arXiv 2502.08844), https://playground.mujoco.org.
Needs `pip install "metaenvs[playground]"`.
"""

from typing import Any

from metaenvs import errors
from metaenvs.tasks.base import Task
from metaenvs.tasks.brax.task import BraxParams, BraxTask


def from_playground(
    env: str,
    max_steps: int | None = None,
    *,
    name: str | None = None,
    config_overrides: dict[str, Any] | None = None,
) -> Task:
    """An environment of MuJoCo Playground as a task: `from_playground("CheetahRun")`.

    Dynamics (MJX in JAX), rewards, termination and initial states are Playground's. What
    changes is what changes for Brax (`from_brax`): actions are clipped to [-1, 1] first,
    a step that is not finite ends the episode. Observations are Playground's own.

    Its DM Control tasks take fewer solver iterations and contacts than dm_control's; the
    native tasks of `metaenvs.tasks.make` are dm_control's own.

    Args:
        env: a name in `mujoco_playground.registry.ALL_ENVS`.
        max_steps: time limit of an episode (default: the environment's).
        name: of the task (default: the environment's).
        config_overrides: for `mujoco_playground.registry.load`. `impl` is "jax" unless
            it says otherwise.

    Raises:
        ImportError: Playground is not installed.
        ValueError: unknown name (the choices are listed); max_steps below 1.
        TypeError: an environment whose observation is not one vector.
    """
    try:
        from mujoco_playground import registry
    except ImportError as error:
        raise ImportError(
            f'Playground tasks need MuJoCo Playground: pip install "metaenvs[playground]" ({error})'
        ) from error
    if env not in registry.ALL_ENVS:
        raise errors.unknown(env, registry.ALL_ENVS, "Playground environment")
    if max_steps is None:
        max_steps = int(registry.get_default_config(env).episode_length)
    if max_steps < 1:
        raise ValueError(f"max_steps must be at least 1, got {max_steps}")
    made = registry.load(env, config_overrides={"impl": "jax"} | (config_overrides or {}))
    return BraxTask(made, name or env, BraxParams(max_steps_in_episode=max_steps))
