"""RandomProjection-StatelessCartPole-v0: POPGym's cart and pole inside trials."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import metaenvs
from metaenvs import popgym, testing

SUITE = "RandomProjection-StatelessCartPole-v0"
GAME = "popgym-PositionOnlyCartPoleEasy-v0"


@pytest.fixture(scope="module")
def played():
    """64 trials of 600 steps under random actions: states before, actions, what followed."""
    env, params = metaenvs.make(SUITE)

    def step(carry, key):
        obs, state = carry
        key_action, key_step = jax.random.split(key)
        action = jax.random.uniform(key_action, (1,), minval=-1.0, maxval=1.0)
        after = env.step(key_step, state, action, params)
        return after[:2], (obs, state, action, *after)

    def trial(key):
        key_reset, key_steps = jax.random.split(key)
        return jax.lax.scan(step, env.reset(key_reset, params), jax.random.split(key_steps, 600))[1]

    return jax.jit(jax.vmap(trial))(jax.random.split(jax.random.key(0), 64))


def test_a_step_is_popgyms_under_the_trials_maps(played):
    env, _ = metaenvs.make(SUITE)
    game, params = popgym.make(GAME), popgym.make(GAME).default_params
    _, before, action, obs, _, reward, _, _, info = played

    def expected(state, action):
        bare = env.tasks.unpack(0, state.task_state)
        right = (state.projection.action @ action)[0] > 0
        seen, after, reward, terminated, _ = game.step_env(
            jax.random.key(0), bare, right.astype(jnp.int32), params
        )
        return (
            state.projection.observation @ seen,
            reward,
            terminated,
            terminated | game.is_truncated(after, params),
        )

    seen, paid, terminated, over = jax.jit(jax.vmap(jax.vmap(expected)))(before, action)
    np.testing.assert_array_equal(info["episode_terminated"], terminated)
    np.testing.assert_array_equal(info["episode_over"], over)
    np.testing.assert_allclose(reward, paid, rtol=1e-6)
    np.testing.assert_allclose(reward, 1 / 200, rtol=1e-6)
    inside = ~np.asarray(over)
    np.testing.assert_allclose(np.asarray(obs)[inside][:, :4], np.asarray(seen)[inside], atol=1e-6)
    assert terminated.sum() > 500


def test_trials_differ_in_both_maps_and_keep_them(played):
    _, before, *_ = played
    index = np.asarray(before.episode_index)
    first_trial = np.cumprod(np.diff(index, axis=1, prepend=0) >= 0, axis=1).astype(bool)
    left_right = np.asarray(before.projection.action)[..., 0, 0]
    np.testing.assert_allclose(np.abs(left_right), 1.0, rtol=1e-6)
    assert 16 < np.sum(left_right[:, 0] > 0) < 48
    maps = np.asarray(before.projection.observation)
    for i in range(64):
        assert np.ptp(left_right[i][first_trial[i]]) == 0
        assert np.ptp(maps[i][first_trial[i]], axis=0).max() == 0
    gram = np.einsum("bij,bik->bjk", maps[:, 0], maps[:, 0])
    np.testing.assert_allclose(gram / gram[:, :1, :1], np.tile(np.eye(2), (64, 1, 1)), atol=1e-5)


def test_a_trial_is_sixteen_episodes_or_as_many_as_asked():
    env, params = metaenvs.make(SUITE)
    assert (env.trial_length(params), env.observation_size) == (16 * 200, 7)
    assert env.trial_length(metaenvs.make(SUITE, episodes_per_trial=32)[1]) == 32 * 200
    testing.check_env(*metaenvs.make(SUITE, split="held_out", episodes_per_trial=32))


def test_truncation_comes_with_the_last_episode(played):
    *_, terminated, truncated, info = played
    np.testing.assert_array_equal(
        truncated, np.asarray(info["episode_over"]) & (np.asarray(info["episode_index"]) == 15)
    )
    assert truncated.any() and not terminated.any()


def test_sign_action_refuses_other_actions():
    with pytest.raises(TypeError, match="Discrete"):
        popgym.SignAction(popgym.make("popgym-RepeatFirstEasy-v0"))
