"""PPO of Brax, on trials behind Brax's interface."""

import functools

import jax
import jax.numpy as jnp
from brax.training.agents.ppo import networks, train

import metaenvs
from metaenvs.adapters.brax import BraxEnv, wrap

if not hasattr(jax, "device_put_replicated"):  # Brax 0.14.2 calls it, jax 0.10 has lost it
    jax.device_put_replicated = lambda tree, devices: jax.tree.map(
        lambda x: jnp.stack([x] * len(devices)), tree
    )


def main(steps: int = 2_000_000, env_id: str = "RandomProjection-Lite-v0") -> None:
    env = BraxEnv(*metaenvs.make(env_id))
    returns = []
    train.train(
        env,
        num_timesteps=steps,
        episode_length=env.trial_length,
        wrap_env_fn=wrap,  # trials begin anew by themselves; Brax's auto-reset would repeat one
        num_envs=64,
        num_eval_envs=64,
        num_evals=2,
        unroll_length=32,
        batch_size=64,
        num_minibatches=4,
        num_updates_per_batch=4,
        learning_rate=5e-4,
        discounting=0.99,
        reward_scaling=0.05,
        normalize_observations=True,
        network_factory=functools.partial(
            networks.make_ppo_networks,
            policy_hidden_layer_sizes=(128, 128),
            value_hidden_layer_sizes=(128, 128),
        ),
        progress_fn=lambda _, metrics: returns.append(metrics["eval/episode_reward"]),
    )
    print(f"return of a trial: {returns[0]:.1f}, after {steps:,} steps {returns[-1]:.1f}")


if __name__ == "__main__":
    main()
