"""Environments of Gymnax and Brax as tasks: the same numbers as by hand, and clear errors."""

import importlib.util
import subprocess
import sys
import warnings

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from gymnax.environments import environment, spaces
from gymnax.wrappers.purerl import FlattenObservationWrapper

from metaenvs import RandomProjection, tasks
from metaenvs.tasks.brax import task as adapter
from metaenvs.testing import check_env

needs_brax = pytest.mark.skipif(
    importlib.util.find_spec("brax") is None, reason="Brax is not installed"
)


def alone(task, **kwargs):
    """`task` in a trial that leaves observations and actions as they are."""
    n_obs, n_act = task.observation_space().shape[0], task.action_space().shape[0]
    return RandomProjection(
        [task], obs_size=n_obs, action_size=n_act, projection="identity", observe=(), **kwargs
    )


def walk(env, steps, seed=0):
    """First state, actions `[steps, A]` (some beyond the box) and what was seen."""
    key_reset, key_actions = jax.random.split(jax.random.key(seed))
    params = env.default_params
    observation, first = env.reset(key_reset, params)
    actions = 1.5 * jax.random.uniform(key_actions, (steps, env.num_actions), minval=-1.0)

    def step(state, action):
        x, state, reward, _, _, info = env.step(jax.random.key(1), state, action, params)
        return state, (x, reward, info["episode_over"], info["episode_terminated"])

    _, seen = jax.jit(lambda s, a: jax.lax.scan(step, s, a))(first, actions)
    return observation, first, actions, [np.asarray(x) for x in seen]


# ---------------------------------------------------------------------------- Gymnax


