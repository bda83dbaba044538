"""Tasks with contacts beside dm_control's: every step from the same state."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from dm_control import suite
from dm_control.rl import control
from dm_control.suite import ball_in_cup, finger

from metaenvs import tasks
from metaenvs.tasks.base import TaskState
from metaenvs.tasks.dm_control.ball_in_cup import BallInCupParams
from metaenvs.tasks.dm_control.finger import FingerState
from metaenvs.tasks.dm_control.finger_shape import FingerParams

NAMES = ("ball_in_cup_catch", "finger_spin", "finger_turn_easy", "finger_turn_hard")
EPISODES, STEPS = 40, 50
CONTACT, TENDON_LIMIT, JOINT_LIMIT, DRY_FRICTION = "contact", "string", "joint limit", "friction"
ROW_TYPES = {
    int(mujoco.mjtConstraint.mjCNSTR_FRICTION_DOF): DRY_FRICTION,
    int(mujoco.mjtConstraint.mjCNSTR_LIMIT_JOINT): JOINT_LIMIT,
    int(mujoco.mjtConstraint.mjCNSTR_LIMIT_TENDON): TENDON_LIMIT,
    int(mujoco.mjtConstraint.mjCNSTR_CONTACT_PYRAMIDAL): CONTACT,
    int(mujoco.mjtConstraint.mjCNSTR_CONTACT_ELLIPTIC): CONTACT,
}


def load(name):
    domain, task = ("ball_in_cup", "catch") if name.startswith("ball") else name.split("_", 1)
    return suite.load(domain, task, task_kwargs={"random": 0})


def place(environment, random, episode):
    """A start in which something happens soon: four kinds, by turns."""
    environment.reset()
    physics = environment.physics
    qpos, qvel = physics.data.qpos.copy(), physics.data.qvel.copy()
    kind = episode % 4
    if qpos.size == 4:
        if kind == 1:  # thrown about inside the cup
            qpos[2:] = random.uniform(-0.01, 0.01), random.uniform(0.34, 0.38)
            qvel[2:] = random.uniform(-2.0, 2.0, 2)
        elif kind == 2:  # sliding on the ground
            qpos[1], qpos[2:] = -0.25, (random.uniform(-0.2, 0.2), -0.17)
            qvel[2] = random.uniform(-2.0, 2.0)
        elif kind == 3:  # thrown at the cup from outside
            qpos[2:] = random.uniform(-0.2, 0.2), random.uniform(0.15, 0.5)
            qvel[2:] = 10.0 * (np.array([0.0, 0.35]) - qpos[2:])
    elif kind in (1, 2):  # over the body, which turns
        qpos[:] = random.uniform(-0.3, 0.3), random.uniform(-0.3, 0.3), random.uniform(-3, 3)
        qvel[2] = random.uniform(-10.0, 10.0)
    elif kind == 3:  # thrown at the joints' limits
        qpos[:2] = 1.85 * random.choice([-1.0, 1.0], 2)
        qvel[:2] = 3.0 * np.sign(qpos[:2])
    with physics.reset_context():
        physics.data.qpos[:], physics.data.qvel[:] = qpos, qvel


def script(physics, random, episode, step, held):
    if physics.data.qpos.size == 4:
        if episode % 4 == 2:  # the cup stays low, so that the string leaves the ball there
            return np.array([held[0], -1.0])
        return held
    if episode % 4 in (1, 2):  # strokes over the body
        stroke = 0.3 * np.array([np.sin(step / 3.0 + episode), np.cos(step / 5.0)])
        reach = stroke - physics.data.qpos[:2] - 0.1 * physics.data.qvel[:2]
        return np.clip(reach + random.normal(0.0, 0.2, 2), -1.0, 1.0)
    return held


def active(physics):
    """Kinds of constraint that push with more than nothing at this moment."""
    mujoco.mj_forward(physics.model.ptr, physics.data.ptr)
    pushes = np.abs(physics.data.efc_force) > 1e-9
    return {ROW_TYPES[int(t)] for t in physics.data.efc_type[pushes]}


def seen(environment):
    observation = environment.task.get_observation(environment.physics)
    return np.concatenate([np.ravel(part) for part in observation.values()])


def target_of(environment):
    try:
        return environment.physics.target_position().copy()
    except AttributeError:
        return np.zeros(2)


def record(environment, episodes=EPISODES, steps=STEPS):
    """Arrays over all steps: state and action before, what dm_control made of it after."""
    random = np.random.default_rng(0)
    physics = environment.physics
    rows = {key: [] for key in ("qpos", "qvel", "target", "action", "observation", "reward")}
    rows |= {key: [] for key in ("next_qpos", "next_qvel", "active", "contacts")}
    for episode in range(episodes):
        place(environment, random, episode)
        for step in range(steps):
            if step % 10 == 0:
                held = random.uniform(-1.0, 1.0, 2)
                if random.random() < 0.5:
                    held = random.choice([-1.0, 0.0, 1.0], 2)
            action = script(physics, random, episode, step, held)
            action = action.astype(np.float32).astype(np.float64)
            rows["qpos"].append(physics.data.qpos.copy())
            rows["qvel"].append(physics.data.qvel.copy())
            rows["target"].append(target_of(environment))
            rows["action"].append(action)
            rows["reward"].append(environment.step(action).reward)
            rows["observation"].append(seen(environment))
            rows["next_qpos"].append(physics.data.qpos.copy())
            rows["next_qvel"].append(physics.data.qvel.copy())
            rows["contacts"].append(physics.data.ncon)
            rows["active"].append(active(physics))
    return {key: np.array(values) for key, values in rows.items()}


def states_of(name, rows):
    n = len(rows["action"])
    state = {
        "qpos": jnp.asarray(rows["qpos"], jnp.float32),
        "qvel": jnp.asarray(rows["qvel"], jnp.float32),
        "time": jnp.zeros(n, jnp.int32),
    }
    if name.startswith("ball"):
        return TaskState(**state)
    state["touch"] = jnp.zeros((n, 2))
    return FingerState(**state, target=jnp.asarray(rows["target"], jnp.float32))


def compare(name, run, rows, params=None):
    """Relative errors `[n]` of one step: qvel, and the worst part of the observation."""
    params = tasks.make(name).default_params if params is None else params
    _, ours = run(name).step(states_of(name, rows), rows["action"].astype(np.float32), params)
    ours = jax.tree.map(np.asarray, ours)
    speed = np.linalg.norm(rows["next_qvel"], axis=1)
    qvel = np.linalg.norm(ours["qvel"] - rows["next_qvel"], axis=1) / np.maximum(speed, 1e-2)
    scale = np.abs(rows["observation"]).max(axis=0)
    observation = (np.abs(ours["observation"] - rows["observation"]) / scale).max(axis=1)
    return qvel, observation, ours["reward"] == rows["reward"]


@pytest.fixture(scope="module")
def recorded():
    return {name: record(load(name)) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_every_single_step_is_dm_controls(name, recorded, run):
    rows = recorded[name]
    assert len(rows["action"]) == 2000
    qvel, observation, same_reward = compare(name, run, rows)
    touching = rows["contacts"] > 0
    for what, errors in (("qvel", qvel), ("observation", observation)):
        for where, chosen in (("all", errors), ("in contact", errors[touching])):
            median, most, worst = np.quantile(chosen, [0.5, 0.99, 1.0])
            print(f"{name} {what} {where}: {median:.1e} {most:.1e} {worst:.1e}")
            assert median < 1e-5
            assert most < 1e-3
    print(f"{name}: {np.sum(~same_reward)} of {len(same_reward)} rewards differ")
    assert np.mean(same_reward) > 0.999


def test_the_steps_compared_are_rich_in_constraints(recorded):
    for name, rows in recorded.items():
        shares = {
            kind: np.mean([kind in kinds for kinds in rows["active"]])
            for kind in (CONTACT, TENDON_LIMIT, JOINT_LIMIT, DRY_FRICTION)
        }
        shares["two contacts"] = np.mean(rows["contacts"] > 1)
        shares["reward"] = np.mean(rows["reward"])
        print(name, {kind: f"{share:.3f}" for kind, share in shares.items()})
        assert shares[CONTACT] > 0.15
        assert shares["two contacts"] > 0.01
        assert 0.0 < shares["reward"] < 1.0
        if name.startswith("ball"):
            assert shares[TENDON_LIMIT] > 0.1
        else:
            assert shares[JOINT_LIMIT] > 0.05
            assert shares[DRY_FRICTION] > 0.5
            touch = rows["observation"][:, 7:9] > 0.0
            assert np.all(touch.mean(axis=0) > 0.05)
            assert np.mean(touch[:, 0] != touch[:, 1]) > 0.01


# Other dynamics: the same edit of dm_control's XML and of our params.
VARIANTS = {
    "ball_in_cup_catch": (
        ball_in_cup,
        lambda: ball_in_cup.BallInCup(random=0),
        [
            ("<default>", '<option gravity="0 0 -7"/> <default> <geom density="1300"/>'),
            ('gear="5"', 'gear="6"'),
            ('damping="3" stiffness="20"', 'damping="2" stiffness="25"'),
            ('size=".008"', 'size=".01"'),
            ('type="sphere" size=".025"', 'type="sphere" size=".02"'),
            ('range="0 0.3"', 'range="0 0.27"'),
            ("<geom density", '<geom friction="0.6" density'),
        ],
        BallInCupParams(
            gear=6.0,
            cup_stiffness=25.0,
            cup_damping=2.0,
            wall_radius=0.01,
            ball_radius=0.02,
            density=1300.0,
            string_length=0.27,
            friction=0.6,
            gravity=7.0,
        ),
    ),
    "finger_turn_easy": (
        finger,
        lambda: finger.Turn(0.05, random=0),
        [
            ("<geom solimp", '<geom density="1300" friction="0.6" solimp'),
            ('damping="2.5"', 'damping="2"'),
            ("-110 110", "-100 100"),
            ('pos="-.2 0 .4"', 'pos="-.21 0 .4"'),
            ('frictionloss=".1" damping=".5"', 'frictionloss=".2" damping=".4"'),
            ('gear="30"', 'gear="35"'),
            ('gear="15"', 'gear="12"'),
        ],
        FingerParams(
            target_radius=0.05,
            hinge_damping=0.4,
            joint_damping=2.0,
            proximal_gear=35.0,
            distal_gear=12.0,
            joint_limit=np.deg2rad(100.0),
            hinge_friction=0.2,
            friction=0.6,
            hinge_distance=0.41,
            density=1300.0,
        ),
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_other_dynamics_parameters_are_mujocos_too(name, run):
    """Masses, inertias and the constraints' weights are derived from the params."""
    module, make_task, edits, params = VARIANTS[name]
    xml, assets = module.get_model_and_assets()
    xml = xml.decode() if isinstance(xml, bytes) else xml
    for old, new in edits:
        assert old in xml, old
        xml = xml.replace(old, new)
    physics = module.Physics.from_xml_string(xml, assets)
    environment = control.Environment(physics, make_task(), time_limit=1000, control_timestep=0.02)
    rows = record(environment, episodes=20, steps=20)
    assert np.mean(rows["contacts"] > 0) > 0.15
    qvel, observation, _ = compare(name, run, rows, params)
    for errors in (qvel, observation):
        assert np.median(errors) < 1e-5
        assert np.quantile(errors, 0.99) < 1e-3


