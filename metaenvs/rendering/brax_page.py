"""A trial of a Brax task as an HTML page: Brax's own viewer, in three dimensions."""

from pathlib import Path

import jax
import jax.numpy as jnp

from metaenvs import files
from metaenvs.evaluation import Policy
from metaenvs.rendering.animation import roll_out, writable
from metaenvs.tasks.base import Task
from metaenvs.tasks.brax.task import BraxTask
from metaenvs.trial import RandomProjection, TrialParams


def save_page(
    env: RandomProjection | Task | str,
    path: Path | str,
    *,
    task: str | None = None,
    policy: Policy | None = None,
    steps: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
    params: TrialParams | None = None,
) -> Path:
    """Roll out a trial of a Brax task and write a page that plays it; returns its path.

    The page holds the trial; the viewer's scripts it fetches from a public network
    (jsdelivr, unpkg) when it is opened. Arguments as for `animation.save_gif`.

    Raises:
        FileExistsError: if there is a file and it is not to be replaced.
        ValueError: another ending than .html, a task that is not Brax's, or see `roll_out`.
    """
    path = writable(path, "a page", ".html", overwrite)
    rollout = roll_out(env, task, policy, steps, seed, params=params)
    brax_task = rollout.task
    if not (isinstance(brax_task, BraxTask) and hasattr(brax_task.brax_env, "sys")):
        raise ValueError(
            f"{brax_task.name!r} is no task of Brax; only those are drawn as a page (.html)"
        )
    from brax import kinematics
    from brax.io import html

    sys = brax_task.brax_env.sys

    def places(state):
        coordinates = brax_task.brax_state(state).pipeline_state
        return kinematics.forward(sys, coordinates.q, coordinates.qd)[0]

    x = jax.jit(jax.vmap(places))(jax.tree.map(jnp.asarray, rollout.state))
    states = [
        _Placed(jax.tree.map(lambda leaf, t=t: leaf[t], x)) for t in range(len(rollout.reward))
    ]
    # One frame of the page is one step of the task.
    sys = sys.tree_replace({"opt.timestep": float(brax_task.brax_env.dt)})
    page = html.render(sys, states, colab=False, height="100vh")
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, page)
    return path


class _Placed:
    """What of a state the viewer reads: where the links are."""

    def __init__(self, x):
        self.x = x
