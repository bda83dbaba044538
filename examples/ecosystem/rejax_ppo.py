"""PPO of rejax, which unpacks the five-value step. Needs: pip install rejax==0.1.3"""

import jax
from rejax import PPO
from rejax.evaluate import evaluate

import metaenvs


def main(steps: int = 2_000_000, env_id: str = "RandomProjection-Lite-v0") -> None:
    env, params = metaenvs.make(env_id, step_api="legacy")
    agent = PPO.create(
        env=env,
        env_params=params,
        total_timesteps=steps,
        eval_freq=steps,  # evaluate before and after
        num_envs=64,
        num_steps=128,
        num_minibatches=8,
        num_epochs=4,
        learning_rate=5e-4,
        normalize_observations=True,
        normalize_rewards=True,
    )

    # rejax asks params for max_steps_in_episode; the length of a trial is the environment's.
    def score(agent, state, key):
        return evaluate(agent.make_act(state), key, env, params, 64, env.trial_length(params))

    agent = agent.replace(eval_callback=score)
    _, (_, returns) = jax.jit(agent.train)(jax.random.key(0))
    before, after = returns.mean(axis=1)
    print(f"return of a trial: {before:.1f}, after {steps:,} steps {after:.1f}")


if __name__ == "__main__":
    main()
