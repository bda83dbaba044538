"""PPO of Stable-Baselines3 (PyTorch). Needs: pip install stable-baselines3"""

import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from metaenvs.adapters.gymnasium import TrialVectorEnv


class Trials(VecEnv):
    """Gymnasium's vector environment in the form that Stable-Baselines3 had before it."""

    def __init__(self, env_id: str, num_envs: int, **kwargs):
        self.envs = TrialVectorEnv(env_id, num_envs, **kwargs)
        self.returns: list[float] = []  # of finished trials
        super().__init__(
            num_envs, self.envs.single_observation_space, self.envs.single_action_space
        )

    def reset(self):
        return self.envs.reset(seed=self._seeds[0])[0]

    def step_async(self, actions):
        self.actions = actions

    def step_wait(self):
        obs, reward, terminated, truncated, infos = self.envs.step(self.actions)
        sb3_infos: list[dict] = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(terminated | truncated):
            self.returns.append(infos["final_info"]["trial_return"][i])
            sb3_infos[i]["terminal_observation"] = infos["final_obs"][i]
            sb3_infos[i]["TimeLimit.truncated"] = truncated[i] and not terminated[i]
        return obs, reward, terminated | truncated, sb3_infos

    def close(self):
        self.envs.close()

    def get_attr(self, attr_name, indices=None):
        return [getattr(self.envs, attr_name, None)] * self.num_envs

    def set_attr(self, attr_name, value, indices=None):
        setattr(self.envs, attr_name, value)

    def env_method(self, method_name, *args, indices=None, **kwargs):
        raise NotImplementedError(f"trials run together and have no {method_name} of their own")

    def env_is_wrapped(self, wrapper_class, indices=None):
        return [False] * self.num_envs


def main(
    steps: int = 2_000_000, num_envs: int = 64, env_id: str = "RandomProjection-Lite-v0"
) -> None:
    trials = Trials(env_id, num_envs)
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


if __name__ == "__main__":
    main()
