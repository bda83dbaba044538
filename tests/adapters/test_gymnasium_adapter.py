"""Gymnasium's own checks, and its vector environments as the reference for ours."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import RecordEpisodeStatistics

import metaenvs
from metaenvs import popgym, suites
from metaenvs.adapters import gymnasium as adapter
from metaenvs.adapters.gymnasium import TrialEnv, TrialVectorEnv

TRIAL_LENGTH = 10  # of tiny


def check(env_id):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(gymnasium.make(env_id).unwrapped)
    # All that it may say: projected observations know no bounds, and a POPGym action is not
    # in [-1, 1].
    said = [str(w.message) for w in caught]
    assert all("A Box observation" in s or "we recommend using a symmetric" in s for s in said)


def test_gymnasiums_checker_finds_nothing(tiny):
    check(adapter.register(tiny))


@pytest.mark.slow
@pytest.mark.parametrize("env_id", metaenvs.registered_envs)
def test_gymnasiums_checker_finds_nothing_in_any_id(env_id):
    check(f"metaenvs/{env_id}")


def test_every_id_is_known_to_gymnasium():
    for env_id in (*suites.SUITES, *popgym.ids):  # other tests register ids of their own
        assert f"metaenvs/{env_id}" in gymnasium.registry


def test_keywords_reach_make():
    env = gymnasium.make("metaenvs/RandomProjection-Lite-v0", observe=("reward",))
    assert env.observation_space.shape == (13,)
    with pytest.raises(ValueError, match="split 'heldout'"):
        gymnasium.make("metaenvs/RandomProjection-Lite-v0", split="heldout")
    with pytest.raises(ValueError, match="num_envs must be at least 1, got 0"):
        TrialVectorEnv("RandomProjection-Lite-v0", num_envs=0)


def test_an_episode_of_gymnasium_is_a_trial(tiny):
    env = TrialEnv(tiny)
    env.reset(seed=3)
    rewards = []
    for t in range(TRIAL_LENGTH):
        obs, reward, terminated, truncated, info = env.step(np.array([0.3, -0.2], np.float32))
        rewards.append(reward)
        assert (terminated, truncated) == (False, t == TRIAL_LENGTH - 1)
        assert bool(info["episode_over"]) == (t in (4, 9))
    assert np.isclose(info["trial_return"], sum(rewards))
    assert obs[-1] == 1.0  # the observation after the last step: d_prev = 1, not a new trial's


def test_vector_environment_is_gymnasiums_of_single_ones(tiny):
    """Same seeds, same trials, same infos as SyncVectorEnv with autoreset in the same step."""
    ours = TrialVectorEnv(tiny, num_envs=3)
    theirs = SyncVectorEnv([lambda: TrialEnv(tiny)] * 3, autoreset_mode=AutoresetMode.SAME_STEP)
    assert ours.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    obs, want = ours.reset(seed=7)[0], theirs.reset(seed=7)[0]
    np.testing.assert_allclose(obs, want, rtol=1e-5)
    ours.action_space.seed(0)
    for t in range(TRIAL_LENGTH):
        action = ours.action_space.sample()
        *got, infos = ours.step(action)
        *want, their_infos = theirs.step(action)
        last = t == TRIAL_LENGTH - 1
        for x, y in zip(got[last:], want[last:], strict=True):  # at last, each has its new trial
            np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)
        assert infos.keys() == their_infos.keys()
        for name, value in infos.items():
            assert data_equivalence(value, their_infos[name]), name
        assert got[3].all() == last
    assert set(infos) == {"final_obs", "_final_obs", "final_info", "_final_info"}
    for i in range(3):
        assert infos["final_obs"][i][-1] == 1.0 and got[0][i][-1] == 0.0


def test_autoreset_in_the_next_step_is_gymnasiums(tiny):
    ours = TrialVectorEnv(tiny, num_envs=2, autoreset_mode="NextStep")
    theirs = SyncVectorEnv([lambda: TrialEnv(tiny)] * 2)  # its mode by default
    assert ours.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    got, want = ours.reset(seed=7)[:1], theirs.reset(seed=7)[:1]
    ours.action_space.seed(0)
    for t in range(TRIAL_LENGTH + 1):
        for x, y in zip(got, want, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)
        action = ours.action_space.sample()
        *got, infos = ours.step(action)
        *want, their_infos = theirs.step(action)
        if t < TRIAL_LENGTH:
            assert infos.keys() == their_infos.keys()
            for name, value in infos.items():
                assert data_equivalence(value, their_infos[name]), name
    # The reset: another trial than theirs, and nothing else.
    assert infos == {}
    for x, y in zip(got[1:], want[1:], strict=True):
        np.testing.assert_array_equal(x, y)


def test_autoreset_in_the_next_step_takes_no_action_there():
    """Episodes that end at different times: each environment goes on as it would alone."""
    envs = TrialVectorEnv("CartPole-v1", num_envs=3, autoreset_mode="NextStep")
    alone = [TrialVectorEnv("CartPole-v1", num_envs=1) for _ in range(3)]
    obs, _ = envs.reset(seed=4)
    expected = [env.reset(seed=4 + i)[0][0] for i, env in enumerate(alone)]
    starts, following = [False] * 3, [None] * 3
    rng = np.random.default_rng(0)
    episodes = 0
    for _ in range(60):
        np.testing.assert_allclose(obs, expected, rtol=1e-5, atol=1e-6)
        actions = rng.integers(2, size=3)
        obs, reward, terminated, truncated, _ = envs.step(actions)
        for i, env in enumerate(alone):
            if starts[i]:
                expected[i], starts[i] = following[i], False
                assert (reward[i], terminated[i], truncated[i]) == (0, False, False)
                continue
            first, one, over, *_, final = env.step(actions[i : i + 1])
            assert (reward[i], terminated[i]) == (one[0], over[0])
            starts[i], following[i] = bool(over[0]), first[0]
            expected[i] = final["final_obs"][0] if starts[i] else first[0]
            episodes += starts[i]
    assert episodes > 3


def test_normalisation_wrapper_of_gymnasium(tiny):
    envs = gymnasium.make_vec(adapter.register(tiny), num_envs=4, autoreset_mode="NextStep")
    envs = gymnasium.wrappers.vector.NormalizeObservation(envs)
    envs.reset(seed=0)
    envs.action_space.seed(0)
    seen = [envs.step(envs.action_space.sample())[0] for _ in range(3 * TRIAL_LENGTH)]
    assert np.abs(np.mean(seen[TRIAL_LENGTH:], axis=(0, 1))).max() < 1


@pytest.mark.parametrize("mode", ["Disabled", AutoresetMode.DISABLED, None])
def test_other_autoreset_modes_are_refused(tiny, mode):
    with pytest.raises(ValueError, match=r"is none of SameStep, NextStep"):
        TrialVectorEnv(tiny, autoreset_mode=mode)


def test_statistics_wrapper_of_gymnasium(tiny):
    envs = RecordEpisodeStatistics(gymnasium.make_vec(adapter.register(tiny), num_envs=2))
    envs.reset(seed=0)
    total = np.zeros(2)
    for _ in range(TRIAL_LENGTH):
        _, reward, _, _, infos = envs.step(np.zeros((2, 2), np.float32))
        total += reward
    np.testing.assert_allclose(infos["episode"]["r"], total, rtol=1e-5)
    np.testing.assert_array_equal(infos["episode"]["l"], [TRIAL_LENGTH] * 2)
    np.testing.assert_allclose(infos["final_info"]["trial_return"], total, rtol=1e-5)


def test_seeds(tiny):
    envs = TrialVectorEnv(tiny, num_envs=2)
    first, _ = envs.reset(seed=5)
    assert not np.array_equal(first[0], first[1])
    np.testing.assert_array_equal(envs.reset(seed=[6, 5])[0][1], first[0])
    assert not np.array_equal(envs.reset()[0], first)
    with pytest.raises(ValueError, match="3 seeds given for 2 environments"):
        envs.reset(seed=[1, 2, 3])
    with pytest.raises(ValueError, match=r"reset takes no options, got \['mask'\]"):
        envs.reset(options={"mask": 1})


SEEDS = [7, np.int64(7), np.array(7), [7, 9], (7, 9), np.array([7, 9]), [np.int32(7), 9]]


@pytest.mark.parametrize("seed", SEEDS, ids=str)
def test_a_seed_of_any_form_decides_all_resets_to_come(tiny, seed):
    def starts(given):
        envs = TrialVectorEnv(tiny, num_envs=2)
        return [envs.reset(seed=given)[0], envs.reset()[0], envs.reset()[0]]

    first, second, third = starts(seed)
    for x, y in zip(starts(seed), (first, second, third), strict=True):
        np.testing.assert_array_equal(x, y)
    assert not np.array_equal(first, second) and not np.array_equal(second, third)
    plain = np.asarray(seed).tolist()
    np.testing.assert_array_equal(starts(plain)[1], second)
    if np.ndim(seed) == 0:
        alone = TrialEnv(tiny)
        np.testing.assert_array_equal(alone.reset(seed=seed)[0], alone.reset(seed=7)[0])


def test_wrong_seeds_are_named(tiny):
    envs = TrialVectorEnv(tiny, num_envs=2)
    with pytest.raises(ValueError, match="3 seeds given for 2 environments"):
        envs.reset(seed=[1, 2, 3])
    for start, seed in ((envs.reset, 1.5), (envs.reset, [1, 2.5]), (TrialEnv(tiny).reset, "a")):
        with pytest.raises(TypeError, match="a seed is a whole number"):
            start(seed=seed)


def test_actions_may_be_sequences(tiny):
    rows = np.array([[0.9, -0.5], [0.1, 0.3]], np.float32)
    results = []
    for actions in (rows, list(rows), tuple(rows), rows.tolist()):
        envs = TrialVectorEnv(tiny, num_envs=2)
        envs.reset(seed=0)
        results.append(envs.step(actions)[0])
        np.testing.assert_array_equal(results[0], results[-1])
    with pytest.raises(ValueError, match=r"actions have shape \(2,\), needed is \(2, 2\)"):
        wrong = TrialVectorEnv(tiny, num_envs=2)
        wrong.reset(seed=0)
        wrong.step(rows[0])


def test_what_cannot_be_is_said(tiny, monkeypatch):
    for env, action in ((TrialEnv(tiny), np.zeros(2)), (TrialVectorEnv(tiny, 2), np.zeros((2, 2)))):
        with pytest.raises(gymnasium.error.ResetNeeded, match="call reset before"):
            env.step(action)
    for kind in (TrialEnv, TrialVectorEnv):
        with pytest.raises(ValueError, match="no render_mode, got 'rgb_array'"):
            kind(tiny, render_mode="rgb_array")
        monkeypatch.setattr(adapter, "_process", 1)  # as in a child that was forked
        with pytest.raises(RuntimeError, match=r"vector_kwargs=\{\"context\": \"spawn\"\}"):
            kind(tiny)
        monkeypatch.undo()
