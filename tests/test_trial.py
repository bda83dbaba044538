"""The trial's timeline, against bare tasks run by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments import environment

import metaenvs
from metaenvs import tasks, testing
from metaenvs.suites import SUITES
from metaenvs.tasks.base import DMControlTask, TaskParams, TaskState

SHORT = 5  # steps of an episode


class Counter(DMControlTask):
    """Counts control steps from a random start; terminates at a count if asked to."""

    observation_size, action_size = 2, 1

    def initial_state(self, key, params):
        start = jax.random.uniform(key, (1,))
        return TaskState(start, jnp.zeros(1), jnp.zeros((), jnp.int32))

    def advance(self, state, action, params):
        return state.replace(qpos=state.qpos + 1.0, qvel=action)

    def observation(self, state, params):
        return jnp.concatenate([state.qpos, state.qvel])

    def reward(self, state, action, params):
        return action[0] + 10.0

    def step_env(self, key, state, action, params):
        obs, state, reward, _, info = super().step_env(key, state, action, params)
        return obs, state, reward, state.time >= 3, info


def contact_free(**changes):
    """The Lite suite without its action repeat: dm_control's control steps."""
    suite = dataclasses.replace(SUITES["RandomProjection-Lite-v0"], action_repeat=1, **changes)
    env = suite.make()
    return env, env.default_params


def short(env, params, length=SHORT):
    """The same params with shorter episodes."""
    task_params = tuple(
        p.replace(max_steps_in_episode=jnp.full_like(p.max_steps_in_episode, length))
        for p in params.task_params
    )
    return params.replace(task_params=task_params)


@pytest.fixture(scope="module")
def lite():
    env, params = contact_free()
    return env, short(env, params)


def walk(env, params, n_envs, steps, seed=0):
    """Random actions. Returns initial (obs, state) and everything of every step, `[T, B]`."""
    key_reset, key_walk = jax.random.split(jax.random.key(seed))
    first = jax.vmap(env.reset, (0, None))(jax.random.split(key_reset, n_envs), params)

    def step(loop, key):
        obs, state = loop
        key_action, key_env = jax.random.split(key)
        action = jax.random.uniform(key_action, (n_envs, env.action_size), minval=-2, maxval=2)
        out = jax.vmap(env.step, (0, 0, 0, None))(
            jax.random.split(key_env, n_envs), state, action, params
        )
        next_obs, next_state, reward, terminated, truncated, info = out
        record = dict(
            obs=obs,
            state=state,
            action=action,
            reward=reward,
            next_obs=next_obs,
            terminated=terminated,
            truncated=truncated,
            next_state=next_state,
            info=info,
        )
        return (next_obs, next_state), record

    _, record = jax.jit(lambda f, k: jax.lax.scan(step, f, k))(
        first, jax.random.split(key_walk, steps)
    )
    return first, jax.tree.map(np.asarray, record)


def test_task_and_projection_live_as_long_as_a_trial(lite):
    env, params = lite
    _, r = walk(env, params, n_envs=64, steps=4 * SHORT)
    trial = r["truncated"].cumsum(0) - r["truncated"]
    assert trial.max() == 1  # 20 steps are two trials of two episodes
    for leaf in (
        r["state"].task_id,
        r["state"].projection.observation,
        r["state"].projection.action,
    ):
        for t in (0, 1):
            inside = leaf[2 * SHORT * t : 2 * SHORT * (t + 1)]
            assert (inside == inside[0]).all()
    maps = r["state"].projection.observation
    assert (maps[0] != maps[-1]).any(axis=(-1, -2)).all()  # a new draw in the second trial
    assert len(np.unique(maps[0, :, 0, 0])) == 64  # and a different one in every environment
    names = {env.task_names[i] for i in np.unique(r["state"].task_id)}
    assert names == set(env.splits["train"])


def test_truncated_at_the_end_of_a_trial_only(lite):
    env, params = lite
    _, r = walk(env, params, n_envs=8, steps=4 * SHORT)
    steps = np.arange(1, 4 * SHORT + 1)[:, None]
    assert (r["truncated"] == (steps % (2 * SHORT) == 0)).all()
    assert not r["terminated"].any()
    assert (r["info"]["episode_over"] == (steps % SHORT == 0)).all()
    assert (r["info"]["truncated"] == r["truncated"]).all()
    assert not r["info"]["episode_terminated"].any()
    expected_index = (steps - 1) // SHORT % 2
    assert (r["info"]["episode_index"] == expected_index).all()
    assert (r["info"]["episode_length"] == (steps - 1) % SHORT + 1).all()


