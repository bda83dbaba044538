"""Stable-Baselines3 and sb3-contrib: a vector environment to train in, a policy to evaluate.

from metaenvs.adapters.stable_baselines3 import TrainedPolicy, TrialVecEnv

model = PPO("MlpPolicy", TrialVecEnv("RandomProjection-v0", 64)).learn(1_000_000)
result = evaluation.evaluate(TrainedPolicy(model), "RandomProjection-v0", backend="host")
"""

from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from metaenvs.adapters.gymnasium import TrialVectorEnv


class TrialVecEnv(VecEnv):
    """Gymnasium's vector environment in the form that Stable-Baselines3 had before it.

    Args:
        env_id: any id that `metaenvs.make` takes.
        num_envs: stepped together, by one compiled program.
        **kwargs: for `metaenvs.make`.

    Attributes:
        returns: of the trials that have ended, in the order of their ends.
    """

    def __init__(self, env_id: str, num_envs: int, **kwargs: Any):
        self.envs = TrialVectorEnv(env_id, num_envs, **kwargs)
        self.returns: list[float] = []
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
            trial_return = infos["final_info"].get("trial_return")
            if trial_return is not None:
                self.returns.append(float(trial_return[i]))
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


class TrainedPolicy:
    """A trained model, recurrent or not, as `evaluate(..., backend="host")` takes it.

    Args:
        model: observations are normalised as in its training, if they were (`VecNormalize`).
        deterministic: act by the most likely action instead of sampling one.
    """

    def __init__(self, model: BaseAlgorithm, deterministic: bool = False):
        self._model, self._deterministic = model, deterministic
        normalised = model.get_vec_normalize_env()
        self._seen = (lambda obs: obs) if normalised is None else normalised.normalize_obs

    def init_carry(self, n: int) -> Any:
        """None: the model makes its memory at the first step."""
        return None

    def act(self, carry, obs, reset, rng):
        # Models sample by PyTorch's one generator.
        torch.manual_seed(int(rng.integers(2**31)))
        action, carry = self._model.predict(
            self._seen(obs), carry, episode_start=reset, deterministic=self._deterministic
        )
        return carry, action
