"""Every environment computes with 32 bits in full precision, whatever JAX is told."""

import re

import jax
import numpy as np
import pytest

import metaenvs
from metaenvs import popgym
from metaenvs.suites import SUITES

# Brax compiles for minutes, and what a size of a POPGym game does its other sizes do.
QUICK = ("RandomProjection-Lite-v0", "RandomProjection-v0", "RandomProjection-StatelessCartPole-v0")
IDS = [
    env_id
    if env_id in QUICK or env_id.endswith("Easy-v0")
    else pytest.param(env_id, marks=pytest.mark.slow)
    for env_id in (*SUITES, *popgym.ids)
]


def types(tree):
    return {
        jax.tree_util.keystr(path): str(leaf.dtype)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


@pytest.mark.parametrize("env_id", IDS)
def test_types_are_the_same_with_64_bits(env_id):
    """Only traced, which is where they are decided: as a scan does, step after step."""

    def results():
        env, params = metaenvs.make(env_id)

        def roll_out(key):
            obs, state = env.reset(key, params)

            def step(loop, key):
                action = env.action_space(params).sample(key)
                obs, state, *rest = env.step(key, loop[1], action, params)
                return (obs, state), rest

            return jax.lax.scan(step, (obs, state), jax.random.split(key, 3))

        return types(jax.eval_shape(roll_out, jax.random.key(0)))

    expected = results()
    with jax.enable_x64(True):
        assert results() == expected


@pytest.mark.parametrize("make", [metaenvs.tasks.make, lambda name: metaenvs.make(name)[0]])
def test_values_are_the_same_with_64_bits(make):
    """A bare task, and a suite, with actions of 64 bits too."""

    def results():
        env = make("cartpole_swingup" if make is metaenvs.tasks.make else QUICK[0])
        params = env.default_params
        obs, state = env.reset(jax.random.key(3), params)
        out = [obs]
        for action in np.linspace(-1.0, 1.0, 6).reshape(3, 2)[:, : env.num_actions]:
            obs, state, reward, *_ = env.step(jax.random.key(4), state, action, params)
            out += [obs, reward]
        return [np.asarray(x) for x in out]

    expected = results()
    with jax.enable_x64(True):
        found = results()
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype == np.float32
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("setting", [None, "tensorfloat32", "bfloat16"])
def test_matrices_are_multiplied_in_full_precision(setting):
    """In the program that a GPU would get, projections and the physics of all domains included."""
    env, params = metaenvs.make("RandomProjection-v0")
    key = jax.random.key(0)
    _, state = jax.eval_shape(env.reset, key, params)

    def both(key, state, action):
        return env.reset(key, params), env.step(key, state, action, params)

    batch = jax.vmap(both, (0, None, None))
    with jax.default_matmul_precision(setting):
        action = jax.ShapeDtypeStruct((env.action_size,), "float32")
        lowered = jax.jit(batch).lower(jax.random.split(key, 2), state, action)
    found = re.findall(r"dot_general.*?precision = \[(\w+), (\w+)\]", lowered.as_text())
    assert len(found) > 10
    assert set(found) == {("HIGHEST", "HIGHEST")}


def test_rank_promotion_does_not_reach_inside():
    with jax.numpy_rank_promotion("raise"):
        env, params = metaenvs.make("RandomProjection-v0")
        _, state = jax.eval_shape(env.reset, jax.random.key(0), params)
        action = jax.ShapeDtypeStruct((env.action_size,), "float32")
        jax.eval_shape(env.step, jax.random.key(0), state, action, params)