def test_info_sums_rewards(lite):
    env, params = lite
    _, r = walk(env, params, n_envs=8, steps=2 * SHORT)
    per_episode = r["reward"].reshape(2, SHORT, 8).cumsum(1).reshape(2 * SHORT, 8)
    np.testing.assert_allclose(r["info"]["episode_return"], per_episode, rtol=1e-5)
    np.testing.assert_allclose(r["info"]["trial_return"], r["reward"].cumsum(0), rtol=1e-5)
    np.testing.assert_array_equal(r["info"]["task_reward"], r["reward"])


def test_episodes_start_from_fresh_states(lite):
    env, params = lite
    (first_obs, _), r = walk(env, params, n_envs=16, steps=2 * SHORT)
    second_start = r["next_obs"][SHORT - 1][:, : env.obs_size]
    assert (np.abs(second_start - np.asarray(first_obs)[:, : env.obs_size]).max(-1) > 1e-6).all()


def test_observation_parts_stand_where_documented(lite):
    env, params = lite
    (first_obs, _), r = walk(env, params, n_envs=32, steps=2 * SHORT)
    first_obs = np.asarray(first_obs)
    assert first_obs.shape == (32, 16)
    assert (first_obs[:, 12:] == 0).all()
    before_end = r["next_obs"][:-1]
    np.testing.assert_array_equal(before_end[:, :, 12:14], r["action"][:-1].clip(-1, 1))
    np.testing.assert_array_equal(before_end[:, :, 14], r["reward"][:-1])
    np.testing.assert_array_equal(before_end[:, :, 15], r["info"]["episode_over"][:-1])
    assert (r["next_obs"][-1][:, 12:] == 0).all()  # a new trial's first observation
    # M_o x: rebuilt from the task's own observation.
    for i in range(32):
        state = jax.tree.map(lambda x, i=i: x[SHORT - 1, i], r["state"])
        task = env.tasks.tasks[int(state.task_id)]
        x = task.observation(env.task_state(state), task.default_params)
        projected = state.projection.observation[:, : x.size] @ np.asarray(x)
        np.testing.assert_allclose(r["obs"][SHORT - 1, i, :12], projected, atol=1e-5)


@pytest.mark.parametrize(
    ("observe", "size"), [((), 12), (("reward", "done"), 14), (("done", "action"), 15)]
)
def test_observe_selects_parts(observe, size):
    env, params = metaenvs.make("RandomProjection-Lite-v0", observe=observe)
    obs, _ = env.reset(jax.random.key(0), params)
    assert obs.shape == (size,) == env.observation_space(params).shape


def test_final_observation_is_what_would_have_come_next(lite):
    env, params = lite
    _, r = walk(env, params, n_envs=8, steps=2 * SHORT)
    final = r["info"]["final_observation"]
    np.testing.assert_array_equal(final[:-1], r["next_obs"][:-1])
    # The same trial with room for one more episode goes on instead of ending.
    longer = params.replace(episodes_per_trial=jnp.asarray(3))
    _, r3 = walk(env, longer, n_envs=8, steps=2 * SHORT)
    np.testing.assert_allclose(final[-1], r3["next_obs"][-1], rtol=1e-6)
    assert (final[-1, :, 15] == 1).all()


