"""Settings of PPO: schedules, segments, normalisation, separate value trunk."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.config import ModelConfig, PPOConfig, TrainConfig
from agents.learner import networks, optimiser, rollout
from agents.learner.moments import Moments, RewardScale
from agents.learner.trainer import Trainer
from agents.runs.evaluate import AgentPolicy

TINY = TrainConfig(
    env="MemoryChain-bsuite",
    env_params={"memory_length": 4},  # episodes of five steps
    rollout_steps=12,
    envs=4,
    steps=100,
    model=ModelConfig(layers=1, width=8, encoder=(8,), head=(8,)),
    ppo=PPOConfig(minibatches=2, epochs=1, reward_scale=1.0),
)


def tiny(model=None, **ppo):
    return dataclasses.replace(
        TINY,
        model=dataclasses.replace(TINY.model, **(model or {})),
        ppo=dataclasses.replace(TINY.ppo, **ppo),
    )


@pytest.mark.parametrize(
    ("schedule", "warmup", "expected"),
    [
        ("constant", 0.0, [1, 1, 1, 1, 1]),
        ("linear", 0.0, [1, 0.75, 0.5, 0.25, 0]),
        ("cosine", 0.0, [1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2, 0]),
        ("linear", 0.5, [0, 0.5, 1, 0.5, 0]),
    ],
)
def test_schedules(schedule, warmup, expected):
    config = PPOConfig(learning_rate=3.0, schedule=schedule, warmup=warmup)
    rate = optimiser.schedule(config, 100)
    np.testing.assert_allclose([rate(n) / 3 for n in (0, 25, 50, 75, 100)], expected, atol=1e-6)


def test_moments_are_those_of_all_that_was_seen():
    rng = np.random.default_rng(0)
    parts = [rng.normal([5, -100], [0.1, 30], (n, 3, 2)).astype(np.float32) for n in (1, 7, 50)]
    moments = Moments.of_shape((2,))
    np.testing.assert_allclose(moments.normalise(jnp.array([2.0, -3.0])), [2, -3], rtol=1e-6)
    for part in parts:
        moments = moments.updated(jnp.asarray(part))
    everything = np.concatenate(parts).reshape(-1, 2)
    np.testing.assert_allclose(moments.mean, everything.mean(0), rtol=1e-4)
    np.testing.assert_allclose(moments.variance, everything.var(0), rtol=1e-3)
    z = moments.normalise(jnp.asarray(everything))
    np.testing.assert_allclose([z.mean(0), z.std(0)], [[0, 0], [1, 1]], atol=1e-2)


def test_rewards_are_scaled_by_the_spread_of_their_discounted_sums():
    # Sums with gamma = 1/2, worked by hand: 4, 6 (a trial ends), 2; then 1 + 2/2.
    reward, ended = jnp.array([[4.0], [4.0], [2.0]]), jnp.array([[0], [1], [0]]) > 0
    scale = RewardScale.of_envs(1).updated(reward, ended, 0.5)
    assert scale.sums.tolist() == [2.0]
    np.testing.assert_allclose(scale.moments.variance, np.var([4, 6, 2]), rtol=1e-6)
    scale = scale.updated(jnp.array([[1.0]]), jnp.array([[False]]), 0.5)
    np.testing.assert_allclose(scale.moments.variance, np.var([4, 6, 2, 2]), rtol=1e-6)
    np.testing.assert_allclose(scale.apply(jnp.array(3.0)), 3 / np.std([4, 6, 2, 2]), rtol=1e-6)


def test_segments_replay_what_was_acted_from_stored_memories():
    trainer = Trainer(tiny(bptt=4))
    state = trainer.init()
    _, carries, acted, _ = jax.jit(trainer._rollout)(state, jax.random.key(0))
    segments, starts = rollout.cut(acted, 4), rollout.join(carries)
    assert segments.obs.shape[:2] == (4, 3 * 4)  # three segments for each of four environments
    np.testing.assert_array_equal(segments.obs[:, 5], acted.obs[8:12, 1])  # 5 = 1 * 3 + 2
    _, policy, value = trainer.network.apply(state.params, starts, segments.obs, segments.reset)
    np.testing.assert_allclose(value, segments.value, rtol=1e-3, atol=1e-5)
    log_prob = policy.log_prob(segments.action)
    np.testing.assert_allclose(log_prob, segments.log_prob, rtol=1e-3, atol=1e-5)
    # From empty memories it would have been something else.
    empty = trainer.network.init_carry(12)
    other = trainer.network.apply(state.params, empty, segments.obs, segments.reset)[2]
    assert np.abs(other - segments.value).max() > 1e-3


def test_observations_are_normalised_by_what_training_saw():
    trainer = Trainer(tiny({"normalise_observations": True}))
    state = trainer.init()
    _, _, acted, _ = jax.jit(trainer._rollout)(state, jax.random.fold_in(jax.random.key(0), 0))
    state, _ = trainer.update(state)
    (moments,) = jax.tree.leaves(state.params["moments"], is_leaf=lambda x: isinstance(x, Moments))
    assert moments.count == 48
    # The context is shown in some steps only: its spread is no longer 1.
    assert 0 < moments.variance[2] < 1
    # An agent acts as one that sees normalised observations and normalises no more.
    obs = acted.obs[0]
    plain = networks.make(TINY.model, trainer.env.action_space(trainer.env_params))
    policies = [
        AgentPolicy.make(trainer.network, state.params, True),
        AgentPolicy.make(plain, {"params": state.params["params"]}, True),
    ]
    outputs = [
        policy.act(policy.init_carry(4), x, jnp.ones(4, bool), jax.random.key(0))
        for policy, x in zip(policies, (obs, moments.normalise(obs)), strict=True)
    ]
    for x, y in zip(*map(jax.tree.leaves, outputs), strict=True):
        np.testing.assert_array_equal(x, y)


def test_gradients_leave_the_moments_alone():
    trainer = Trainer(tiny({"normalise_observations": True}))
    before = trainer.init()
    sequences = jax.jit(trainer._rollout)(before, jax.random.key(0))
    acted = sequences[2]
    batch = (acted, acted.reward, acted.reward), rollout.join(sequences[1])
    params, _, _ = jax.jit(trainer._epochs)(before, batch, jax.random.key(1))
    for x, y in zip(
        *map(jax.tree.leaves, (before.params["moments"], params["moments"])), strict=True
    ):
        np.testing.assert_array_equal(x, y)
    assert any(
        (x != y).any() for x, y in zip(*map(jax.tree.leaves, (before.params, params)), strict=True)
    )


def test_a_separate_value_shares_nothing_with_the_policy():
    trainer = Trainer(tiny({"separate_value": True}, normalise_rewards=True))
    state, metrics = trainer.update(trainer.init())
    assert np.isfinite(metrics["loss"]) and state.reward_scale.moments.count == 48

    def value_sum(params):
        return trainer.network.apply(params, state.carry, state.obs[None], state.reset[None])[
            2
        ].sum()

    gradient = jax.grad(value_sum)(state.params)["params"]
    zero = {k: all((x == 0).all() for x in jax.tree.leaves(v)) for k, v in gradient.items()}
    assert zero == {
        "actor": True, "critic": False,
        "encode": True, "encode_value": False,
        "memory": True, "value_memory": False,
    }  # fmt: skip


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match=r"ppo\.bptt=5 must divide the rollout's 12 steps"):
        Trainer(tiny(bptt=5))
    with pytest.raises(ValueError, match=r"unknown schedule 'cosin'\. Did you mean 'cosine'"):
        Trainer(tiny(schedule="cosin"))
