"""Brax's wrappers over trials."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import metaenvs
from metaenvs.adapters.brax import BraxEnv, envs, wrap

TRIAL_LENGTH = 10  # of tiny

STEPS = 2 * TRIAL_LENGTH + 3


def run(env, keys):
    """(states [STEPS, 2, ...], first state)"""

    def step(state, _):
        state = env.step(state, jnp.full((2, 2), 0.3))
        return state, state

    @jax.jit
    def all_steps(keys):
        first = env.reset(keys)
        return jax.lax.scan(step, first, length=STEPS)[1], first

    return all_steps(keys)


def test_steps_are_the_trials(tiny):
    env, params = metaenvs.make(tiny)
    brax_env = BraxEnv(env, params)
    assert (brax_env.observation_size, brax_env.action_size) == (8, 2)
    assert brax_env.trial_length == TRIAL_LENGTH
    keys = jax.random.split(jax.random.PRNGKey(0), 2)  # the kind of keys that Brax makes
    states, first = run(wrap(brax_env, TRIAL_LENGTH), keys)
    ends = np.zeros((STEPS, 2))
    ends[[TRIAL_LENGTH - 1, 2 * TRIAL_LENGTH - 1]] = 1.0
    np.testing.assert_array_equal(states.done, ends)
    np.testing.assert_array_equal(states.info["truncation"], ends)
    np.testing.assert_array_equal(
        states.info["steps"][:, 0], [t % TRIAL_LENGTH + 1 for t in range(STEPS)]
    )
    last = TRIAL_LENGTH - 1
    total = np.asarray(states.reward)[:TRIAL_LENGTH].sum(0)
    np.testing.assert_allclose(states.info["episode_metrics"]["sum_reward"][last], total, rtol=1e-5)
    np.testing.assert_allclose(states.info["trial_return"][last], total, rtol=1e-5)
    # A new trial each time, where Brax's own auto-reset brings the first one back.
    begun = [first.obs, states.obs[last], states.obs[last + TRIAL_LENGTH]]
    assert not np.isclose(begun[0], begun[1]).all() and not np.isclose(begun[1], begun[2]).all()
    theirs, _ = run(envs.training.wrap(brax_env, episode_length=TRIAL_LENGTH), keys)
    np.testing.assert_allclose(theirs.obs[last], first.obs)


def test_what_a_trial_does_itself_is_refused(tiny):
    with pytest.raises(ValueError, match=r"a trial has its own.*got 4, None"):
        wrap(BraxEnv(*metaenvs.make(tiny)), TRIAL_LENGTH, action_repeat=4)
