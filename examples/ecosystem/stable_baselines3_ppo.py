"""PPO of Stable-Baselines3 (PyTorch), trained and scored. Needs: pip install stable-baselines3"""

from pathlib import Path

import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecNormalize

from metaenvs import evaluation
from metaenvs.adapters.stable_baselines3 import TrainedPolicy, TrialVecEnv


def main(
    steps: int = 2_000_000,
    num_envs: int = 64,
    env_id: str = "RandomProjection-Lite-v0",
    protocol: str | evaluation.Protocol = "rp-v0-eval1",
) -> None:
    trials = TrialVecEnv(env_id, num_envs)
    agent = PPO(
        "MlpPolicy",
        VecNormalize(trials),
        n_steps=128,
        batch_size=1024,
        n_epochs=4,
        learning_rate=5e-4,
        policy_kwargs={"net_arch": [128, 128]},
        seed=0,
        device="cpu",
    )
    agent.learn(steps)
    before, after = np.mean(trials.returns[:num_envs]), np.mean(trials.returns[-num_envs:])
    print(f"return of a trial: {before:.1f}, after {steps:,} steps {after:.1f}")
    about = {"name": "SB3 PPO", "trained": "PPO of Stable-Baselines3, no memory", "steps": steps}
    result = evaluation.evaluate(
        TrainedPolicy(agent), env_id, protocol, agent=about, backend="host"
    )
    evaluation.save(result, Path("sb3_ppo.json"))
    print("wrote sb3_ppo.json: metaenvs report sb3_ppo.json")


if __name__ == "__main__":
    main()
