"""A task of your own in closed form: a boat that must hold a place in a current."""

import jax
import jax.numpy as jnp

import metaenvs
from metaenvs.tasks.base import DMControlTask, TaskParams, TaskState
from metaenvs.testing import check_env


class BoatParams(TaskParams):
    """`current` m/s^2, `drag` 1/s, `thrust` m/s^2 per unit of action; `dt` seconds a step."""

    current: float = 0.5
    drag: float = 1.0
    thrust: float = 2.0
    dt: float = 0.05
    max_steps_in_episode: int = 100


class Boat(DMControlTask[TaskState, BoatParams]):
    """Hold the origin against a current.

    - `qpos` `[2]`: place (m); `qvel` its rate. Start: place U(-1, 1), at rest.
    - Action `[2]` in [-1, 1]: thrust. Observation `[4]`: `qpos`, `qvel`.
    - Reward: exp(-2 |qpos|^2). No termination; truncated after 100 steps (5 s).
    """

    observation_size = 4
    action_size = 2

    def initial_state(self, key, params):
        place = jax.random.uniform(key, (2,), minval=-1.0, maxval=1.0)
        return TaskState(qpos=place, qvel=jnp.zeros(2), time=jnp.zeros((), jnp.int32))

    def advance(self, state, action, params):
        current = params.current * jnp.array([1.0, 0.0])
        force = params.thrust * action + current - params.drag * state.qvel
        qvel = state.qvel + params.dt * force
        return state.replace(qpos=state.qpos + params.dt * qvel, qvel=qvel)

    def observation(self, state, params):
        return jnp.concatenate([state.qpos, state.qvel])

    def reward(self, state, action, params):
        return jnp.exp(-2.0 * jnp.sum(jnp.square(state.qpos)))


def harbour(**kwargs):
    """Two boats, and a strong current that is never trained on: one program, other params."""
    calm, strong = Boat("boat_calm", BoatParams(current=0.2)), Boat("boat", BoatParams())
    flood = Boat("boat_flood", BoatParams(current=1.5))
    splits = {"train": ("boat_calm", "boat"), "held_out": ("boat_flood",)}
    return metaenvs.RandomProjection(
        [calm, strong, flood],
        obs_size=6,
        action_size=2,
        episodes_per_trial=2,
        splits=splits,
        **kwargs,
    )


def main() -> None:
    metaenvs.register("Harbour-v0", harbour)  # metaenvs train --env Harbour-v0 needs it too
    env, params = metaenvs.make("Harbour-v0", split="held_out")
    check_env(env, params)
    print(f"{env.name}: {', '.join(env.task_names)}; trials of {env.trial_length(params)} steps")


if __name__ == "__main__":
    main()