@pytest.mark.parametrize("env_id", ["Pendulum-v1", "MountainCarContinuous-v0"])
def test_a_gymnax_environment_is_stepped_as_by_hand(env_id):
    env, params = gymnax.make(env_id)
    trial = alone(tasks.from_gymnax(env, params))
    assert trial.task_names == (env_id,)
    observation, first, actions, (x, reward, over, _) = walk(trial, 40)
    state = trial.task_state(first)
    np.testing.assert_allclose(observation, env.get_obs(state), rtol=1e-6)
    high = env.action_space(params).high
    for t, action in enumerate(actions):
        action = high * jnp.clip(action, -1.0, 1.0)
        want, state, pay, *_ = env.step_env(jax.random.key(2), state, action, params)
        np.testing.assert_allclose(x[t], want, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(reward[t], pay, rtol=1e-4, atol=1e-5)
    assert not over.any()


def test_actions_are_clipped_before_the_environment_sees_them():
    task = tasks.from_gymnax(*gymnax.make("MountainCarContinuous-v0"))
    _, state = task.reset(jax.random.key(0))
    _, _, reward, *_ = task.step(jax.random.key(0), state, jnp.array([3.0]))
    np.testing.assert_allclose(reward, -0.1, rtol=1e-6)  # the environment alone: -0.9


def test_tasks_of_one_gymnax_environment_share_a_program():
    env, params = gymnax.make("Pendulum-v1")
    earth, moon = (
        tasks.from_gymnax(env, params.replace(g=g), name) for g, name in ((9.8, "e"), (1.6, "m"))
    )
    assert earth.program == moon.program
    trial = RandomProjection([earth, moon], obs_size=3, action_size=1)
    assert len(trial.default_params.task_params) == 1
    np.testing.assert_allclose(trial.default_params.task_params[0].g, [9.8, 1.6])


@struct.dataclass
class PlaneState:
    position: jax.Array


class Plane(environment.Environment):
    """A point in the plane, with matrices for spaces and nothing that counts steps."""

    box = spaces.Box(-2.0, jnp.array([[2.0, 4.0]]), (1, 2))
    seen = spaces.Box(-100.0, 100.0, (2, 1))

    @property
    def default_params(self):
        return {"gain": 1.0}

    def reset_env(self, key, params):
        state = PlaneState(jnp.zeros((2, 1)))
        return state.position, state

    def step_env(self, key, state, action, params):
        state = PlaneState(state.position + params["gain"] * action.T)
        return state.position, state, jnp.sum(action), state.position[0, 0] > 99, {}

    def action_space(self, params):
        return self.box

    def observation_space(self, params):
        return self.seen


def test_spaces_are_flattened_and_a_time_limit_given():
    task = tasks.from_gymnax(Plane(), max_steps=3)
    assert task.name == "Plane"
    assert task.observation_space().shape == task.action_space().shape == (2,)
    trial = alone(task, episodes_per_trial=3)
    assert trial.trial_length() == 9
    _, _, actions, (x, reward, over, _) = walk(trial, 6)
    inside = np.clip(actions, -1.0, 1.0) * [2.0, 3.0] + [0.0, 1.0]
    np.testing.assert_allclose(x[:2], np.cumsum(inside, axis=0)[:2], rtol=1e-5)
    np.testing.assert_allclose(reward, inside.sum(axis=1), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(over, [False, False, True] * 2)
    np.testing.assert_allclose(x[2], 0.0)  # the start of the next episode
    shorter = tasks.from_gymnax(*gymnax.make("Pendulum-v1"), max_steps=7)
    assert shorter.default_params.max_steps_in_episode == 7


class Unbounded(Plane):
    box = spaces.Box(-jnp.inf, jnp.inf, (1, 2))


class Wrong(Plane):
    seen = spaces.Box(-100.0, 100.0, (3,))


class Changing(Plane):
    def step_env(self, key, state, action, params):
        x, state, *rest = super().step_env(key, state, action, params)
        return x, PlaneState(state.position.astype(jnp.int32)), *rest


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: gymnax.make("CartPole-v1")[0], TypeError, r"CartPole-v1.*Discrete\(2.*Box"),
        (Unbounded, ValueError, "Unbounded.*finite bounds"),
        (Wrong, ValueError, r"Wrong.*\(2, 1\).*\(3,\)"),
        (Changing, TypeError, r"Changing.*position: float32\[2, 1\] -> int32\[2, 1\]"),
        (lambda: "Pendulum-v1", TypeError, "'Pendulum-v1'"),
        (
            lambda: FlattenObservationWrapper(gymnax.make("Pendulum-v1")[0]),
            TypeError,
            "FlattenObservationWrapper",
        ),
    ],
)
def test_what_cannot_be_a_task_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        tasks.from_gymnax(make(), max_steps=5)


def test_a_missing_time_limit_is_asked_for():
    with pytest.raises(ValueError, match=r"Plane.*max_steps=\.\.\."):
        tasks.from_gymnax(Plane())
    with pytest.raises(ValueError, match="at least 1, got 0"):
        tasks.from_gymnax(Plane(), max_steps=0)


# ------------------------------------------------------------------------------ Brax


@pytest.fixture(scope="module")
def pole():
    return tasks.from_brax("inverted_pendulum", "spring")


@needs_brax
def test_a_brax_environment_is_stepped_as_by_hand(pole):
    env = alone(pole)
    observation, first, actions, (x, reward, over, terminated) = walk(env, 30, seed=3)
    mean, std = adapter._observation_table()["inverted_pendulum"]
    scale = np.maximum(std, adapter.LEAST_SCALE)

    theirs = pole.brax_env
    with adapter._quiet():
        step = jax.jit(theirs.step)
        state = pole.brax_state(env.task_state(first))
        np.testing.assert_allclose(
            observation,
            (np.concatenate([state.pipeline_state.q, state.pipeline_state.qd]) - mean) / scale,
            rtol=1e-5,
            atol=1e-5,
        )
        for t, action in enumerate(actions):
            state = step(state, jnp.clip(action, -1.0, 1.0))
            assert bool(state.done) == over[t] == terminated[t]
            np.testing.assert_allclose(reward[t], state.reward)
            if over[t]:
                break
            np.testing.assert_allclose(x[t], (state.obs - mean) / scale, rtol=1e-3, atol=1e-4)
    assert 3 < t < 29  # it fell, and the walk went on in a new episode


