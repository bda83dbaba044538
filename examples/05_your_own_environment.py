"""Your own Gymnax environment, and one of Brax, as tasks of a trial. A minute on a CPU."""

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment, spaces

import metaenvs
from metaenvs import tasks


@struct.dataclass
class DroneState(environment.EnvState):
    height: jax.Array
    speed: jax.Array
    time: jax.Array


@struct.dataclass
class DroneParams(environment.EnvParams):
    gravity: float = 9.8
    max_thrust: float = 20.0
    max_steps_in_episode: int = 100


class Drone(environment.Environment):
    """Hover at height 1 by thrust in [0, max_thrust] m/s^2; a crash ends the episode."""

    @property
    def default_params(self):
        return DroneParams()

    def reset_env(self, key, params):
        height = jax.random.uniform(key, (), minval=0.5, maxval=1.5)
        state = DroneState(height=height, speed=jnp.zeros(()), time=jnp.zeros((), jnp.int32))
        return jnp.array([state.height, state.speed]), state

    def step_env(self, key, state, action, params):
        speed = state.speed + 0.05 * (action[0] - params.gravity)
        height = state.height + 0.05 * speed
        state = DroneState(height=height, speed=speed, time=state.time + 1)
        reward = jnp.exp(-((height - 1.0) ** 2))
        return jnp.array([height, speed]), state, reward, height < 0.0, {}

    def action_space(self, params):
        return spaces.Box(0.0, params.max_thrust, (1,))

    def observation_space(self, params):
        return spaces.Box(-jnp.inf, jnp.inf, (2,))


def main():
    drone = tasks.from_gymnax(Drone())
    pole = tasks.from_brax("inverted_pendulum", backend="spring", max_steps=100)
    env = metaenvs.RandomProjection([drone, pole], obs_size=6, action_size=2, episodes_per_trial=2)
    params, steps = env.default_params, env.trial_length()

    def random_policy(key):
        def step(state, key):
            key_action, key_step = jax.random.split(key)
            action = env.action_space(params).sample(key_action)
            _, state, reward, _, _, info = env.step(key_step, state, action, params)
            return state, (info["task_id"], info["episode_over"], reward)

        keys = jax.random.split(key, 1 + steps)
        return jax.lax.scan(step, env.reset(keys[0], params)[1], keys[1:])[1]

    keys = jax.random.split(jax.random.key(0), 64)
    task_id, over, reward = jax.jit(jax.vmap(random_policy))(keys)
    for i, name in enumerate(env.task_names):
        mine = task_id == i
        length = mine.sum() / (mine & over).sum()
        print(f"{name:18s} reward {reward[mine].mean():.2f} a step, {length:.0f} steps an episode")


if __name__ == "__main__":
    main()
