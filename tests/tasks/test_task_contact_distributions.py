"""Tasks with contacts: starts and two policies' returns are distributed as dm_control's."""

import jax
import mujoco
import numpy as np
import pytest
from dm_control import suite
from mujoco import rollout
from scipy import stats

from metaenvs import tasks

NAMES = ("ball_in_cup_catch", "finger_spin", "finger_turn_easy", "finger_turn_hard")
RESETS, EPISODES, STEPS = 2000, 200, 1000
# Over all columns of a test together (Bonferroni).
FALSE_ALARM = 0.01


def load(name, seed):
    domain, task = ("ball_in_cup", "catch") if name.startswith("ball") else name.split("_", 1)
    return suite.load(domain, task, task_kwargs={"random": seed})


def draw_theirs(environment, n):
    physics, task = environment.physics, environment.task
    qpos, qvel, targets = [], [], []
    for _ in range(n):
        with physics.reset_context():
            task.initialize_episode(physics)
        assert physics.data.ncon == 0
        qpos.append(physics.data.qpos.copy())
        qvel.append(physics.data.qvel.copy())
        if hasattr(physics, "target_position"):
            targets.append(physics.target_position().copy())
    return np.array(qpos), np.array(qvel), np.array(targets)


def columns(name, qpos, target):
    """What is compared one by one; distances and products catch dependence."""
    if name.startswith("ball"):
        _, _, x, z = qpos.T
        from_cup = np.abs(np.hypot(x, z - 0.4) - 0.1)
        return {"x": x, "z": z, "x z": x * (z - 0.35), "to a ring like the cup": from_cup}
    proximal, distal, hinge = qpos.T
    seen = {"proximal": proximal, "distal": distal, "hinge": hinge}
    reach = 0.18 * np.exp(1j * proximal) + 0.16 * np.exp(1j * (proximal + distal))
    seen |= {"proximal distal": proximal * distal, "fingertip to hinge": np.abs(reach - 0.4)}
    seen["body beside fingertip"] = np.abs(np.sin(hinge)) * (np.abs(reach - 0.4) < 0.2)
    if name != "finger_spin":
        np.testing.assert_allclose(np.hypot(*target.T), 0.13, atol=1e-6)
        angle = np.arctan2(*target.T)
        seen |= {"target": angle, "target from hinge": (angle - hinge) % (2 * np.pi)}
    return seen


def test_start_distributions_are_dm_controls(run):
    p_values = {}
    for name in NAMES:
        their_qpos, their_qvel, their_target = draw_theirs(load(name, seed=2), RESETS)
        keys = jax.random.split(jax.random.key(1), RESETS)
        observation, states = run(name).reset(keys, tasks.make(name).default_params)
        ours = jax.tree.map(np.asarray, states)
        np.testing.assert_array_equal(ours.qvel, their_qvel)
        assert np.all(np.isfinite(observation))
        our_columns = columns(name, ours.qpos, getattr(ours, "target", None))
        for column, theirs in columns(name, their_qpos, their_target).items():
            p_values[name, column] = stats.ks_2samp(our_columns[column], theirs).pvalue
    smallest = min(p_values, key=p_values.get)
    print(f"{len(p_values)} tests, smallest p {p_values[smallest]:.3f} at {smallest}")
    assert p_values[smallest] > FALSE_ALARM / len(p_values)


def test_starts_do_not_touch(run):
    """dm_control's collision check of our own starts."""
    for name in ("ball_in_cup_catch", "finger_turn_easy"):
        environment = load(name, seed=0)
        environment.reset()
        keys = jax.random.split(jax.random.key(5), RESETS)
        _, states = run(name).reset(keys, tasks.make(name).default_params)
        model, data = environment.physics.model.ptr, environment.physics.data.ptr
        for qpos in np.asarray(states.qpos):
            data.qpos[:] = qpos
            mujoco.mj_forward(model, data)
            assert data.ncon == 0


def uniform(random):
    """Actions `[EPISODES, STEPS, 2]` of the policy that acts at random."""
    return random.uniform(-1.0, 1.0, (EPISODES, STEPS, 2))