@needs_brax
def test_a_brax_task_starts_as_brax_does(pole):
    key = jax.random.key(5)
    with adapter._quiet():
        theirs = jax.jit(pole.brax_env.reset)(key)
    _, state = pole.reset(key)
    mine = pole.brax_state(state)
    np.testing.assert_allclose(mine.pipeline_state.q, theirs.pipeline_state.q, rtol=1e-6)
    np.testing.assert_allclose(mine.pipeline_state.qd, theirs.pipeline_state.qd, rtol=1e-6)
    whole = sum(x.size for x in jax.tree.leaves(theirs))
    assert sum(x.size for x in state.leaves) < whole  # only what a step needs


def one_step(env, state_of, keys, nudge):
    """Observations after one random step from starts that are nudged."""

    def step(key):
        state = state_of(env.reset(key), nudge)
        action = jax.random.uniform(key, (env.action_size,), minval=-1.0, maxval=1.0)
        return env.step(state, action).obs

    return np.asarray(jax.jit(jax.vmap(step))(keys))


@needs_brax
@pytest.mark.parametrize(
    "name",
    [
        "hopper",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("ant", "halfcheetah", "walker2d")),
    ],
)
def test_generalized_physics_is_that_of_brax(name):
    """A step differs from Brax's by no more than Brax's own from a rounded start does."""
    envs = adapter.import_envs()
    with adapter._quiet(), adapter._mujoco_warns_through_python():
        theirs = envs.get_environment(name, backend="generalized")
    ours = tasks.from_brax(name, "generalized").brax_env
    assert ours._pipeline is not theirs._pipeline

    def nudged(state, nudge):
        before = state.pipeline_state
        moved = theirs.pipeline_init(before.q * (1 + nudge), before.qd)
        moved = moved.replace(mass_mx_inv=moved.mass_mx_inv * (1 + nudge))
        return state.replace(pipeline_state=moved)

    keys = jax.random.split(jax.random.key(1), 512)
    with adapter._quiet():
        reference = one_step(theirs, nudged, keys, 0.0)
        rounded = one_step(theirs, nudged, keys, 1e-6)
        mine = one_step(ours, lambda state, nudge: state, keys, 0.0)

    def error(x):
        return np.quantile(np.abs(x - reference).max(axis=1), [0.5, 0.9, 0.99])

    print(name, "one step from Brax's:", error(mine), "from rounded starts:", error(rounded))
    assert (error(mine) <= 3 * error(rounded)).all()
    assert error(mine)[0] < 1e-4


@pytest.fixture(scope="module")
def all_sources(pole):
    return RandomProjection(
        [tasks.from_gymnax(*gymnax.make("Pendulum-v1")), "reacher_easy", pole],
        obs_size=8,
        action_size=2,
    )


@needs_brax
def test_tasks_of_all_sources_make_one_trial_environment(all_sources):
    """By what is traced; examples/05 runs such an environment, and `make slow` checks all of it."""
    env = all_sources
    assert env.task_names == ("Pendulum-v1", "reacher_easy", "inverted_pendulum")
    key, params, action = jax.random.key(0), env.default_params, jnp.zeros(2)
    obs, state = jax.eval_shape(env.reset, key, params)
    next_obs, next_state, reward, *_ = jax.eval_shape(env.step, key, state, action, params)
    assert obs.shape == next_obs.shape == (env.observation_size,) and reward.shape == ()
    assert next_state == state


@needs_brax
@pytest.mark.slow
def test_an_environment_of_all_sources_keeps_the_contract(all_sources):
    check_env(all_sources)


