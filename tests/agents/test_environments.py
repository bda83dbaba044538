"""Any Gymnax environment as one of trials, and the trainer on each kind of space."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from gymnax.environments import environment

import metaenvs
from agents.config import ModelConfig, PPOConfig, TrainConfig
from agents.learner import environments
from agents.learner.environments import EpisodeTrials
from agents.learner.trainer import Trainer
from metaenvs import spaces

TINY = TrainConfig(
    env="MemoryChain-bsuite",
    env_params={"memory_length": 3},
    rollout_steps=12,
    envs=4,
    steps=100,
    model=ModelConfig(layers=1, width=8, state_size=4, encoder=(8,), head=(8,)),
    ppo=PPOConfig(minibatches=2, epochs=1),
)


class NoParams(struct.PyTreeNode):
    """Not even a time limit."""


class Mixed(environment.Environment):
    """A MultiDiscrete game for two steps, seen as a MultiDiscrete."""

    num_actions = 2
    default_params = NoParams()

    def reset_env(self, key, params):
        return jnp.zeros(2, jnp.int32), environment.EnvState(time=0)

    def step_env(self, key, state, action, params):
        state = state.replace(time=state.time + 1)
        reward = jnp.float32(action[0] == 1) + jnp.float32(action[1] == 2)
        return action, state, reward, state.time >= 2, {}

    def is_truncated(self, state, params):
        return jnp.zeros((), bool)

    def action_space(self, params):
        return spaces.MultiDiscrete([2, 3])

    observation_space = action_space


metaenvs.register("test-Mixed-v0", Mixed)


def test_episodes_are_trials():
    env, params = metaenvs.make("MemoryChain-bsuite")
    trials = EpisodeTrials(env, ("action", "reward", "done"))
    params = params.replace(memory_length=2)
    obs, state = trials.reset(jax.random.key(0), params)
    assert trials.observation_space(params).shape == obs.shape == (3 + 2 + 1 + 1,)
    context = int(state.env.context[0])
    np.testing.assert_array_equal(obs, [1, 0, 2 * context - 1, 0, 0, 0, 1])
    overs, returns, seen = [], [], []
    for i, action in enumerate([0, 1, context, 1 - context]):
        obs, state, _, terminated, truncated, info = trials.step(
            jax.random.key(i), state, jnp.array(action), params
        )
        overs.append(bool(info["episode_over"]))
        returns.append(float(info["episode_return"]))
        seen.append((obs[3:].tolist(), info["final_observation"][3:].tolist()))
        assert bool(terminated) == overs[-1] and not truncated
    # Three steps of an episode, of which the last pays 1 for the context.
    assert overs == [False, False, True, False] and returns == [0, 0, 1, 0]
    action = np.eye(2)[context].tolist()
    assert seen[0] == ([1, 0, 0, 0],) * 2 and seen[1] == ([0, 1, 0, 0],) * 2
    # The next episode's first observation shows nothing of the one before.
    assert seen[2] == ([0, 0, 0, 1], [*action, 1, 0])


def test_bounded_actions_are_scaled_to_their_box():
    env, params = metaenvs.make("Pendulum-v1")
    trials = EpisodeTrials(env)
    assert trials.action_space(params).high == 1.0
    state = trials.reset(jax.random.key(0), params)[1]
    for action, torque in ((0.5, 1.0), (3.0, 2.0), (-1.0, -2.0)):
        after = trials.step(jax.random.key(1), state, jnp.array([action]), params)[1].env
        expected = env.step(jax.random.key(1), state.env, jnp.array([torque]), params)[1]
        np.testing.assert_allclose(after.theta_dot, expected.theta_dot, rtol=1e-6)


@pytest.mark.parametrize("env", ["MemoryChain-bsuite", "Pendulum-v1", "test-Mixed-v0"])
def test_the_trainer_takes_every_kind_of_space(env):
    params = TINY.env_params if env == "MemoryChain-bsuite" else {}
    trainer = Trainer(dataclasses.replace(TINY, env=env, env_params=params))
    _, metrics = trainer.update(trainer.init())
    ended = {"MemoryChain-bsuite": 4 * 12 / 4, "Pendulum-v1": 0, "test-Mixed-v0": 4 * 12 / 2}
    assert metrics["return_count"].tolist() == [[ended[env]]]
    assert all(np.isfinite(metrics[name]) for name in ("loss", "grad_norm", "entropy"))
    assert len(trainer.trained_tasks) == 1


def test_settings_that_do_not_fit_are_refused():
    def make(**fields):
        return environments.make(dataclasses.replace(TINY, **fields))

    with pytest.raises(ValueError, match=r"unknown parameter of MemoryChain-bsuite 'length'"):
        make(env_params={"length": 3})
    with pytest.raises(ValueError, match=r"'rewards'\. Did you mean 'reward'"):
        make(observe=("rewards",))
    with pytest.raises(TypeError, match="projection"):
        make(projection="orthogonal")
    with pytest.raises(ValueError, match=r"trials of test-Mixed-v0 have no fixed length: give"):
        Trainer(dataclasses.replace(TINY, env="test-Mixed-v0", env_params={}, rollout_steps=None))


def test_only_an_environment_that_can_choose_is_told_what_to_show():
    def make(split="train", projection="orthogonal"):
        return metaenvs.RandomProjection(["pendulum_swingup"], projection=projection)

    metaenvs.register("WithoutObserve-v0", make)
    assert environments.observed(TrainConfig(env="WithoutObserve-v0")) == {}
    config = TrainConfig(env="RandomProjection-Lite-v0", observe=("reward",))
    assert environments.observed(config) == {"observe": ("reward",)}


def test_observe_is_refused_where_the_environment_cannot_follow_it():
    def make(projection="orthogonal"):
        return metaenvs.RandomProjection(["pendulum_swingup"], observe=("reward",))

    metaenvs.register("test-no-observe-v0", make)
    config = dataclasses.replace(TINY, env="test-no-observe-v0", env_params={})
    assert environments.make(config)[0].observe == ("reward",)  # nothing was asked for
    with pytest.raises(ValueError, match=r"test-no-observe-v0 takes no observe: .*'reward'"):
        environments.make(dataclasses.replace(config, observe=("action",)))


def test_a_setting_that_an_environment_of_gymnax_lacks_is_refused_by_name():
    with pytest.raises(TypeError, match=r"Pendulum-v1 takes no such settings: .*'projection'"):
        environments.make(
            dataclasses.replace(TINY, env="Pendulum-v1", env_params={}, projection="gaussian")
        )
