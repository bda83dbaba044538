"""Advantages by hand and the loss against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np

from agents.config import PPOConfig
from agents.learner import ppo
from agents.learner.distributions import Gaussian


def rollout(**fields):
    t, b = np.shape(fields["reward"])
    zeros = jnp.zeros((t, b))
    given = {k: jnp.asarray(v) for k, v in fields.items()}
    blank = dict(
        obs=zeros[..., None],
        reset=zeros > 0,
        action=zeros[..., None],
        log_prob=zeros,
        value=zeros,
        terminated=zeros > 0,
        truncated=zeros > 0,
        final_value=zeros,
    )
    return ppo.Rollout(**{**blank, **given})


def column(*values):
    return np.array(values, np.float32)[:, None]


def test_gae_worked_by_hand():
    # A trial is truncated at step 1 (its end is worth 10) and terminated at step 2;
    # step 3 bootstraps from the value after the rollout, 4. gamma = lambda = 1/2.
    r = rollout(
        reward=column(1, 2, 3, 4),
        value=column(1, 1, 2, 2),
        truncated=column(0, 1, 0, 0) > 0,
        terminated=column(0, 0, 1, 0) > 0,
        final_value=column(0, 10, 0, 0),
    )
    advantage, target = ppo.gae(r, jnp.array([4.0]), 0.5, 0.5)
    # delta: 1 + 1/2 - 1 = 1/2;  2 + 10/2 - 1 = 6;  3 + 0 - 2 = 1;  4 + 4/2 - 2 = 4
    # advantage: 1/2 + 1/4 * 6 = 2;  6 (cut);  1 (cut);  4
    np.testing.assert_allclose(advantage[:, 0], [2, 6, 1, 4])
    np.testing.assert_allclose(target[:, 0], [3, 7, 3, 6])


def test_gae_runs_across_episodes_inside_a_trial():
    # Episode ends are no flag of the rollout at all: with lambda = 1 and no value
    # estimate, an advantage is the discounted sum of all rewards to the trial's end.
    reward = column(0, 0, 1, 0, 0, 2)
    r = rollout(reward=reward, truncated=column(0, 0, 0, 0, 0, 1) > 0)
    advantage, _ = ppo.gae(r, jnp.array([99.0]), 0.9, 1.0)
    np.testing.assert_allclose(advantage[0, 0], 0.9**2 + 2 * 0.9**5, rtol=1e-6)


def test_survival_pays_only_if_the_sum_stops_where_an_episode_failed():
    # Every step pays 1. Of two trials, one fails after a step and begins its next episode.
    r = rollout(reward=np.ones((4, 2)), truncated=np.arange(4)[:, None] + np.zeros(2) == 3)
    r = r.replace(final_value=jnp.where(r.truncated, 2.0, 0.0))  # 1 / (1 - gamma)
    failed = jnp.zeros((4, 2), bool).at[0, 1].set(True)
    _, through = ppo.gae(r, jnp.zeros(2), 0.5, 1.0)
    np.testing.assert_allclose(through, 2.0)  # the next episode makes up for the failure
    _, stopped = ppo.gae(ppo.stop_at(r, failed), jnp.zeros(2), 0.5, 1.0)
    np.testing.assert_allclose(stopped[:, 0], 2.0)
    np.testing.assert_allclose(stopped[:, 1], [1, 2, 2, 2])


def test_loss_against_numpy():
    rng = np.random.default_rng(0)
    t, b, a = 5, 3, 2
    mean, log_std, action = (rng.normal(size=(t, b, a)).astype(np.float32) for _ in range(3))
    old_log_prob, value, target, advantage = (
        rng.normal(size=(t, b)).astype(np.float32) for _ in range(4)
    )
    config = PPOConfig(clip=0.3, value_coef=0.7, entropy_coef=0.02)
    r = rollout(reward=np.zeros((t, b)), action=action, log_prob=old_log_prob)
    total, metrics = ppo.loss(
        Gaussian(jnp.asarray(mean), jnp.asarray(log_std)), value, r, advantage, target, config
    )

    std = np.exp(log_std)
    density = np.exp(-0.5 * ((action - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))
    ratio = density.prod(-1) / np.exp(old_log_prob)
    worst = np.minimum(ratio * advantage, np.clip(ratio, 0.7, 1.3) * advantage)
    entropy = (0.5 * np.log(2 * np.pi * np.e * std**2)).sum(-1).mean()
    expected = -worst.mean() + 0.7 * 0.5 * ((value - target) ** 2).mean() - 0.02 * entropy
    np.testing.assert_allclose(total, expected, rtol=1e-4)
    np.testing.assert_allclose(metrics["clip_fraction"], (abs(ratio - 1) > 0.3).mean(), rtol=1e-5)
    np.testing.assert_allclose(metrics["entropy"], entropy, rtol=1e-5)


def test_gradient_stops_where_the_ratio_is_clipped():
    config = PPOConfig(value_coef=0.0, entropy_coef=0.0)
    r = rollout(reward=np.zeros((1, 1)), action=np.ones((1, 1, 1)))

    def loss(mean, advantage):
        policy = Gaussian(jnp.full((1, 1, 1), mean), jnp.zeros((1, 1, 1)))
        old = r.replace(log_prob=policy.log_prob(r.action) - 1.0)  # a ratio of e
        old = jax.lax.stop_gradient(old)
        return ppo.loss(policy, jnp.zeros((1, 1)), old, advantage, jnp.zeros((1, 1)), config)[0]

    assert jax.grad(loss)(0.3, jnp.ones((1, 1))) == 0.0  # has moved far enough
    assert jax.grad(loss)(0.3, -jnp.ones((1, 1))) != 0.0  # may move back


def test_advantages_are_normalised_within_tasks():
    rng = np.random.default_rng(1)
    task = np.repeat([[0, 1, 1, 2]], 50, axis=0)  # task 3 is absent
    advantage = rng.normal(size=task.shape) * [[1, 100, 100, 1e-3]] + task
    out = np.asarray(ppo.normalise(jnp.asarray(advantage, jnp.float32), jnp.asarray(task), 4))
    for k in range(3):
        np.testing.assert_allclose(out[task == k].mean(), 0, atol=1e-4)
        np.testing.assert_allclose(out[task == k].std(), 1, rtol=1e-3)


def test_gradient_against_finite_differences():
    rng = np.random.default_rng(3)
    r = rollout(
        reward=np.zeros((4, 2)),
        action=rng.normal(size=(4, 2, 1)),
        log_prob=rng.normal(-1, 0.2, (4, 2)),
    )
    advantage, target = (jnp.asarray(rng.normal(size=(4, 2)), jnp.float32) for _ in range(2))
    config = PPOConfig(entropy_coef=0.1)

    def loss(theta):
        policy = Gaussian(theta[0] * jnp.ones((4, 2, 1)), theta[1] * jnp.ones((4, 2, 1)))
        return ppo.loss(policy, theta[2] * jnp.ones((4, 2)), r, advantage, target, config)[0]

    theta, h = jnp.array([0.3, -0.2, 0.5]), 1e-2
    differences = [(loss(theta + h * e) - loss(theta - h * e)) / (2 * h) for e in jnp.eye(3)]
    np.testing.assert_allclose(jax.grad(loss)(theta), differences, atol=3e-3)
