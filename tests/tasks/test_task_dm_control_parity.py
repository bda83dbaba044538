"""Our tasks beside dm_control's: same state, same actions, step by step."""

import zlib

import jax
import numpy as np
import pytest
from dm_control import suite
from dm_control.rl import control
from dm_control.suite import acrobot, cartpole, pendulum, point_mass, reacher

from metaenvs import tasks
from metaenvs.tasks.dm_control.acrobot import AcrobotParams
from metaenvs.tasks.dm_control.cartpole import CartpoleParams
from metaenvs.tasks.dm_control.pendulum import PendulumParams
from metaenvs.tasks.dm_control.point_mass import PointMassParams
from metaenvs.tasks.dm_control.reacher import ReacherParams

STEPS = 200
RANDOM_STARTS = 4

# Coordinate with a soft limit, and the limit.
LIMITED = {
    "cartpole": ((0,), 1.8),
    "point_mass": ((0, 1), 0.29),
    "reacher": ((1,), np.deg2rad(160.0)),
}


def domain_of(name):
    return next(d for d in suite.TASKS_BY_DOMAIN if name.startswith(d + "_"))


def generator(name):
    return np.random.default_rng(zlib.crc32(name.encode()))


def tree_index(tree, i):
    return jax.tree.map(lambda x: x[i], tree)


