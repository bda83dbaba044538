"""Dynamics parameters drawn per trial."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import metaenvs
from metaenvs import tasks
from metaenvs.tasks import dynamics
from metaenvs.tasks.dynamics import KINDS, Dynamics, dynamics_range


def test_factors_are_uniform_in_their_ranges_and_exactly_one_elsewhere():
    ranges = dynamics_range({"mass": (0.5, 2.0), "gear": (0.8, 0.8)})
    drawn = jax.vmap(ranges.sample)(jax.random.split(jax.random.key(0), 2000))
    assert stats.kstest(drawn.mass, stats.uniform(0.5, 1.5).cdf).pvalue > 1e-3
    np.testing.assert_array_equal(drawn.gear, np.float32(0.8))
    for kind in ("length", "damping", "gravity"):
        np.testing.assert_array_equal(getattr(drawn, kind), 1)


@pytest.mark.parametrize("name", tasks.task_names)
def test_every_kind_scales_the_constants_that_the_task_names(name):
    task = tasks.make(name)
    assert set(task.dynamics) <= set(KINDS) and "gear" in task.dynamics
    factors = Dynamics(*(2.0 + i for i in range(len(KINDS))))
    scaled = task.scaled(task.default_params, factors)
    touched = {field for fields in task.dynamics.values() for field in fields}
    for kind, fields in task.dynamics.items():
        for field in fields:
            expected = getattr(task.default_params, field) * getattr(factors, kind)
            assert getattr(scaled, field) == expected
    for field in set(task.default_params.__dataclass_fields__) - touched:
        assert getattr(scaled, field) == getattr(task.default_params, field)
    same = task.scaled(task.default_params, Dynamics())
    assert same == task.default_params


def test_dynamics_live_as_long_as_a_trial_and_move_the_task():
    env, params = metaenvs.make("RandomProjection-Dynamics-v0")
    assert params.dynamics.low.mass == 0.75 and params.dynamics.high.mass == 1.25
    held_out = env.params_for(split="held_out")
    assert float(held_out.dynamics.low.mass) > float(params.dynamics.high.mass)
    _, states = jax.vmap(env.reset, (0, None))(jax.random.split(jax.random.key(0), 50), params)
    assert len(np.unique(states.dynamics.mass)) == 50

    only = env.params_for(tasks=["point_mass_easy"], dynamics={"gear": (2.0, 2.0)})
    _, state = env.reset(jax.random.key(1), only)
    bare = env.task_state(state)
    action = jnp.array([0.3, -0.2])
    u = state.projection.action @ action
    _, after, *_ = env.step(jax.random.key(2), state, action, only)
    task = tasks.make("point_mass_easy")
    strong = task.default_params.replace(gear=task.default_params.gear * 2)
    expected = task.advance(bare, u, strong)
    np.testing.assert_allclose(env.task_state(after).qvel, expected.qvel, rtol=1e-5)
    assert float(after.dynamics.gear) == 2.0


def test_v0_does_not_randomise():
    env, params = metaenvs.make("RandomProjection-v0")
    _, state = env.reset(jax.random.key(0), params)
    assert all(float(x) == 1.0 for x in jax.tree.leaves(state.dynamics))


@pytest.mark.parametrize("name", tasks.task_names)
def test_extreme_dynamics_stay_finite(name):
    """Every corner of the allowed factors, random actions at the box's corners."""
    env = metaenvs.RandomProjection([name], obs_size=12)
    corners = np.array(np.meshgrid(*[[dynamics.SMALLEST, dynamics.LARGEST]] * len(KINDS)))
    corners = corners.reshape(len(KINDS), -1).astype(np.float32)
    factors = Dynamics(*corners)
    params = env.default_params
    params = params.replace(dynamics=dynamics.DynamicsRange(factors, factors))
    axes = jax.tree.map(lambda _: None, params).replace(dynamics=0)
    n = corners.shape[1]
    _, state = jax.vmap(env.reset, (0, axes))(jax.random.split(jax.random.key(0), n), params)

    def step(state, key):
        key_act, key_step = jax.random.split(key)
        action = jax.random.rademacher(key_act, (n, env.action_size), jnp.float32)
        obs, state, reward, *_ = jax.vmap(env.step, (0, 0, 0, axes))(
            jax.random.split(key_step, n), state, action, params
        )
        return state, jnp.isfinite(obs).all() & jnp.isfinite(reward).all()

    keys = jax.random.split(jax.random.key(1), 640)  # 32 corners x 640 = 20,480 steps
    assert bool(jax.jit(lambda s: jax.lax.scan(step, s, keys))(state)[1].all())


def test_bad_ranges_are_named():
    env, _ = metaenvs.make("RandomProjection-v0")
    for ranges, message in (
        ({"weight": (1.0, 1.0)}, r"unknown kind of dynamics parameter 'weight'.*mass, length"),
        ({"mass": (2.0, 1.0)}, r"range of mass is \(2.0, 1.0\); needed: 0.5 <= low <= high"),
        ({"mass": (0.0, 1.0)}, r"range of mass is \(0.0, 1.0\)"),
        ({"gear": (1.0, 40.0)}, r"range of gear is \(1.0, 40.0\).*<= 2.0"),
    ):
        with pytest.raises(ValueError, match=message):
            env.params_for(dynamics=ranges)
    with pytest.raises(ValueError, match="unknown split 'test'"):
        metaenvs.RandomProjection(["reacher_easy"], dynamics={"test": {}})
