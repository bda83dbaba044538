"""What a player sees of its own actions."""

import jax
import numpy as np
import pytest

from metaenvs import popgym, testing
from metaenvs.spaces import encode, flat_size

# Discrete, MultiDiscrete and Box actions; the second ends often and at any time.
IDS = [
    "popgym-AutoencodeEasy-v0",
    "popgym-MineSweeperEasy-v0",
    "popgym-PositionOnlyPendulumHard-v0",
]


@pytest.mark.parametrize("env_id", IDS)
def test_the_last_action_is_seen_and_none_of_the_episode_before(env_id):
    bare = popgym.make(env_id)
    env, params = popgym.PreviousAction(bare), bare.default_params
    space = bare.action_space(params)
    seen_size, action_size = flat_size(bare.observation_space(params)), flat_size(space)

    def step(state, key):
        action = space.sample(key)
        out = env.step(key, state, action, params)
        inner = bare.step(key, state, action, params)
        return out[1], (action, out, inner)

    def episode(key):
        obs, state = env.reset(key, params)
        return obs, jax.lax.scan(step, state, jax.random.split(key, 250))[1]

    first, (action, out, inner) = jax.jit(jax.vmap(episode))(
        jax.random.split(jax.random.key(0), 16)
    )
    obs, _, _, terminated, truncated, info = (jax.tree.map(np.asarray, x) for x in out)
    over = terminated | truncated
    one = np.asarray(jax.vmap(jax.vmap(lambda a: encode(space, a)))(action))
    see = jax.vmap(jax.vmap(lambda o: encode(bare.observation_space(params), o)))

    assert over.any() and not over.all()
    parts = np.split(obs, [seen_size, seen_size + action_size], axis=-1)
    np.testing.assert_array_equal(parts[0], see(inner[0]))
    np.testing.assert_array_equal(parts[1], np.where(over[..., None], 0.0, one))
    np.testing.assert_array_equal(parts[2][..., 0], over)
    parts = np.split(info["final_observation"], [seen_size, seen_size + action_size], axis=-1)
    np.testing.assert_array_equal(parts[0], see(inner[5]["final_observation"]))
    np.testing.assert_array_equal(parts[1], one)
    np.testing.assert_array_equal(parts[2], 0.0)
    for x, y in zip(jax.tree.leaves(out[1:5]), jax.tree.leaves(inner[1:5]), strict=True):
        np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(np.asarray(first)[:, seen_size:-1], 0.0)
    np.testing.assert_array_equal(np.asarray(first)[:, -1], 1.0)


def test_the_wrapper_keeps_the_contract():
    testing.check_env(popgym.PreviousAction(popgym.make("popgym-MineSweeperEasy-v0")))
