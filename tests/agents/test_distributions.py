"""Policies over every kind of action space: densities, samples, shapes."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.learner import distributions
from agents.learner.distributions import Categorical, Gaussian, MultiCategorical
from metaenvs import spaces

SPACES = [spaces.Box(-1, 1, (3,)), spaces.Discrete(4), spaces.MultiDiscrete([2, 3, 5])]


def random_policy(space, batch=()):
    kind = distributions.of_space(space)
    outputs = jax.random.normal(jax.random.key(0), (*batch, kind.n_outputs(space)))
    return kind.of(outputs, space)


@pytest.mark.parametrize("space", SPACES, ids=repr)
def test_actions_have_the_shape_and_type_of_their_space(space):
    policy = random_policy(space, (7, 2))
    for action in (policy.sample(jax.random.key(1)), policy.mode()):
        assert action.shape == (7, 2, *space.shape)
        assert action.dtype == space.dtype
        assert policy.log_prob(action).shape == policy.entropy().shape == (7, 2)
    assert (
        policy.log_prob(policy.mode()) >= policy.log_prob(policy.sample(jax.random.key(2)))
    ).all()


def test_gaussian_sample_agrees_with_its_density():
    policy = Gaussian(jnp.array([1.0, -2.0]), jnp.log(jnp.array([0.5, 2.0])))
    x = jax.vmap(policy.sample)(jax.random.split(jax.random.key(0), 20_000))
    np.testing.assert_allclose(x.mean(0), [1, -2], atol=0.06)
    np.testing.assert_allclose(x.std(0), [0.5, 2], rtol=0.03)
    estimate = -jax.vmap(policy.log_prob)(x).mean()
    assert float(estimate) == pytest.approx(float(policy.entropy()), abs=0.05)


def test_categorical_against_its_probabilities():
    p = np.array([0.1, 0.2, 0.7])
    policy = Categorical.of(jnp.log(p) + 3.0, spaces.Discrete(3))
    np.testing.assert_allclose(jnp.exp(jax.vmap(policy.log_prob)(jnp.arange(3))), p, rtol=1e-5)
    np.testing.assert_allclose(policy.entropy(), -(p * np.log(p)).sum(), rtol=1e-5)
    drawn = jax.vmap(policy.sample)(jax.random.split(jax.random.key(0), 20_000))
    np.testing.assert_allclose(np.bincount(drawn) / 20_000, p, atol=0.01)
    assert policy.mode() == 2


def test_multi_categorical_is_a_distribution_over_all_combinations():
    space = spaces.MultiDiscrete([2, 3, 5])
    policy = random_policy(space)
    actions = jnp.array(list(itertools.product(*map(range, space.nvec))))
    log_p = np.asarray(jax.vmap(policy.log_prob)(actions))
    np.testing.assert_allclose(np.exp(log_p).sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(policy.entropy(), -(np.exp(log_p) * log_p).sum(), rtol=1e-4)
    np.testing.assert_array_equal(policy.mode(), actions[log_p.argmax()])
    drawn = jax.vmap(policy.sample)(jax.random.split(jax.random.key(0), 20_000))
    for i, part in enumerate(policy.parts):
        seen = np.bincount(drawn[:, i], minlength=space.nvec[i]) / 20_000
        np.testing.assert_allclose(seen, np.exp(part.log_p), atol=0.015)
    assert isinstance(policy, MultiCategorical)


def test_other_spaces_are_refused():
    with pytest.raises(TypeError, match=r"no policy over actions of .*Choices: Box, Discrete, Mul"):
        distributions.of_space(spaces.Space())
