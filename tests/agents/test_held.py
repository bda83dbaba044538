"""An agent that holds its actions: the same trial, whether the environment repeats or the agent."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

import metaenvs
from agents import config as configs
from agents.config import ModelConfig, PPOConfig, TrainConfig
from agents.learner import environments
from agents.learner.trainer import Trainer
from agents.runs import evaluate
from agents.runs.held import Held

HOLD = 4
CONFIG = TrainConfig(
    env="RandomProjection-Lite-v0",
    envs=2,
    rollout_steps=10,
    hold=HOLD,
    model=ModelConfig(layers=1, width=8, encoder=(8,), head=(8,)),
    ppo=PPOConfig(minibatches=1, epochs=1),
)


class Counter(struct.PyTreeNode):
    """Acts by what it has seen and by how many decisions it has made; keeps the last reward."""

    reward_at: int = struct.field(pytree_node=False, default=-2)

    def init_carry(self, n):
        return jnp.zeros(n)

    def act(self, carry, obs, reset, key):
        carry = jnp.where(reset, 0.0, carry) + 1.0
        action = jnp.stack([jnp.sin(carry + obs[:, 0]), jnp.cos(obs[:, self.reward_at])], axis=1)
        return carry, action


def test_a_held_policy_lives_through_the_trial_of_an_environment_that_repeats():
    plain, params = metaenvs.make("RandomProjection-Lite-v0")
    repeats, _ = metaenvs.make("RandomProjection-Lite-v0", action_repeat=HOLD * plain.action_repeat)
    # 260 steps: across the end of the first episode, which has 250 of the suite's own steps
    # and so is no multiple of the hold.
    key, reset = jax.random.key(3), jnp.ones(1, bool)

    def run(env, policy, steps):
        def step(loop, _):
            state, obs, carry, reset = loop
            carry, action = policy.act(carry, obs[None], reset, key)
            obs, state, reward, *_, info = env.step(key, state, action[0], params)
            return (state, obs, carry, reset & False), (reward, info["episode_over"], obs)

        obs, state = env.reset(key, params)
        loop = (state, obs, policy.init_carry(1), reset)
        return jax.device_get(jax.lax.scan(step, loop, None, steps)[1])

    run = jax.jit(run, static_argnums=(0, 2))
    reward, over, obs = run(plain, Held.on(Counter(), HOLD, plain), 260)
    sums, ends, seen = run(repeats, Counter(), 65)
    first = 250 // HOLD + 1  # decisions in the first episode, the last cut short by its end
    assert ends[:first].tolist() == [False] * (first - 1) + [True] and over[249]
    bounds = [*range(0, 249, HOLD), 250, *range(254, 260, HOLD)]
    np.testing.assert_allclose(
        np.add.reduceat(reward, bounds[:-1])[: first - 1], sums[: first - 1], rtol=1e-4
    )
    # What it sees at a decision is the same, but for the reward, which is that of a hold.
    last = np.array(bounds[1:first]) - 1
    for parts in (slice(None, -2), slice(-1, None)):
        np.testing.assert_allclose(obs[last, parts], seen[: first - 1, parts], atol=1e-4)


def test_the_parts_of_an_observation_are_where_they_are_said_to_be():
    env, _ = metaenvs.make("RandomProjection-Lite-v0", observe=("reward", "done"))
    assert env.observed_at == {"reward": slice(12, 13), "done": slice(13, 14)}
    assert env.observation_size == 14
    held = Held.on(Counter(), HOLD, env)
    assert (held.reward_at, held.done_at) == (12, 13)


def test_one_decision_counts_as_many_steps_as_it_is_held():
    trainer = Trainer(dataclasses.replace(CONFIG, steps=160))
    assert trainer.env.action_repeat == HOLD * 4
    assert trainer.steps_per_update == 2 * 10 * HOLD and trainer.updates == 2


def test_what_cannot_hold_is_refused():
    config = dataclasses.replace(CONFIG, env="popgym-RepeatPreviousEasy-v0")
    with pytest.raises(ValueError, match=r"hold=4: popgym-RepeatPreviousEasy-v0 cannot hold"):
        environments.make(config)
    with pytest.raises(ValueError, match="hold must be at least 1, got 0"):
        dataclasses.replace(CONFIG, hold=0)


def test_a_saved_agent_holds_its_actions_where_it_is_evaluated():
    class Saved:
        path, config = None, CONFIG

        def restore_agent(self, like):
            return 0, Trainer(CONFIG).init().agent()

    policy, _, _ = evaluate.load(Saved())
    assert isinstance(policy, Held) and policy.repeat == HOLD
    obs = jax.random.normal(jax.random.key(0), (9, 1, 16))
    carry, actions = policy.init_carry(1), []
    for t, x in enumerate(obs):
        flag = jnp.asarray(1.0 if t == 6 else 0.0)  # an episode has ended inside a hold
        carry, action = policy.act(
            carry, x.at[:, -1].set(flag), jnp.array([t == 0]), jax.random.key(t)
        )
        actions.append(action[0, 0].item())
    assert [a != b for a, b in itertools.pairwise(actions)] == [
        False, False, False, True, False, True, False, False,
    ]  # fmt: skip


def test_published_fingerprints_do_not_know_of_settings_that_came_later():
    config = TrainConfig()
    assert '"hold"' in configs.to_json(config)
    assert configs.fingerprint(config) == configs.fingerprint(TrainConfig(hold=1))
    assert configs.fingerprint(config) != configs.fingerprint(TrainConfig(hold=2))