def check_trials_are_bare_tasks(env, names):
    for task_name in names:
        task = tasks.make(task_name)
        only = env.params_for(tasks=[task_name])
        _, state = env.reset(jax.random.key(1), only)
        bare = env.task_state(state)
        assert env.task_names[int(state.task_id)] == task_name
        for i in range(20):
            key_action, key_step = jax.random.split(jax.random.key(i))
            action = jax.random.uniform(key_action, (2,), minval=-1, maxval=1)
            u = jnp.clip(state.projection.action @ action, -1, 1)[: task.action_size]
            x, bare, reward, *_ = task.step(key_step, bare, u, task.default_params)
            obs, state, trial_reward, *_ = env.step(key_step, state, action, only)
            np.testing.assert_allclose(reward, trial_reward, rtol=1e-4, atol=1e-6)
            expected = state.projection.observation[:, : x.size] @ x
            np.testing.assert_allclose(obs[:12], expected, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(env.task_state(state).qpos, bare.qpos, rtol=1e-4, atol=1e-6)


def test_a_trial_is_the_bare_task_behind_its_projection():
    env, _ = contact_free()
    check_trials_are_bare_tasks(env, env.splits["held_out"])


def test_a_task_with_fewer_observations_than_its_program_is_still_its_bare_self():
    """finger_spin sees 9 numbers; the program that it shares with finger_turn has 12."""
    env = metaenvs.RandomProjection(["finger_spin", "finger_turn_hard"], projection="gaussian")
    check_trials_are_bare_tasks(env, env.task_names)


def test_step_is_step_env_until_a_trial_ends_and_then_a_new_one(lite):
    env, params = lite
    _, r = walk(env, params, n_envs=1, steps=2 * SHORT)
    for t in (0, SHORT - 1, 2 * SHORT - 1):
        state = jax.tree.map(lambda x, t=t: x[t, 0], r["state"])
        args = (jax.random.key(5), state, r["action"][t, 0], params)
        obs, after, reward, terminated, truncated, info = env.step(*args)
        endless_obs, endless, *endless_out = env.step_env(*args)
        assert bool(truncated) == (t == 2 * SHORT - 1)
        same = (info["final_observation"], reward, terminated)
        for x, y in zip(same, (endless_obs, *endless_out[:2]), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)
        if not truncated:
            for x, y in zip(jax.tree.leaves(after), jax.tree.leaves(endless), strict=True):
                np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)
    assert not np.array_equal(after.projection.observation, state.projection.observation)
    assert [int(after.time), int(after.episode_index), float(after.trial_return)] == [0, 0, 0]
    task = env.tasks.tasks[int(after.task_id)]
    x = task.observation(env.task_state(after), task.default_params)
    np.testing.assert_allclose(obs[:12], after.projection.observation[:, : x.size] @ x, atol=1e-5)
    assert (np.asarray(obs[12:]) == 0).all()


def test_action_repeat_sums_rewards_and_stops_at_the_episode_end():
    task = Counter("counter", TaskParams(max_steps_in_episode=1000))
    env = metaenvs.RandomProjection(
        [task],
        obs_size=2,
        action_size=1,
        projection="identity",
        action_repeat=2,
        episodes_per_trial=2,
    )
    _, state = env.reset(jax.random.key(0))
    rewards, over, terminated = [], [], []
    for i in range(4):
        _, state, reward, _, truncated, info = env.step(jax.random.key(i), state, jnp.ones(1))
        rewards.append(float(reward))
        over.append(bool(info["episode_over"]))
        terminated.append(bool(info["episode_terminated"]))
    # It terminates at its third control step: the second repeat pays for one of two.
    assert rewards == [22.0, 11.0, 22.0, 11.0]
    assert over == terminated == [False, True, False, True]
    assert bool(truncated)


def test_action_box_is_mapped_affinely():
    class Wide(Counter):
        def action_space(self, params=None):
            return metaenvs.trial.spaces.Box(jnp.array([2.0]), jnp.array([6.0]), (1,))

        def step_env(self, key, state, action, params):
            state = state.replace(time=state.time + 1)
            obs = self.observation(state, params)
            return obs, state, action[0], jnp.zeros((), bool), {}

    env = metaenvs.RandomProjection(
        [Wide("wide", TaskParams())], obs_size=2, action_size=1, projection="identity"
    )
    _, state = env.reset(jax.random.key(0))
    rewards = [float(env.step(jax.random.key(0), state, jnp.array([a]))[2]) for a in (-9, 0, 0.5)]
    assert rewards == [2.0, 4.0, 5.0]


def test_projection_scale_and_task_weights_are_traced(lite):
    env, params = lite
    obs, _ = env.reset(jax.random.key(0), params)
    doubled, _ = env.reset(jax.random.key(0), params.replace(projection_scale=jnp.asarray(2.0)))
    np.testing.assert_allclose(doubled[:12], 2 * obs[:12], rtol=1e-6)
    n = len(env.task_names)
    axes = jax.tree.map(lambda _: None, params).replace(task_weights=0)
    weights = params.replace(task_weights=jnp.eye(n))
    _, states = jax.vmap(env.reset, (0, axes))(jax.random.split(jax.random.key(0), n), weights)
    np.testing.assert_array_equal(states.task_id, np.arange(n))


def test_rewards_are_scaled_by_task():
    env = metaenvs.RandomProjection(
        ["cartpole_swingup", "pendulum_swingup"],
        obs_size=5,
        action_size=1,
        reward_scale={"cartpole_swingup": 4.0},
    )
    params = env.params_for(tasks=["cartpole_swingup"])
    assert params.reward_scale.tolist() == [4.0, 1.0]
    _, state = env.reset(jax.random.key(0), params)
    state = state.replace(trial_return=jnp.asarray(0.5))
    action = jnp.full(1, 0.3)
    obs, _, reward, _, _, info = env.step(jax.random.key(1), state, action, params)
    assert info["task_reward"] > 0
    np.testing.assert_allclose(reward, 4.0 * info["task_reward"])
    np.testing.assert_allclose(obs[-2], reward)  # the agent sees what it is paid
    np.testing.assert_allclose(info["episode_return"], info["task_reward"])
    np.testing.assert_allclose(info["trial_return"], 0.5 + reward)

    with pytest.raises(ValueError, match=r"'walker'.*cartpole_swingup"):
        metaenvs.RandomProjection(["cartpole_swingup"], obs_size=5, reward_scale={"walker": 2.0})


