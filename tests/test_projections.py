"""Properties of projections over many draws (DESIGN: every family, by construction)."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from metaenvs import projections
from metaenvs.projections.free import letters
from metaenvs.projections.linear_algebra import orthonormal_columns, pseudo_inverse
from metaenvs.projections.orthogonal import haar

DRAWS = 10_000
FAMILIES = sorted(projections.FAMILIES)
ISOMETRIC = ("orthogonal", "identity", "permutation", "free")


@functools.cache
def draw(family, n_obs, n_act, obs_size=12, action_size=2, max_obs=6, max_act=2, n=DRAWS):
    made = projections.make(family, obs_size, action_size, max_obs, max_act)
    keys = jax.random.split(jax.random.key(0), n)
    sampled = jax.jit(jax.vmap(lambda key: made.sample(key, n_obs, n_act)))(keys)
    return np.asarray(sampled.observation, np.float64), np.asarray(sampled.action, np.float64)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("n_obs", [3, 6])
def test_observation_map_is_injective_and_padded(family, n_obs):
    maps, _ = draw(family, n_obs, 1)
    assert maps.shape == (DRAWS, 12, 6)
    assert (maps[:, :, n_obs:] == 0).all()
    singular = np.linalg.svd(maps[:, :, :n_obs], compute_uv=False)
    assert singular.min() > 1e-3
    if family in ISOMETRIC:
        np.testing.assert_allclose(singular, np.sqrt(12 / n_obs), rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("n_obs", [1, 3, 6])
def test_mean_square_per_component_is_kept(family, n_obs):
    maps, _ = draw(family, n_obs, 1)
    x = np.random.default_rng(0).normal(size=(DRAWS, n_obs))
    projected = np.einsum("kij,kj->ki", maps[:, :, :n_obs], x)
    ratio = (projected**2).mean(-1) / (x**2).mean(-1)
    if family in ISOMETRIC:
        np.testing.assert_allclose(ratio, 1, rtol=1e-4)
    else:  # in the mean
        assert abs(ratio.mean() - 1) < 4 * ratio.std() / np.sqrt(DRAWS) + 1e-6


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("n_act", "action_size"), [(1, 2), (2, 2), (2, 3), (3, 3)])
def test_every_action_of_the_task_can_be_reached(family, n_act, action_size):
    max_act = max(n_act, 2)
    _, maps = draw(family, 3, n_act, action_size=action_size, max_act=max_act)
    assert (maps[:, n_act:] == 0).all()
    maps = maps[:, :n_act]
    # The box is the convex hull of its corners, so reaching those is reaching all. The
    # smallest preimage of a corner is P u with P the pseudo-inverse.
    corners = np.array(list(itertools.product([-1.0, 1.0], repeat=n_act)))
    preimages = np.einsum("kan,cn->kca", np.linalg.pinv(maps), corners)
    needed = np.abs(preimages).max(axis=(1, 2))
    rounding = 3e-6 * np.linalg.cond(maps)  # a nearly singular draw amplifies float32's
    assert (needed < 1 + rounding).all()
    if n_act == action_size:  # square maps cover the box with nothing to spare
        assert (needed > 1 - rounding).all()


def test_haar_is_uniform_and_has_both_orientations():
    q = np.asarray(jax.vmap(lambda k: haar(k, 3, 3))(jax.random.split(jax.random.key(1), DRAWS)))
    np.testing.assert_allclose(np.einsum("kij,kil->kjl", q, q), np.eye(3)[None] + 0 * q, atol=1e-5)
    # Archimedes: any coordinate of a uniform point on the sphere is uniform on [-1, 1].
    for i, j in itertools.product(range(3), range(3)):
        assert stats.kstest(q[:, i, j], stats.uniform(-1, 2).cdf).pvalue > 1e-4
    # Both orientations are equally likely.
    assert stats.binomtest(int((np.linalg.det(q) > 0).sum()), DRAWS).pvalue > 1e-4


def test_gaussian_entries_have_the_documented_distribution():
    maps, _ = draw("gaussian", 6, 2)
    entries = (maps / np.sqrt(12 / 6)).reshape(-1)[:50_000]
    assert stats.kstest(entries, stats.norm(0, 1 / np.sqrt(12)).cdf).pvalue > 1e-4


def test_permutations_are_uniform():
    maps, _ = draw("permutation", 6, 2)
    maps = maps / np.sqrt(12 / 6)
    assert ((np.abs(maps) > 0).sum(axis=1) == 1).all() and ((maps != 0).sum(axis=2) <= 1).all()
    for column in (0, 5):
        where = np.abs(maps[:, :, column]).argmax(axis=1)
        assert stats.chisquare(np.bincount(where, minlength=12)).pvalue > 1e-4
    assert stats.binomtest(int((maps.sum(axis=1)[:, 0] > 0).sum()), DRAWS).pvalue > 1e-4


def test_sparse_maps_are_as_documented():
    maps, _ = draw("sparse", 6, 2)
    filled = (maps != 0).mean()
    assert 0.25 < filled < 0.45
    condition = np.linalg.cond(maps)
    assert 2 < np.median(condition) < 4 and condition.max() < 10


def test_free_maps_are_words_in_the_frozen_letters():
    maps, _ = draw("free", 6, 2, n=20)
    alphabet = letters(12).astype(np.float64)
    np.testing.assert_allclose(alphabet[0] @ alphabet[2], np.eye(12), atol=1e-6)  # inverses
    keys = jax.random.split(jax.random.key(0), 20)
    for key, drawn in zip(keys, maps, strict=True):
        key_observation, _ = jax.random.split(key)
        chosen = np.asarray(jax.random.randint(key_observation, (8,), 0, 4))
        product = functools.reduce(lambda p, i: alphabet[i] @ p, chosen, np.eye(12))
        np.testing.assert_allclose(drawn, np.sqrt(2) * product[:, :6], atol=1e-5)


def test_identity_shows_the_task_as_it_is():
    observation, action = draw("identity", 3, 2, n=2)
    np.testing.assert_allclose(observation[0, :3, :3], 2 * np.eye(3), rtol=1e-6)
    assert (observation[0, 3:] == 0).all()
    np.testing.assert_array_equal(action[0], np.eye(2))


def test_small_linear_algebra_against_numpy():
    matrices = np.random.default_rng(0).normal(size=(200, 12, 6)).astype(np.float32)
    q, r = np.linalg.qr(matrices.astype(np.float64))
    q *= np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None]
    np.testing.assert_allclose(jax.vmap(orthonormal_columns)(matrices), q, atol=2e-5)
    wide = matrices.transpose(0, 2, 1).copy()
    wide[:, 4:] = 0.0
    inverse = np.linalg.pinv(wide.astype(np.float64))
    np.testing.assert_allclose(jax.vmap(pseudo_inverse)(wide), inverse, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_sizes_may_be_traced(family):
    made = projections.make(family, 8, 3, 5, 2)
    key = jax.random.key(3)
    traced = jax.jit(made.sample)(key, jnp.asarray(4), jnp.asarray(1))
    for x, y in zip(jax.tree.leaves(traced), jax.tree.leaves(made.sample(key, 4, 1)), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-6)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"'orthgonal'.*Did you mean 'orthogonal'.*gaussian"):
        projections.make("orthgonal", 12, 2)
    with pytest.raises(ValueError, match="got 13 and 12"):
        projections.make("orthogonal", 12, 2, max_obs=13)