def swings(random):
    """Actions of a script: both actuators swing at full strength, an episode's own rhythm.

    It throws the ball and hits the body again and again, much harder than `uniform`.
    """
    period = random.uniform(20.0, 120.0, (EPISODES, 1, 2))
    phase = random.uniform(0.0, 2 * np.pi, (EPISODES, 1, 2))
    swing = np.sin(2 * np.pi * np.arange(STEPS)[:, None] / period + phase)
    return np.clip(2.0 * swing, -1.0, 1.0)


POLICIES = (uniform, swings)


def their_returns(name, policy):
    """Returns and what else is compared, of dm_control's model."""
    # All draws are independent.
    seed = 4 + NAMES.index(name) + 100 * POLICIES.index(policy)
    environment = load(name, seed)
    environment.reset()
    qpos, qvel, targets = draw_theirs(environment, EPISODES)
    model = environment.physics.model.ptr
    substeps = round(environment.control_timestep() / model.opt.timestep)
    actions = policy(np.random.default_rng(seed))
    time = np.zeros((EPISODES, 1))
    states, _ = rollout.rollout(
        model,
        mujoco.MjData(model),
        np.concatenate([time, qpos, qvel], axis=1),
        np.repeat(actions, substeps, axis=1),
    )
    states = states[:, substeps - 1 :: substeps]
    qpos, qvel = states[..., 1 : 1 + model.nq], states[..., 1 + model.nq :]
    if name.startswith("ball"):
        offset = qpos[..., 2:] - qpos[..., :2] - np.array([0.0, 0.35])
        reward = np.all(np.abs(offset) < 0.05 - 0.025, axis=-1)
    elif name == "finger_spin":
        reward = qvel[..., 2] <= -15.0
    else:
        tip = 0.13 * np.stack([-np.sin(qpos[..., 2]), np.cos(qpos[..., 2])], axis=-1)
        radius = environment.physics.named.model.site_size["target", 0]
        reward = np.linalg.norm(targets[:, None] - tip, axis=-1) <= radius
    return summary(reward, qpos, qvel)


def our_returns(name, policy):
    task = tasks.make(name)
    params = task.default_params
    seed = 10 + NAMES.index(name) + 100 * POLICIES.index(policy)
    actions = policy(np.random.default_rng(1000 + seed)).astype(np.float32)

    def episode(key, actions):
        _, state = task.reset_env(key, params)

        def step(state, action):
            _, state, reward, _, _ = task.step_env(key, state, action, params)
            return state, (reward, state.qpos, state.qvel)

        return jax.lax.scan(step, state, actions)[1]

    keys = jax.random.split(jax.random.key(seed), EPISODES)
    return summary(*(np.asarray(part) for part in jax.jit(jax.vmap(episode))(keys, actions)))


def summary(reward, qpos, qvel):
    """Per episode: return, way of the body that is to be moved, its end, its top speed.

    Falling balls reach the same few speeds: rounded, lest rounding errors order them.
    """
    moved = slice(2, None) if qpos.shape[-1] == 4 else slice(2, 3)
    way = np.abs(np.diff(qpos[..., moved], axis=1)).sum(axis=(1, 2))
    return {
        "return": reward.sum(axis=1).astype(float),
        "way": way,
        "end": qpos[:, -1, 2],
        "top speed": np.abs(qvel[..., moved]).max(axis=(1, 2)).astype(float).round(3),
        "first joint": np.square(qpos[..., 0]).mean(axis=1),
    }


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_returns_are_distributed_as_dm_controls(name, policy):
    ours, theirs = our_returns(name, policy), their_returns(name, policy)
    p_values = {what: stats.ks_2samp(ours[what], theirs[what]).pvalue for what in ours}
    means = {what: f"{ours[what].mean():.3f} / {theirs[what].mean():.3f}" for what in ours}
    print(name, policy.__name__, means, {what: f"{p:.3f}" for what, p in p_values.items()})
    assert min(p_values.values()) > FALSE_ALARM / (len(p_values) * len(NAMES) * len(POLICIES))