def test_tasks_are_drawn_by_weight(lite):
    env, params = lite
    weights = jnp.array([1.0, 2.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    params = params.replace(task_weights=weights)
    keys = jax.random.split(jax.random.key(0), 4000)
    _, states = jax.vmap(env.reset, (0, None))(keys, params)
    counts = np.bincount(states.task_id, minlength=7) / 4000
    np.testing.assert_allclose(counts, weights / 4, atol=0.04)


def test_splits_share_one_compilation():
    train, train_params = metaenvs.make("RandomProjection-Lite-v0", split="train")
    held_out, held_out_params = metaenvs.make("RandomProjection-Lite-v0", split="held_out")
    assert train != held_out and train.code == held_out.code
    _, state = train.reset(jax.random.key(0), train_params)
    train.step(jax.random.key(1), state, jnp.zeros(2), train_params)
    cached = type(train)._step._cache_size(), type(train)._reset._cache_size()
    _, state = held_out.reset(jax.random.key(0), held_out_params)
    held_out.step(jax.random.key(1), state, jnp.zeros(2), held_out_params)
    longer = held_out.params_for(tasks=["pendulum_swingup"], episodes_per_trial=7)
    held_out.step(jax.random.key(1), state, jnp.zeros(2), longer)
    held_out.step(jax.random.key(1), state, jnp.zeros(2))
    assert (type(train)._step._cache_size(), type(train)._reset._cache_size()) == cached
    assert train.default_params.task_weights.tolist() == [1, 1, 1, 0, 0, 0, 0]
    assert held_out.default_params.task_weights.tolist() == [0, 0, 0, 1, 1, 1, 1]


def test_trial_length(lite):
    env, params = lite
    assert env.trial_length(params) == 2 * SHORT
    assert metaenvs.make("RandomProjection-Lite-v0")[0].trial_length() == 500


@pytest.mark.parametrize("env_id", ["Pendulum-v1", "MemoryChain-bsuite"])
def test_gymnax_ids_pass_through_and_keep_the_contract(env_id):
    env, params = metaenvs.make(env_id)
    testing.check_env(env, params)


def test_check_env_finds_breaches():
    class Impure(Counter):
        calls = 0

        def step_env(self, *args):
            Impure.calls += 1
            obs, state, reward, terminated, info = super().step_env(*args)
            return obs, state, reward * Impure.calls, terminated, info

        def step(self, *args):  # not jitted: every call is a new result
            return environment.Environment.step.__wrapped__(self, *args)

    class Misshapen(Counter):
        def observation(self, state, params):
            return state.qpos

    class NotFinite(Counter):
        def reward(self, state, action, params):
            return jnp.log(-jnp.abs(action[0]) - 1.0)

    for broken, message in (
        (Impure, "equal arguments differ"),
        (Misshapen, "its space says"),
        (NotFinite, "not finite"),
    ):
        with pytest.raises(testing.ContractError, match=message):
            testing.check_env(broken("broken", TaskParams()))


BAD_INPUT = [
    (dict(tasks=["cartpole_swingpu"]), ValueError, "'cartpole_swingpu'.*'cartpole_swingup'"),
    (dict(tasks=[]), ValueError, "at least one task"),
    (dict(tasks=["reacher_easy"] * 2), ValueError, "'reacher_easy' is listed more than once"),
    (dict(obs_size=5), ValueError, "obs_size=5 is too small for task 'reacher_easy'.*6"),
    (dict(action_size=1), ValueError, "action_size=1 is too small for task 'reacher_easy'.*2"),
    (dict(projection="haar"), ValueError, "family 'haar'.*orthogonal"),
    (dict(split="test"), ValueError, "split 'test'.*all"),
    (dict(observe=["rewards"]), ValueError, "'rewards'.*'reward'"),
    (dict(episodes_per_trial=0), ValueError, "episodes_per_trial must be at least 1, got 0"),
    (dict(action_repeat=0), ValueError, "action_repeat must be at least 1, got 0"),
]


@pytest.mark.parametrize(("kwargs", "error", "message"), BAD_INPUT)
def test_bad_constructor_input_is_named(kwargs, error, message):
    with pytest.raises(error, match=message):
        metaenvs.RandomProjection(**{"tasks": ["reacher_easy"], **kwargs})


def test_discrete_actions_are_refused():
    cartpole, _ = metaenvs.make("CartPole-v1")
    cartpole.program = "cartpole"
    with pytest.raises(TypeError, match=r"'CartPole-v1' has action space Discrete"):
        metaenvs.RandomProjection([cartpole])


def test_bad_calls_are_named(lite):
    env, params = lite
    _, state = env.reset(jax.random.key(0), params)
    with pytest.raises(ValueError, match=r"shape \(3,\).*takes \(2,\)"):
        env.step(jax.random.key(0), state, jnp.zeros(3), params)
    with pytest.raises(ValueError, match=r"'acrobot_swingup'.*Choices: cartpole_swingup"):
        env.params_for(tasks=["acrobot_swingup"])
    with pytest.raises(ValueError, match="not both"):
        env.params_for(tasks=["reacher_easy"], split="train")
    with pytest.raises(ValueError, match="no tasks given"):
        env.params_for(tasks=[])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"splits": {"a": ["pendulum_swingup"], "b": ["pendulum_swngup"]}},
            "'b'.*'pendulum_swngup'",
        ),
        ({"splits": {"a": ["pendulum_swingup"], "b": []}}, "'b'.*no tasks"),
        (
            {
                "splits": {"a": ["pendulum_swingup"], "b": ["pendulum_swingup"]},
                "dynamics": {"b": {"mass": (2.0, 1.0)}},
            },
            "'b'.*mass",
        ),
        (
            {
                "splits": {"a": ["pendulum_swingup"], "b": ["pendulum_swingup"]},
                "dynamics": {"b": {"colour": (1.0, 2.0)}},
            },
            "'b'.*'colour'",
        ),
    ],
)
def test_what_is_wrong_with_any_split_is_refused_at_once(settings, message):
    with pytest.raises(ValueError, match=message):
        metaenvs.RandomProjection(["pendulum_swingup"], **settings)


