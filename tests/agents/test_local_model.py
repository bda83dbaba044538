"""The correction is the Kalman filter's, and follows what a model of the whole trial cannot."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.learner import identification, local_model
from agents.learner.local_model import LASTING, USUAL

OBS, ACTION, T = 3, 2, 40


def followed(last, action, change, starts=None):
    """Models of the trial and corrections after each of T decisions, `[T, 1, ...]`."""
    starts = jnp.zeros(T, bool) if starts is None else starts

    def step(carry, element):
        model, correction = carry
        last, action, x, first, starts = [part[None] for part in element]
        reward = jnp.zeros(1)
        model = identification.update(model, last, action, x, reward, first, starts)
        correction = local_model.update(correction, model, last, action, first | starts)
        return (model, correction), (model, correction)

    nothing = identification.empty(OBS, ACTION, 1), local_model.empty(OBS, ACTION, 1)
    # The first observation of all has none before it.
    sequences = [jnp.concatenate([x[:1], x]) for x in (last, action, last + change)]
    starts = jnp.concatenate([jnp.zeros(1, bool), starts])
    first = jnp.arange(T + 1) == 0
    found = jax.lax.scan(step, nothing, (*sequences, first, starts))[1]
    return jax.tree.map(lambda x: x[1:], found)


@pytest.fixture(scope="module")
def decisions():
    keys = jax.random.split(jax.random.key(0), 3)
    shapes = (T, OBS), (T, ACTION), (T, OBS)
    return [jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True)]


def test_it_is_the_posterior_of_weights_that_return_to_zero(decisions):
    """By the joint distribution of all errors and the weights at the end, without recursion."""
    start = 25
    model, correction = followed(*decisions, jnp.arange(T) == start)
    since = np.arange(start + 1, T)
    inputs = np.concatenate([*decisions[:2], np.ones((T, 1))], axis=1).astype(float)[since]
    errors = np.asarray(model.error[:, 0], float)[since]
    lags = np.abs(since[:, None] - since[None])
    shared = inputs @ inputs.T * USUAL * LASTING**lags
    at_end = USUAL * LASTING ** lags[:, -1:] * inputs
    gain = np.linalg.solve(shared + np.eye(len(since)), at_end).T
    np.testing.assert_allclose(correction.weights[-1, 0], gain @ errors, rtol=1e-3, atol=1e-4)
    spread = USUAL * np.eye(OBS + ACTION + 1) - gain @ at_end
    np.testing.assert_allclose(correction.spread[-1, 0], spread, rtol=1e-3, atol=1e-4)


def test_it_follows_a_push_that_turns_round(decisions):
    """As that of a cart does, when its pole stands instead of hanging."""
    last, action, _ = decisions
    push = jnp.asarray([[1.0, -0.5, 0.3], [0.2, 0.8, -1.0]])
    way = jnp.where(jnp.arange(T) < T // 2, 1.0, -1.0)[:, None]
    model, correction = followed(last, action, way * (action @ push))
    model, correction = jax.tree.map(lambda x: x[-1], (model, correction))
    here = correction.of(model)
    wrong, still = (np.linalg.norm(of.push[0] + push) for of in (model, here))
    assert wrong > 0.9 * np.linalg.norm(push)  # of the whole trial, it is neither
    assert still < 0.7 * wrong
    assert np.sum(here.push[0] * push) < 0  # the way it is now
    np.testing.assert_array_equal(here.spread, model.spread)


def test_at_an_episodes_start_it_is_none(decisions):
    correction = followed(*decisions, jnp.arange(T) == T - 1)[1]
    assert np.abs(correction.weights[-2]).max() > 0
    np.testing.assert_array_equal(correction.weights[-1], 0)
    np.testing.assert_allclose(correction.spread[-1, 0], USUAL * np.eye(OBS + ACTION + 1))