def tiny():
    """A Brax environment that breaks down, reads what it wrote, and writes what nobody reads."""
    envs = adapter.import_envs()

    class Tiny(envs.Env):
        observation_size, action_size, backend = 2, 1, "none"

        def reset(self, rng):
            info = {"rng": rng, "steps": jnp.zeros((), jnp.int32), "junk": jnp.ones(100)}
            return envs.State(None, jnp.zeros(2), jnp.zeros(()), jnp.zeros(()), {"m": 0.0}, info)

        def step(self, state, action):
            rng, key = jax.random.split(state.info["rng"])
            steps = state.info["steps"] + 1
            # From the observation before and the steps so far; NaN after the third.
            obs = state.obs + jnp.concatenate([action, jax.random.normal(key, (1,))])
            obs = jnp.where(steps > 3, jnp.nan, obs)
            state.metrics.update(m=obs[0])
            info = {"rng": rng, "steps": steps, "junk": jnp.full(100, obs[1])}
            return state.replace(obs=obs, reward=obs[0], info=info)

    return Tiny()


@needs_brax
def test_values_that_are_not_finite_end_an_episode():
    task = tasks.from_brax(tiny())
    _, state = task.reset(jax.random.key(0))
    assert task.name == "tiny"
    assert sum(x.size for x in state.leaves) == 5  # obs, done, rng, steps; no junk
    _, _, actions, (x, reward, over, terminated) = walk(alone(task), 4)
    inside = np.clip(actions[:, 0], -1.0, 1.0)
    np.testing.assert_allclose(x[:3, 0], np.cumsum(inside)[:3], rtol=1e-5)
    assert len(set(x[:3, 1])) == 3
    np.testing.assert_array_equal(over, [False, False, False, True])
    np.testing.assert_array_equal(terminated, over)
    assert np.isfinite(x).all()
    assert reward[3] == 0.0


@needs_brax
def test_observations_are_measured_and_normalised():
    mean, std = adapter.measure_observations(
        tasks.from_brax(tiny(), max_steps=3), jax.random.key(0), batch=512, steps=6
    )
    np.testing.assert_allclose(mean, 0.0, atol=0.1)
    # Two of three observations, after one and two steps; the third is the next start.
    np.testing.assert_allclose(std**2, [(1 / 3 + 2 / 3) / 3, (1 + 2) / 3], rtol=0.2)
    task = tasks.from_brax(tiny(), normalize=(np.array([1.0, 2.0]), np.array([4.0, 0.0])))
    x, _ = task.reset(jax.random.key(0))
    np.testing.assert_allclose(x, [-1.0 / 4.0, -2.0 / adapter.LEAST_SCALE])


@needs_brax
@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: tasks.from_brax("hoper"), ValueError, "'hoper'.*'hopper'.*Choices.*walker2d"),
        (lambda: tasks.from_brax("ant", "bullet"), ValueError, "'bullet'.*Choices: mjx, gen"),
        (lambda: tasks.from_brax("ant", max_steps=0), ValueError, "max_steps.*0"),
        (lambda: tasks.from_brax(3), TypeError, "got 3.*inverted_pendulum"),
        (lambda: tasks.from_brax(tiny(), "mjx"), TypeError, "go with a name"),
        (
            lambda: tasks.from_brax(tiny(), normalize=(np.zeros(3), np.ones(3))),
            ValueError,
            r"tiny.*\(2,\).*\(3,\)",
        ),
        (
            lambda: tasks.from_brax(adapter.import_envs().training.EpisodeWrapper(tiny(), 9, 1)),
            TypeError,
            "EpisodeWrapper",
        ),
    ],
)
def test_what_brax_cannot_give_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_the_table_holds_every_environment():
    table = adapter._observation_table()
    assert sorted(table) == sorted(adapter.BRAX_TASKS)
    for mean, std in table.values():
        assert mean.shape == std.shape
        assert np.isfinite(mean).all() and (std >= 0).all()
    assert set(adapter.BRAX_TASKS.values()) <= set(adapter.BACKENDS)


@needs_brax
def test_brax_is_imported_late_and_quietly():
    code = (
        "import sys, metaenvs; assert 'brax' not in sys.modules; "
        "metaenvs.tasks.from_brax('inverted_pendulum', 'spring')"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with pytest.warns(UserWarning, match="ours"), adapter._quiet():
        warnings.warn("ours", stacklevel=1)
