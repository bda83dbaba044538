"""Draws are the same however JAX is configured."""

import jax
import numpy as np
import pytest

import metaenvs
from metaenvs import keys
from metaenvs.evaluation import RandomPolicy, run_trials

ENV = metaenvs.RandomProjection(["pendulum_swingup"])


@pytest.fixture(params=["jax_threefry_partitionable", "rbg", "unsafe_rbg"])
def otherwise(request):
    name = "jax_threefry_partitionable" if "jax" in request.param else "jax_default_prng_impl"
    before = getattr(jax.config, name)
    jax.config.update(name, False if "jax" in request.param else request.param)
    yield
    jax.config.update(name, before)


def drawn(key):
    """A trial's projection and first observation, alone and in a batch, and the next."""
    split = jax.random.split(key, 3)
    obs, state = jax.vmap(ENV.reset, (0, None))(jax.random.split(keys.key(1), 3), None)
    alone, _ = ENV.reset(jax.random.split(keys.key(1), 3)[2], None)
    np.testing.assert_allclose(alone, obs[2], rtol=1e-6)
    more = [jax.random.normal(key, (3,)), jax.random.bits(split[1]), jax.random.fold_in(key, 3)]
    data = jax.random.key_data(more.pop())
    return [np.asarray(x) for x in (obs, state.projection.observation, *more, data)]


BEFORE = drawn(keys.key(7))


def test_the_fixed_implementation_is_jaxs_default():
    np.testing.assert_array_equal(
        jax.random.key_data(keys.key(7)), jax.random.key_data(jax.random.key(7))
    )
    assert keys.key(7).dtype == jax.random.key(7).dtype
    raw = jax.random.PRNGKey(7)
    assert keys.fixed(raw) is raw


def test_draws_do_not_depend_on_the_configuration(otherwise):
    for x, y in zip(BEFORE, drawn(keys.key(7)), strict=True):
        np.testing.assert_array_equal(x, y)
    for key in (jax.random.key(7), jax.random.PRNGKey(7)):
        fixed = keys.fixed(key)
        np.testing.assert_array_equal(jax.random.normal(fixed, (3,)), BEFORE[2])
    np.testing.assert_array_equal(ENV.reset(jax.random.key(4))[0], FROM_A_SEED)


FROM_A_SEED = np.asarray(ENV.reset(jax.random.key(4))[0])


def protocol():
    trials = run_trials(RandomPolicy(2), ENV, ENV.task_names, trials_per_task=2, seed=5)
    return trials.rewards


def test_evaluations_do_not_depend_on_the_configuration():
    before = protocol()
    for name, value in (("jax_threefry_partitionable", False), ("jax_default_prng_impl", "rbg")):
        default = getattr(jax.config, name)
        jax.config.update(name, value)
        try:
            np.testing.assert_array_equal(protocol(), before)
        finally:
            jax.config.update(name, default)
