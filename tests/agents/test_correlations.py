"""Correlations turn with the projection: what is invariant stays, directions follow the action."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.learner import correlations
from agents.learner.correlations import EFFECTS, FORGET, LONGEST, MEANS, USUAL, Layout
from metaenvs.projections.orthogonal import haar

LAYOUT = Layout(obs=6, action=2)
WITH_MODEL = Layout(obs=6, action=2, model=True)
WITH_LOCAL_MODEL = Layout(obs=6, action=2, model=True, local_model=True)
T, B = 12, 3


def sense(x, action, starts=None, reset=None, layout=LAYOUT):
    """Features `[T, B, F]` of observations `[T, B, 6]` and previous actions `[T, B, 2]`."""
    starts = jnp.zeros((T, B), bool) if starts is None else starts
    reset = jnp.zeros((T, B), bool) if reset is None else reset
    reward = jnp.sin(jnp.arange(T * B).reshape(T, B, 1))
    obs = jnp.concatenate([x, action, reward, 1.0 * starts[..., None]], axis=-1)

    def step(seen, element):
        return correlations.step(layout, seen, *element)

    return jax.lax.scan(step, correlations.empty(layout, B), (obs, starts, reset))[1]


@pytest.fixture(scope="module")
def trial():
    key_x, key_action = jax.random.split(jax.random.key(0))
    return jax.random.normal(key_x, (T, B, 6)), jax.random.normal(key_action, (T, B, 2))


@pytest.mark.parametrize("layout", [LAYOUT, WITH_MODEL, WITH_LOCAL_MODEL])
def test_turned_observations_and_actions_give_the_same_features_and_turned_directions(
    trial, layout
):
    x, action = trial
    turn, turn_action = haar(jax.random.key(1), 6, 6), haar(jax.random.key(2), 2, 2)
    plain = sense(x, action, layout=layout)
    turned = sense(x @ turn.T, action @ turn_action.T, layout=layout)
    assert plain.shape == (T, B, layout.features)
    vectors = (layout.directions - 1) * layout.action
    # A model of few observations is worse conditioned than they are.
    atol = 5e-3 if layout.model else 2e-4
    np.testing.assert_allclose(turned[..., :-vectors], plain[..., :-vectors], atol=atol)
    found = [
        correlations.directions(layout, jnp.concatenate([x, a, x[..., :2]], -1), features)
        for a, features in ((action, plain), (action @ turn_action.T, turned))
    ]
    assert found[0].shape == (T, B, layout.directions, 2)
    np.testing.assert_allclose(found[1], found[0] @ turn_action.T, atol=10 * atol)


def test_inner_products_and_effects_are_those_of_a_loop(trial):
    x, action = (np.asarray(v[:, 0], np.float64) for v in trial)
    mean = {decay: x[0] for decay in MEANS}
    effect = {decay: np.zeros((6, 2)) for decay in EFFECTS}
    for t in range(T):
        if t:
            for decay in EFFECTS:
                change = np.outer(x[t] - x[t - 1], action[t])
                effect[decay] = decay * effect[decay] + (1 - decay) * change
            for decay in MEANS:
                mean[decay] = decay * mean[decay] + (1 - decay) * x[t - 1]
    features = np.asarray(sense(*trial)[-1, 0])
    products = {0: x[-1] @ x[-1], 1: x[-1] @ x[-2], 2: x[-1] @ mean[MEANS[0]]}
    for place, product in products.items():
        expected = np.sign(product) * np.log1p(abs(product))
        np.testing.assert_allclose(features[place], expected, rtol=1e-4)
    first = x[-1] @ effect[EFFECTS[0]]
    pairs = LAYOUT.products
    np.testing.assert_allclose(features[pairs], np.log(np.linalg.norm(first)), atol=1e-3)
    where = -(LAYOUT.directions - 1) * 2
    np.testing.assert_allclose(
        features[where : where + 2], first / np.linalg.norm(first), atol=1e-3
    )


def test_a_reset_forgets_and_an_episodes_start_is_no_effect(trial):
    x, action = trial
    reset = jnp.zeros((T, B), bool).at[5, 0].set(True)
    features, plain = sense(x, action, reset=reset), sense(x, action)
    np.testing.assert_array_equal(features[:, 1:], plain[:, 1:])
    later = sense(
        jnp.roll(x, -5, 0), jnp.roll(action, -5, 0)
    )  # rewards differ: only what does not depend on them is compared
    np.testing.assert_allclose(features[5:, 0, :4], later[: T - 5, 0, :4], rtol=1e-5)
    # At a start the jump of the observation says nothing about the action.
    starts = jnp.zeros((T, B), bool).at[5].set(True)
    jumps = x.at[5:].add(100.0)
    pairs = LAYOUT.products
    lengths = sense(jumps, action, starts=starts)[5, :, pairs]
    assert (lengths < jnp.log(100 * jnp.sqrt(6.0) * 30)).all()
    assert (sense(jumps, action)[5, :, pairs] > lengths + 1).all()


def test_with_a_model_a_direction_is_as_long_as_it_is_beside_its_usual_length(trial):
    x, action = trial
    # It fades out at the end.
    x = x * jnp.where(jnp.arange(T) < T - 2, 1.0, 0.05)[:, None, None]
    shown = sense(x, action), sense(x, action, layout=WITH_MODEL)
    plain, scaled = (np.asarray(features[:, 0], np.float64) for features in shown)
    first = LAYOUT.products
    direction, of_model = (
        features[:, -(layout.directions - 1) * 2 :][:, :2]
        for layout, features in ((LAYOUT, plain), (WITH_MODEL, scaled))
    )
    square, longest = 0.0, 0.0
    for t in range(T):
        length = np.exp(plain[t, first])
        square += max(1 / (t + 1), FORGET) * (length**2 - square)
        if t:  # before, nothing has had an effect
            expected = min(USUAL * length / np.sqrt(square), LONGEST)
            np.testing.assert_allclose(of_model[t], expected * direction[t], atol=2e-3)
            longest = max(longest, expected)
    assert longest > USUAL and np.linalg.norm(of_model[-1]) < USUAL / 2