MIDDLE = {  # what params may become in the middle of a trial, by leaf
    "task_weights": lambda p: {"task_weights": p.task_weights[::-1]},
    "episodes_per_trial": lambda p: {"episodes_per_trial": jnp.asarray(1)},
    "projection_scale": lambda p: {"projection_scale": 2.0 * p.projection_scale},
    "reward_scale": lambda p: {"reward_scale": 3.0 * p.reward_scale},
    "dynamics": lambda p: {"dynamics": jax.tree.map(lambda x: 1.2 * x, p.dynamics)},
    "task_params": lambda p: {
        "task_params": tuple(
            x.replace(max_steps_in_episode=0 * x.max_steps_in_episode + 4) for x in p.task_params
        )
    },
}


def test_params_changed_in_the_middle_of_a_trial():
    """`truncated` says that a new trial begins, and one does: alone, and of many at once."""
    env = metaenvs.RandomProjection(["pendulum_swingup", "cartpole_balance"])
    before = short(env, env.params_for(episodes_per_trial=3))
    assert set(MIDDLE) == {
        f.name for f in dataclasses.fields(before) if f.metadata.get("pytree_node", True)
    }
    changed = [before, *(before.replace(**change(before)) for change in MIDDLE.values())]
    many = jax.tree.map(lambda *x: jnp.stack([jnp.asarray(leaf) for leaf in x]), *changed)
    n, action = len(changed), jnp.full((len(changed), env.action_size), 0.1)
    step = jax.jit(jax.vmap(env.step, (None, 0, 0, 0)))
    key = jax.random.key(0)
    states = jax.vmap(lambda _: env.reset(key, before)[1])(jnp.arange(n))
    same = jax.tree.map(lambda x: jnp.stack([jnp.asarray(x)] * n), before)
    for t in range(SHORT + 2):  # the second episode of three is under way
        states = step(jax.random.key(t), states, action, same)[1]
    for t in range(3 * SHORT):
        after = step(jax.random.key(99 + t), states, action, many)
        truncated, new = after[4], after[1].time == 0
        np.testing.assert_array_equal(truncated, new)
        moved = (after[1].projection.observation != states.projection.observation).any((1, 2))
        np.testing.assert_array_equal(truncated, moved)
        single = env.step(
            jax.random.key(99 + t), *jax.tree.map(lambda x: x[2], (states, action, many))
        )
        assert bool(single[4]) == bool(truncated[2])
        states = after[1]
        if t == 0:  # one episode is over: with trials of one, this trial ought to be
            assert truncated.tolist() == [name == "episodes_per_trial" for name in ["", *MIDDLE]]
