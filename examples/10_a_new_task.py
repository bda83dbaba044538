"""A task of your own in closed form: a boat that must hold a place in a current."""

import jax
import jax.numpy as jnp

import metaenvs
from agents.cli import main as command
from metaenvs.tasks.base import DMControlTask, TaskParams, TaskState
from metaenvs.testing import check_env
from metaenvs.trial import OBSERVE


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


def harbour(split="train", projection="orthogonal", episodes_per_trial=2, observe=OBSERVE):
    """Two boats, and a flood that is never trained on: one program, other params."""
    boats = {"boat_calm": 0.2, "boat": 0.5, "boat_flood": 1.5}
    return metaenvs.RandomProjection(
        [Boat(name, BoatParams(current=current)) for name, current in boats.items()],
        obs_size=6,
        projection=projection,
        episodes_per_trial=episodes_per_trial,
        observe=observe,
        splits={"train": ("boat_calm", "boat"), "held_out": ("boat_flood",)},
        split=split,
        name="Harbour-v0",
    )


def main(
    steps: int = 500_000, out: str = "runs/example-boat", settings: tuple[str, ...] = ()
) -> None:
    metaenvs.register("Harbour-v0", harbour)
    check_env(*metaenvs.make("Harbour-v0", split="held_out"))
    train = ["train", "--preset", "demo", "--env", "Harbour-v0", "--steps", str(steps)]
    command([*train, "--out", out, "--resume", *settings])


if __name__ == "__main__":
    main()