def starts_and_actions(name, run):
    """Random starts with random actions; one near the goal; two thrown at the limits."""
    random = generator(name)
    keys = jax.random.split(jax.random.key(7), RANDOM_STARTS + 3)
    params = tasks.make(name).default_params
    _, states = run(name).reset(keys, params)
    states = jax.tree.map(np.array, states)
    n_act = tasks.make(name).action_size
    actions = random.uniform(-1.0, 1.0, (len(keys), STEPS, n_act)).astype(np.float32)

    goal, thrown = RANDOM_STARTS, (RANDOM_STARTS + 1, RANDOM_STARTS + 2)
    domain = domain_of(name)
    states.qpos[goal] = 0.01
    if domain == "reacher":
        states.target[goal] = (0.2, 0.08)
        states.qpos[goal] = (0.2, 0.3)
    # Actions held for 25 steps carry the body from one limit to the other.
    for i in thrown:
        held = random.choice([-1.0, 1.0], (STEPS // 25, n_act)).astype(np.float32)
        actions[i] = np.repeat(held, 25, axis=0)
    if domain in LIMITED:
        coordinates, limit = LIMITED[domain]
        for i, sign in zip(thrown, (1.0, -1.0), strict=True):
            for c in coordinates:
                states.qpos[i, c] = 0.97 * sign * limit
                states.qvel[i, c] = 2.0 * sign
                actions[i, :25, min(c, n_act - 1)] = sign
    return states, actions, params


def relative_error(ours, theirs):
    """`[T]`: worst coordinate, as a fraction of its largest magnitude in the rollout."""
    scale = np.maximum(np.abs(theirs).max(axis=0), 1e-6)
    return (np.abs(ours - theirs) / scale).max(axis=-1)


@pytest.fixture(scope="module")
def both(run, reference):
    """`both(name)`: starts, actions, params, our rollouts and dm_control's; made once."""
    made = {}

    def get(name):
        if name not in made:
            states, actions, params = starts_and_actions(name, run)
            ours = jax.tree.map(np.asarray, run(name).rollout(states, actions, params))
            theirs = [
                reference(name).rollout(tree_index(states, i), a) for i, a in enumerate(actions)
            ]
            made[name] = states, actions, params, ours, theirs
        return made[name]

    return get


# Steps of the near bound, and the largest relative error within them and over all 200.
# The acrobot is chaotic: what float32 rounds off grows on the way.
BOUNDS = {
    "acrobot": (50, 1e-4, 1e-3),
    "cartpole": (100, 1e-4, 1e-4),
    "pendulum": (100, 1e-4, 1e-4),
    "point_mass": (100, 1e-4, 1e-4),
    "reacher": (100, 1e-4, 1e-4),
}


# Tasks with contacts have tests of their own: test_task_contact_physics.py.
CONTACT_FREE = [name for name in tasks.task_names if domain_of(name) in BOUNDS]


@pytest.mark.parametrize("name", CONTACT_FREE)
def test_rollouts_follow_dm_control(name, both):
    _, _, _, ours, theirs = both(name)
    near, near_bound, far_bound = BOUNDS[domain_of(name)]
    worst_near = worst_far = worst_reward = 0.0
    for i, reference_rollout in enumerate(theirs):
        for part in ("observation", "qpos", "qvel"):
            error = relative_error(ours[part][i], getattr(reference_rollout, part))
            worst_near = max(worst_near, error[: near + 1].max())
            worst_far = max(worst_far, error.max())
        reward_error = np.abs(ours["reward"][i] - reference_rollout.reward)
        worst_reward = max(worst_reward, reward_error[:near].max())
    print(
        f"{name}: relative error {worst_near:.1e} in {near} steps, {worst_far:.1e} in {STEPS}; "
        f"reward {worst_reward:.1e}"
    )
    assert worst_near < near_bound
    assert worst_far < far_bound
    assert worst_reward < 1e-4


@pytest.mark.parametrize("name", CONTACT_FREE)
def test_every_single_step_is_dm_controls(name, both, run):
    """From each of dm_control's states: no error can build up, so the bound is tight."""
    states, actions, params, _, theirs = both(name)
    worst = worst_reward = 0.0
    for i, rollout in enumerate(theirs):
        start = tree_index(states, i)
        batch = jax.tree.map(lambda x: np.broadcast_to(x, (STEPS, *np.shape(x))), start)
        batch = batch.replace(
            qpos=rollout.qpos[:-1].astype(np.float32), qvel=rollout.qvel[:-1].astype(np.float32)
        )
        _, ours = run(name).step(batch, actions[i], params)
        for part in ("observation", "qpos", "qvel"):
            error = relative_error(np.asarray(ours[part]), getattr(rollout, part)[1:])
            worst = max(worst, error.max())
        reward_error = np.abs(np.asarray(ours["reward"]) - rollout.reward)
        worst_reward = max(worst_reward, reward_error.max())
    print(f"{name}: single step, relative error {worst:.1e}, reward {worst_reward:.1e}")
    assert worst < 1e-5
    assert worst_reward < 1e-5


@pytest.mark.parametrize("name", CONTACT_FREE)
def test_the_rollouts_compared_see_reward_and_limits(name, both):
    _, _, _, _, theirs = both(name)
    rewards = np.concatenate([t.reward for t in theirs])
    assert rewards.max() > 0.5
    assert rewards.min() < 0.5
    if domain_of(name) in LIMITED:
        coordinates, limit = LIMITED[domain_of(name)]
        for c in coordinates:
            qpos = np.concatenate([t.qpos[:, c] for t in theirs])
            assert (qpos > limit).sum() >= 3
            assert (qpos < -limit).sum() >= 3


# Other dynamics: the same edit of dm_control's XML and of our params.
VARIANTS = {
    "cartpole_swingup": (
        cartpole,
        lambda physics: cartpole.Balance(swing_up=True, sparse=False, random=0),
        [
            ("<option ", '<option gravity="0 0 -5" '),
            ('fromto="0 0 0 0 0 1" size="0.045"', 'fromto="0 0 0 0 0 .8" size="0.06"'),
            ('mass=".1"', 'mass=".3"'),
            ('mass="1"', 'mass="1.4"'),
            ('damping="5e-4"', 'damping="0.3"'),
            ('damping="2e-6"', 'damping="0.01"'),
            ('range="-1.8 1.8"', 'range="-1.7 1.7"'),
            ('gear="10"', 'gear="13"'),
        ],
        CartpoleParams(
            swing_up=True,
            gravity=5.0,
            pole_length=0.8,
            pole_radius=0.06,
            pole_mass=0.3,
            cart_mass=1.4,
            slider_damping=0.3,
            hinge_damping=0.01,
            rail_limit=1.7,
            gear=13.0,
        ),
    ),
    "pendulum_swingup": (
        pendulum,
        lambda physics: pendulum.SwingUp(random=0),
        [
            ("<option ", '<option gravity="0 0 -5" '),
            ('pos="0 0 0.5" size="0.05" mass="1"', 'pos="0 0 0.6" size="0.09" mass="1.3"'),
            ('damping="0.1"', 'damping="0.25"'),
            ('gear="1"', 'gear="1.5"'),
        ],
        PendulumParams(gravity=5.0, length=0.6, radius=0.09, mass=1.3, damping=0.25, gear=1.5),
    ),
    "point_mass_hard": (
        point_mass,
        lambda physics: point_mass.PointMass(randomize_gains=True, random=0),
        [
            ('mass=".3"', 'mass=".2"'),
            ('damping="1"', 'damping=".7"'),
            ('gear=".1"', 'gear=".15"'),
            ('range="-.29 .29"', 'range="-.27 .27"'),
        ],
        PointMassParams(random_directions=True, mass=0.2, damping=0.7, gear=0.15, wall_limit=0.27),
    ),
    "reacher_hard": (
        reacher,
        lambda physics: reacher.Reacher(target_size=0.015, random=0),
        [
            ('fromto="0 0 0 0.12 0 0" size=".01"', 'fromto="0 0 0 0.1 0 0" size=".012"'),
            ('name="hand" pos=".12 0 0"', 'name="hand" pos=".1 0 0"'),
            ('fromto="0 0 0 0.1 0 0" size=".01"', 'fromto="0 0 0 0.13 0 0" size=".012"'),
            ('name="finger" pos=".12 0 0"', 'name="finger" pos=".14 0 0"'),
            ('type="sphere" size=".01"', 'type="sphere" size=".013"'),
            ('damping="0.01"', 'damping="0.02"'),
            ('gear=".05"', 'gear=".07"'),
            ("-160 160", "-150 150"),
            ("<default>", '<default><geom density="1300"/>'),
        ],
        ReacherParams(
            target_size=0.015,
            arm_length=0.1,
            hand_length=0.13,
            reach=0.14,
            link_radius=0.012,
            finger_radius=0.013,
            density=1300.0,
            damping=0.02,
            gear=0.07,
            wrist_limit=np.deg2rad(150.0),
        ),
    ),
    "acrobot_swingup": (
        acrobot,
        lambda physics: acrobot.Balance(sparse=False, random=0),
        [
            ("<option ", '<option gravity="0 0 -5" '),
            ('damping=".05"', 'damping=".1"'),
            ('fromto="0 0 0 0 0 1" size="0.05"', 'fromto="0 0 0 0 0 .9" size="0.07" mass="1.5"'),
            ('name="lower_arm" pos="0 0 1"', 'name="lower_arm" pos="0 0 .9"'),
            ('fromto="0 0 0 0 0 1" size="0.049"', 'fromto="0 0 0 0 0 .8" size="0.06" mass=".7"'),
            ('name="tip" pos="0 0 1"', 'name="tip" pos="0 0 .8"'),
            ('gear="2"', 'gear="3"'),
        ],
        AcrobotParams(
            gravity=5.0,
            damping=0.1,
            upper_length=0.9,
            upper_radius=0.07,
            upper_mass=1.5,
            lower_length=0.8,
            lower_radius=0.06,
            lower_mass=0.7,
            gear=3.0,
        ),
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_other_dynamics_parameters_are_mujocos_too(name, run, wrap_reference):
    """Inertias and the limits' regularisation are derived from the params, not fixed."""
    module, make_task, edits, params = VARIANTS[name]
    xml, assets = module.get_model_and_assets()
    xml = xml.decode() if isinstance(xml, bytes) else xml
    for old, new in edits:
        assert old in xml, old
        xml = xml.replace(old, new)
    physics = module.Physics.from_xml_string(xml, assets)
    edited = wrap_reference(control.Environment(physics, make_task(physics), time_limit=1000))

    states, actions, _ = starts_and_actions(name, run)
    limited = LIMITED.get(domain_of(name))
    if limited:  # the variants' limits are narrower: start inside them
        states.qpos[:] *= 0.93
    ours = jax.tree.map(np.asarray, run(name).rollout(states, actions, params))
    for i, rollout_actions in enumerate(actions):
        theirs = edited.rollout(tree_index(states, i), rollout_actions)
        for part in ("observation", "qpos", "qvel"):
            error = relative_error(ours[part][i], getattr(theirs, part))[:51]
            assert error.max() < 1e-4, (i, part)
        assert np.abs(ours["reward"][i] - theirs.reward)[:50].max() < 1e-4
