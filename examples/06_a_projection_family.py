"""A projection family of your own: planar rotations of neighbouring numbers."""

import jax
import jax.numpy as jnp
import numpy as np

import metaenvs
from metaenvs import projections


def rotations(key: jax.Array, size: int) -> jax.Array:
    """`[size, size]`, pairs (0, 1), (2, 3), ... each turned by an angle of its own."""
    angle = jax.random.uniform(key, (size // 2,), maxval=2 * jnp.pi)
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    pairs = jnp.stack([jnp.stack([cosine, -sine], -1), jnp.stack([sine, cosine], -1)], -2)
    return jax.scipy.linalg.block_diag(*pairs, *[jnp.ones((1, 1))] * (size % 2))


class Rotations(projections.ProjectionFamily):
    """Neighbouring observations, and neighbouring actions, mixed two by two.

    Condition number 1. Sizes, padding, and that every action can be reached are the base
    class's: it scales what these two methods return.
    """

    def observation_map(self, key, n_obs):  # [obs_size, max_obs]
        return rotations(key, self.obs_size)[:, : self.max_obs]

    def action_map(self, key, n_act):  # [max_act, action_size]
        return rotations(key, self.action_size)[: self.max_act]


def main() -> None:
    projections.FAMILIES["rotations"] = Rotations
    env = metaenvs.RandomProjection(["acrobot_swingup", "reacher_easy"], projection="rotations")
    params = env.default_params
    _, states = jax.vmap(env.reset, (0, None))(jax.random.split(jax.random.key(0), 256), params)
    for i, name in enumerate(env.task_names):
        mine = states.task_id == i
        singular = np.linalg.svd(states.projection.observation[mine], compute_uv=False)
        kept = singular[:, : int(env.tasks.sizes(i)[0])]
        print(f"{name:18s} singular values from {kept.min():.3f} to {kept.max():.3f}")


if __name__ == "__main__":
    main()
