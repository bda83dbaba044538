"""What only the critic sees: right values, no way into the policy, and a reconstruction of it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import metaenvs
from agents.config import ModelConfig, PPOConfig, TrainConfig
from agents.learner import optimiser, privileged
from agents.learner.distributions import Gaussian
from agents.learner.ppo import Rollout, loss
from agents.learner.trainer import Trainer

CONFIG = TrainConfig(
    env="RandomProjection-Lite-v0",
    envs=4,
    rollout_steps=10,
    steps=400,
    model=ModelConfig(
        layers=1,
        width=8,
        encoder=(8,),
        head=(8,),
        normalise_observations=True,
        lag=True,
        correlations=True,
    ),
    ppo=PPOConfig(
        minibatches=2,
        epochs=1,
        privileged_critic=True,
        reconstruction_coef=0.5,
        target_kl=0.01,
        entropy_floor=0.0,
    ),
)


@pytest.fixture(scope="module")
def trainer():
    return Trainer(CONFIG)


@pytest.fixture(scope="module")
def state(trainer):
    return trainer.init()


@pytest.fixture(scope="module")
def acted(trainer, state):
    return jax.jit(trainer._rollout)(state, jax.random.key(0))


def test_it_is_the_task_behind_the_projection():
    env, _ = metaenvs.make("RandomProjection-Lite-v0")
    identity, _ = metaenvs.make("RandomProjection-Lite-v0", projection="identity")
    params = env.params_for(tasks=("reacher_easy",))
    obs, state = env.reset(jax.random.key(1), params)
    known, known_state = identity.reset(jax.random.key(1), params)
    vector = privileged.of_trial(env, state, obs, jnp.int32(50))
    assert vector.shape == (privileged.size(env),)
    n, widest = 6, env.tasks.max_obs
    np.testing.assert_allclose(
        vector[:n], known[:n] / known_state.projection.observation[0, 0], atol=1e-5
    )
    assert vector[widest : 2 * widest].tolist() == [1.0] * n + [0.0] * (widest - n)
    rest = vector[2 * widest :]
    np.testing.assert_array_equal(rest[:4].reshape(2, 2), state.projection.action)
    assert rest[4:-1].tolist() == [float(n == "reacher_easy") for n in env.task_names]
    np.testing.assert_allclose(rest[-1], 0.2, rtol=1e-6)  # 50 steps of 4 control steps


def test_acting_and_learning_see_the_same(trainer, state, acted):
    after, carries, rollout, _ = acted
    carry = jax.tree.map(lambda x: x[0], carries)
    answer = trainer.network.apply(
        state.params, carry, rollout.obs, rollout.reset, rollout.privileged, method="replay"
    )
    np.testing.assert_allclose(answer.value, rollout.value, rtol=1e-3, atol=1e-5)
    log_prob = answer.policy.log_prob(rollout.action)
    np.testing.assert_allclose(log_prob, rollout.log_prob, rtol=1e-3, atol=1e-5)
    for mine, kept in zip(*map(jax.tree.leaves, (answer.carry, after.carry)), strict=True):
        np.testing.assert_allclose(mine, kept, rtol=1e-3, atol=1e-5)


def test_the_policy_does_not_see_it(trainer, state, acted):
    _, carries, rollout, _ = acted
    carry = jax.tree.map(lambda x: x[0], carries)

    def answer(shown):
        return trainer.network.apply(state.params, carry, rollout.obs, rollout.reset, shown)

    (_, policy, value), (_, other, other_value) = answer(rollout.privileged), answer(None)
    np.testing.assert_array_equal(policy.mean, other.mean)
    assert np.abs(value - other_value).max() > 1e-3


def test_a_reconstruction_alone_is_not_shown_to_the_critic():
    ppo = dataclasses.replace(CONFIG.ppo, privileged_critic=False)
    trainer = Trainer(dataclasses.replace(CONFIG, ppo=ppo))
    state, obs = trainer.init(), jnp.ones((3, 4, 16))
    reset = jnp.zeros((3, 4), bool)
    answers = [
        trainer.network.apply(state.params, state.carry, obs, reset, shown, method="replay")
        for shown in (None, jnp.ones((3, 4, privileged.size(trainer.env))))
    ]
    np.testing.assert_array_equal(answers[0].value, answers[1].value)
    assert np.abs(answers[0].target - answers[1].target).max() > 0.5


def test_the_previous_observation_is_none_where_the_memory_is_emptied(trainer, state):
    network, obs = trainer.network, jax.random.normal(jax.random.key(0), (2, 1, 16))
    empty = memory, _, found = network.init_carry(1)
    full = (memory, obs[1], found)
    for reset, equal in ((True, True), (False, False)):
        means = [
            network.apply(state.params, carry, obs[:1], jnp.full((1, 1), reset))[1].mean
            for carry in (empty, full)
        ]
        assert np.array_equal(*means) is equal


def test_an_update_learns_from_it(trainer, acted):
    state, metrics = trainer.update(trainer.init())
    assert 0.3 < metrics["reconstruction_error"] < 3  # that of a guess is 1 after normalisation
    counts = [
        m.count
        for m in jax.tree.leaves(state.params["moments"], is_leaf=lambda x: hasattr(x, "count"))
    ]
    assert [int(c) for c in counts] == [40, 40]


def test_environments_without_trials_have_nothing_to_show():
    config = dataclasses.replace(CONFIG, env="popgym-RepeatPreviousEasy-v0")
    with pytest.raises(ValueError, match="need trials of RandomProjection"):
        Trainer(config)


def test_the_rate_follows_the_kl():
    rates = [jnp.float32(0.5)]
    for kl in (0.03, 0.015, 0.004, 0.007):
        rates.append(optimiser.adapted(rates[-1], jnp.float32(kl), 0.01))
    np.testing.assert_allclose(rates, [0.5, 1 / 3, 2 / 9, 1 / 3, 1 / 3], rtol=1e-6)
    low = jnp.float32(optimiser.LEAST_RATE)
    assert optimiser.adapted(low, jnp.float32(9), 0.01) == low
    assert optimiser.adapted(jnp.float32(1), jnp.float32(0), 0.01) == 1
    assert optimiser.adapted(None, jnp.float32(0), None) is None


def test_entropy_is_pushed_up_below_the_floor_alone():
    zeros = jnp.zeros((1, 2))
    rollout = Rollout(*[zeros[..., None] if n == "action" else zeros for n in (
        "obs", "reset", "action", "log_prob", "value", "reward", "terminated", "truncated", "final"
    )])  # fmt: skip
    config = PPOConfig(entropy_floor=1.0, entropy_floor_coef=0.1)
    # Entropies of one-dimensional Gaussians: 1.42 + log_std, so 1.42 and 0.42.
    log_std = jnp.array([[[0.0], [-1.0]]])

    def total(log_std):
        policy = Gaussian(jnp.zeros((1, 2, 1)), log_std)
        return loss(policy, zeros, rollout, zeros, zeros, config)[0]

    gradient = jax.grad(total)(log_std)
    np.testing.assert_allclose(gradient[0, :, 0], [0.0, -0.1 / 2], atol=1e-7)
