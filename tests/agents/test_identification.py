"""The linear model is the least-squares one, and that of a linear system its own."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import presets
from agents.learner import identification
from agents.learner.identification import FORGETTING, PRIOR
from agents.learner.trainer import Trainer

OBS, ACTION, T = 4, 2, 60


def fitted(last, action, change, reward, starts=None):
    """The model `[1, ...]` after sequences `[T, ...]`."""
    starts = jnp.zeros(T, bool) if starts is None else starts

    def step(model, element):
        batch = [x[None] for x in element]
        return identification.update(model, *batch), None

    # The first observation of all has none before it.
    sequences = [jnp.concatenate([x[:1], x]) for x in (last, action, last + change, reward)]
    first = jnp.arange(T + 1) == 0
    starts = jnp.concatenate([jnp.zeros(1, bool), starts])
    return jax.lax.scan(step, identification.empty(OBS, ACTION, 1), (*sequences, first, starts))[0]


@pytest.fixture(scope="module")
def system():
    """Transitions of x' = x + x @ drift + a @ push, paid by a linear function of both."""
    keys = jax.random.split(jax.random.key(0), 6)
    drift = 0.3 * jax.random.normal(keys[0], (OBS, OBS))
    push = jax.random.normal(keys[1], (ACTION, OBS))
    slope, pays = jax.random.normal(keys[2], (OBS,)), jax.random.normal(keys[3], (ACTION,))
    last = jax.random.normal(keys[4], (T, OBS))
    action = jax.random.normal(keys[5], (T, ACTION))
    parts = {"drift": drift, "push": push, "slope": slope, "pays": pays}
    return parts, (last, action, last @ drift + action @ push, last @ slope + action @ pays)


def test_a_linear_system_is_found(system):
    parts, transitions = system
    model = fitted(*transitions)
    for name, part in parts.items():
        np.testing.assert_allclose(getattr(model, name)[0], part, atol=0.02)
    assert np.abs(model.error).max() < 0.01


def test_it_is_the_weighted_least_squares_solution(system):
    _, (last, action, change, reward) = system
    noise = jax.random.normal(jax.random.key(7), change.shape)
    starts = jnp.arange(T) % 7 == 3
    model = fitted(last, action, change + noise, reward, starts)
    kept = np.flatnonzero(~starts)
    inputs = np.concatenate([last, action, np.ones((T, 1))], axis=1)[kept].astype(float)
    outcomes = np.concatenate([change + noise, reward[:, None]], axis=1)[kept].astype(float)
    weight = FORGETTING ** np.arange(len(kept))[::-1]
    prior = FORGETTING ** len(kept) / PRIOR * np.eye(inputs.shape[1])
    moments = (inputs * weight[:, None]).T @ inputs + prior
    expected = np.linalg.solve(moments, (inputs * weight[:, None]).T @ outcomes)
    np.testing.assert_allclose(model.weights[0], expected, rtol=1e-2, atol=2e-3)
    np.testing.assert_allclose(model.spread[0], np.linalg.inv(moments), rtol=1e-2, atol=1e-4)


def test_directions_move_along_vectors_now_and_later(system):
    parts, transitions = system
    model = fitted(*transitions)
    along, later = jax.random.normal(jax.random.key(1), (2, 1, 1, OBS))
    found = identification.directions(model, along, later)[0]
    drift, push = parts["drift"], parts["push"]
    expected = [
        push @ along[0, 0],
        push @ drift @ later[0, 0],
        push @ drift @ drift @ later[0, 0],
        parts["pays"],
    ]
    np.testing.assert_allclose(found, jnp.stack(expected), atol=0.05)


def test_it_stays_finite_over_a_long_trial_of_few_directions():
    """Observations of a task with fewer numbers than the suite's leave directions unseen."""
    basis = jax.random.normal(jax.random.key(0), (3, 12))

    def step(model, key):
        keys = jax.random.split(key)
        x = 5 * jax.random.normal(keys[0], (2, 3)) @ basis
        action = jax.random.normal(keys[1], (2, 2))
        first = model.spread[:, 0, 0] == 0
        paid, no = x[:, 0], jnp.zeros(2, bool)
        return identification.update(model, x, action, jnp.zeros_like(x), paid, first, no), None

    keys = jax.random.split(jax.random.key(1), 4000)
    model = jax.lax.scan(step, identification.empty(12, 2, 2), keys)[0]
    moved = basis @ model.drift[0]
    np.testing.assert_allclose(moved, -basis, atol=1e-2)
    for spread in (model.spread[0], model.reward_spread[0]):
        eigenvalues = np.linalg.eigvalsh(np.asarray(spread, float))
        assert eigenvalues.min() > -1e-3 * eigenvalues.max()


def test_what_is_rewarded_is_found_anew_in_every_episode():
    keys = jax.random.split(jax.random.key(3), 3)
    last, action = jax.random.normal(keys[0], (T, OBS)), jnp.zeros((T, ACTION))
    slopes = jax.random.normal(keys[1], (2, OBS))
    change = jax.random.normal(keys[2], (T, OBS))
    # The reward is for the observation that one arrives at; the second half has another.
    half = (jnp.arange(T) >= T // 2).astype(int)
    reward = 0.3 + jnp.sum((last + change) * slopes[half], axis=1)
    model = fitted(last, action, change, reward, jnp.arange(T) == T // 2)
    np.testing.assert_allclose(model.here[0], slopes[1], atol=0.03)
    np.testing.assert_allclose(model.reward[0, -1], 0.3, atol=0.03)
    assert np.abs(model.slope[0] - slopes[1]).max() > 0.3  # in all, it is a mixture


@pytest.mark.parametrize(
    ("part", "needed"), [("identification", "correlations"), ("local_model", "identification")]
)
def test_a_part_goes_with_the_one_it_is_made_of(part, needed):
    config = presets.PRESETS["in-context-lite"]
    model = dataclasses.replace(config.model, **{needed: False, part: True})
    with pytest.raises(ValueError, match=rf"model\.{part} goes with model\.{needed}, which is off"):
        Trainer(dataclasses.replace(config, model=model))
