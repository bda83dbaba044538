"""The shared pieces of the physics, against MuJoCo's compiler or against analysis."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from metaenvs import tasks
from metaenvs.tasks.dm_control.acrobot import AcrobotParams
from metaenvs.tasks.dm_control.pendulum import PendulumParams
from metaenvs.tasks.dm_control.physics.inertia import (
    capsule_inertia,
    capsule_mass,
    sphere_inertia,
    sphere_mass,
)
from metaenvs.tasks.dm_control.physics.integrators import runge_kutta_4, semi_implicit_euler
from metaenvs.tasks.dm_control.physics.limits import impedance, limit_force
from metaenvs.tasks.dm_control.physics.trigonometry import sin_cos


def compiled_body(geom):
    xml = f"<mujoco><worldbody><body><freejoint/>{geom}</body></worldbody></mujoco>"
    model = mujoco.MjModel.from_xml_string(xml)
    return model.body_mass[1], model.body_inertia[1].max()


@pytest.mark.parametrize(
    ("length", "radius", "density"), [(1.0, 0.045, 500.0), (0.12, 0.01, 1000.0), (0.2, 0.4, 3.0)]
)
def test_capsule_is_as_mujoco_compiles_it(length, radius, density):
    mass, inertia = compiled_body(
        f'<geom type="capsule" fromto="0 0 0 0 0 {length}" size="{radius}" density="{density}"/>'
    )
    ours = capsule_mass(length, radius, density)
    assert ours == pytest.approx(mass, rel=1e-6)
    # The largest principal moment is the one across.
    assert capsule_inertia(ours, length, radius) == pytest.approx(inertia, rel=1e-6)


@pytest.mark.parametrize(("radius", "density"), [(0.05, 1000.0), (0.3, 12.0)])
def test_sphere_is_as_mujoco_compiles_it(radius, density):
    mass, inertia = compiled_body(f'<geom type="sphere" size="{radius}" density="{density}"/>')
    ours = sphere_mass(radius, density)
    assert ours == pytest.approx(mass, rel=1e-6)
    assert sphere_inertia(ours, radius) == pytest.approx(inertia, rel=1e-6)


def test_default_inertias_are_those_of_dm_controls_models(reference):
    model = reference("cartpole_balance").physics.model
    assert capsule_inertia(0.1, 1.0, 0.045) == pytest.approx(model.body_inertia[2, 0], rel=1e-6)
    model = reference("acrobot_swingup").physics.model
    assert capsule_inertia(1.0, 1.0, 0.05) == pytest.approx(model.body_inertia[1, 0], rel=1e-6)
    assert capsule_inertia(1.0, 1.0, 0.049) == pytest.approx(model.body_inertia[2, 0], rel=1e-6)
    model = reference("reacher_easy").physics.model
    for body, length in ((1, 0.12), (2, 0.1)):
        mass = capsule_mass(length, 0.01, 1000.0)
        assert mass == pytest.approx(model.body_mass[body], rel=1e-6)
        inertia = capsule_inertia(mass, length, 0.01)
        assert inertia == pytest.approx(model.body_inertia[body, 0], rel=1e-6)


def test_sin_cos_is_sine_and_cosine():
    angles = np.concatenate(
        [np.linspace(-5000.0, 5000.0, 400_001), np.arange(-4000, 4001) * (np.pi / 4)]
    ).astype(np.float32)
    sine, cosine = jax.jit(sin_cos)(angles)
    exact = angles.astype(np.float64)
    assert np.abs(sine - np.sin(exact)).max() < 1.5e-7
    assert np.abs(cosine - np.cos(exact)).max() < 1.5e-7
    # Rewards ask for a cosine in [0.995, 1]: above 1 would be out of bounds.
    assert np.abs(sine).max() <= 1.0
    assert np.abs(cosine).max() <= 1.0
    slope = jax.vmap(jax.grad(lambda x: sin_cos(x)[0]))(angles[::1000])
    np.testing.assert_allclose(slope, np.cos(exact[::1000]), atol=1e-4)


def oscillator_error(timestep):
    def step(state, _):
        return runge_kutta_4(lambda q, v: -q, *state, timestep), None

    n = round(2.0 / timestep)
    (q, v), _ = jax.lax.scan(step, (jnp.float32(1.0), jnp.float32(0.0)), length=n)
    return np.hypot(q - np.cos(2.0), v + np.sin(2.0))


def test_runge_kutta_is_of_fourth_order():
    ratio = oscillator_error(0.5) / oscillator_error(0.25)
    assert 2**3.5 < ratio < 2**4.5


def test_undamped_acrobot_keeps_its_energy():
    task = tasks.make("acrobot_swingup")
    params = AcrobotParams(damping=0.0)
    inertia = capsule_inertia(1.0, 1.0, np.array([0.05, 0.049])) + 0.25

    def energy(qpos, qvel):
        angle, rate = np.cumsum(qpos, axis=-1), np.cumsum(qvel, axis=-1)
        kinetic = (
            0.5 * (inertia[0] + 1.0) * rate[..., 0] ** 2
            + 0.5 * inertia[1] * rate[..., 1] ** 2
            + 0.5 * np.cos(angle[..., 1] - angle[..., 0]) * rate[..., 0] * rate[..., 1]
        )
        return kinetic + 9.81 * (1.5 * np.cos(angle[..., 0]) + 0.5 * np.cos(angle[..., 1]))

    _, state = task.reset(jax.random.key(3))
    state = state.replace(qpos=jnp.array([2.0, -1.0]))

    def step(state, _):
        state = task.advance(state, jnp.zeros(1), params)
        return state, (state.qpos, state.qvel)

    _, (qpos, qvel) = jax.lax.scan(step, state, length=500)
    energies = energy(np.asarray(qpos, np.float64), np.asarray(qvel, np.float64))
    assert np.abs(qvel).max() > 3.0  # it did move
    assert np.ptp(energies) < 1e-3


def test_implicit_damping_decays_as_it_should():
    """Without gravity each Euler step multiplies the rate by I / (I + h d), exactly."""
    task = tasks.make("pendulum_swingup")
    params = PendulumParams(gravity=0.0, damping=3.0)
    _, state = task.reset(jax.random.key(0))
    state = state.replace(qvel=jnp.ones(1))
    inertia = 0.4 * 0.05**2 + 0.5**2

    def step(state, _):
        state = task.advance(state, jnp.zeros(1), params)
        return state, (state.qpos[0], state.qvel[0])

    _, (qpos, qvel) = jax.lax.scan(step, state, length=50)
    expected = (inertia / (inertia + 0.02 * 3.0)) ** np.arange(1, 51)
    np.testing.assert_allclose(qvel, expected, rtol=1e-5)
    # Positions move by the new velocity, not the old one.
    np.testing.assert_allclose(qpos - state.qpos[0], 0.02 * np.cumsum(expected), rtol=1e-4)


def test_semi_implicit_euler_takes_pytrees():
    qpos, qvel = semi_implicit_euler((1.0, 2.0), (0.5, -0.5), (2.0, 4.0), 0.1)
    assert qvel == pytest.approx((0.7, -0.1))
    assert qpos == pytest.approx((1.07, 1.99))


def limit(position, velocity=0.0, free_acceleration=0.0):
    return float(
        limit_force(
            jnp.float32(position),
            jnp.float32(velocity),
            lower=-1.0,
            upper=0.5,
            free_acceleration=jnp.float32(free_acceleration),
            inverse_inertia=2.0,
            inverse_weight=2.0,
            timestep=0.01,
        )
    )


def test_limit_only_pushes_back_and_only_when_violated():
    assert limit(0.4, velocity=10.0) == 0.0
    assert limit(-0.9, velocity=-10.0) == 0.0
    assert limit(0.51) < 0.0
    assert limit(-1.01) > 0.0
    # Leaving fast enough, it would have to pull: it does not.
    assert limit(0.51, velocity=-10.0) == 0.0


def test_limit_reaches_its_reference_acceleration_as_impedance_says():
    """MuJoCo: acceleration = (1 - imp) * free + imp * reference, where A is diagApprox."""
    depth, velocity, free = 0.0004, 0.3, 5.0
    imp = float(impedance(jnp.float32(depth)))
    assert imp == pytest.approx(0.9 + 0.05 * 2 * 0.4**2, rel=1e-5)
    reference = -(2.0 / (0.95 * 0.02)) * velocity - imp * depth / (0.95 * 0.02) ** 2
    acceleration = free + 2.0 * limit(0.5 + depth, velocity, free)
    assert acceleration == pytest.approx((1 - imp) * free + imp * reference, rel=1e-3)