def follow(environment, qpos, qvel, actions):
    """dm_control's `qpos, qvel [T, n]`, and the kinds of constraint that pushed."""
    physics = environment.physics
    environment.reset()
    with physics.reset_context():
        physics.data.qpos[:], physics.data.qvel[:] = qpos, qvel
    states, kinds = [], set()
    for action in actions:
        environment.step(action)
        kinds |= active(physics)
        states.append((physics.data.qpos.copy(), physics.data.qvel.copy()))
    return *(np.stack(part) for part in zip(*states, strict=True)), kinds


@pytest.mark.parametrize("name", ["ball_in_cup_catch", "finger_spin", "finger_turn_easy"])
def test_rollouts_without_contact_follow_dm_control(name, run):
    """The string, the joint limits and dry friction included."""
    random = np.random.default_rng(1)
    n_rollouts, length = 4, 200
    actions = np.repeat(random.uniform(-1.0, 1.0, (n_rollouts, length // 10, 2)), 10, axis=1)
    if name.startswith("ball"):
        # The ball swings on its string, which is tight all the time: MuJoCo's constraints set
        # in with a jump, so a string tight in one arithmetic only makes a difference.
        qpos = np.tile([0.0, 0.0, 0.0, -0.008], (n_rollouts, 1))
        qvel = np.zeros((n_rollouts, 4))
        qvel[:, 2] = random.uniform(-0.3, 0.3, n_rollouts)
        actions *= np.array([0.1, 0.0])
        expected = {TENDON_LIMIT}
    else:
        # The finger points away from the body, which turns until friction stops it.
        qpos = random.uniform([1.7, 0.5, -3.0], [1.9, 1.9, 3.0], (n_rollouts, 3))
        qvel = random.uniform([-1.0, -1.0, 5.0], [1.0, 1.0, 10.0], (n_rollouts, 3))
        actions[..., 0] = np.abs(actions[..., 0]) - 0.3
        expected = {JOINT_LIMIT, DRY_FRICTION}
    actions = actions.astype(np.float32)
    rows = {"qpos": qpos, "qvel": qvel, "target": np.zeros((n_rollouts, 2)), "action": actions}
    params = tasks.make(name).default_params
    ours = jax.tree.map(np.asarray, run(name).rollout(states_of(name, rows), actions, params))
    environment, worst, kinds = load(name), 0.0, set()
    for i in range(n_rollouts):
        start = ours["qpos"][i, 0], ours["qvel"][i, 0]
        *theirs, pushed = follow(environment, *start, actions[i])
        kinds |= pushed
        for part, values in zip(("qpos", "qvel"), theirs, strict=True):
            scale = np.abs(values).max(axis=0)
            worst = max(worst, (np.abs(ours[part][i, 1:] - values) / scale).max())
    print(f"{name}: relative error {worst:.1e} in {length} steps; {sorted(kinds)}")
    assert kinds == expected
    assert worst < 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_twenty_thousand_steps_stay_finite(name, run):
    """Random actions, drawn anew and held, and every corner of the action box."""
    n_rollouts, length = 128, 160
    random = np.random.default_rng(2)
    actions = random.uniform(-1.0, 1.0, (n_rollouts, length, 2))
    actions[: n_rollouts // 2] = np.sign(actions[: n_rollouts // 2])
    actions[::2] = np.repeat(actions[::2, ::20], 20, axis=1)
    corners = np.array([[x, z] for x in (-1, 0, 1) for z in (-1, 0, 1)], float)
    actions[: len(corners)] = corners[:, None]
    params = tasks.make(name).default_params
    _, states = run(name).reset(jax.random.split(jax.random.key(3), n_rollouts), params)
    ours = run(name).rollout(states, actions.astype(np.float32), params)
    for value in jax.tree.leaves(ours):
        assert np.all(np.isfinite(value))
    assert np.abs(ours["qvel"]).max() < 200.0
