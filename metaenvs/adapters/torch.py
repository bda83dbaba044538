"""A vector environment for PyTorch: tensors in, tensors out, on the device where JAX steps.

    from metaenvs.adapters.torch import TorchVectorEnv

    envs = TorchVectorEnv("RandomProjection-v0", num_envs=4096)
    obs = envs.reset(seed=0)
    obs, reward, terminated, truncated, infos = envs.step(torch.zeros(4096, 2))

Observations, rewards and flags are JAX's own memory, handed over by DLPack: nothing is copied, on
a CPU or a GPU. They are not to be written to; what is kept stays as it is, since every step
makes new ones.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import torch
from gymnasium.vector import AutoresetMode

from metaenvs import registry
from metaenvs.adapters import stateful


class Infos(Mapping):
    """Gymnax's `info` by name, of all environments; a tensor is made when it is asked for."""

    def __init__(self, info: dict[str, jax.Array]):
        self._info = info

    def __getitem__(self, name: str) -> torch.Tensor:
        return torch.from_dlpack(self._info[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._info)

    def __len__(self) -> int:
        return len(self._info)


class TorchVectorEnv:
    """`num_envs` environments, stepped together by one compiled program.

    As Gymnasium's vector environments, with autoreset mode `SAME_STEP`: where a trial ends,
    `step` returns the first observation of the next one. `infos` holds Gymnax's entries for
    all environments; `infos["final_observation"]` is the observation that the step led to,
    which where a trial ended is its last.

    Args:
        env_id: any id that `metaenvs.make` takes.
        num_envs: how many.
        params: shared by all (default: `env.default_params`).
        device: JAX's device that steps them (default: its first).
        **kwargs: for `metaenvs.make`.
    """

    def __init__(
        self,
        env_id: str,
        num_envs: int = 1,
        params: Any = None,
        device: jax.Device | None = None,
        **kwargs: Any,
    ):
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, got {num_envs}")
        self.num_envs = num_envs
        self.metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}
        self._env, default = registry.make(env_id, **kwargs)
        self._device = jax.local_devices()[0] if device is None else device
        params = default if params is None else params
        self._params = jax.device_put(params, self._device)
        self.observation_shape = (num_envs, *self._env.observation_space(params).shape)
        self.action_shape = (num_envs, *self._env.action_space(params).shape)
        self._keys: jax.Array | None = None
        self._states: Any = None

    def reset(self, seed: int = 0) -> torch.Tensor:
        """Start a trial in every environment. Returns observations `[num_envs, ...]`."""
        with jax.default_device(self._device):
            keys = jax.random.split(jax.random.key(seed), self.num_envs)
            self._keys, obs, self._states = stateful.reset_all(self._env, keys, self._params)
        return torch.from_dlpack(obs)

    def step(
        self, actions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, "Infos"]:
        """One step of every environment: observations, rewards, terminated, truncated, infos.

        Raises:
            RuntimeError: before the first reset.
            ValueError: for actions of another shape.
        """
        if self._keys is None:
            raise RuntimeError("call reset before the first step")
        if tuple(actions.shape) != self.action_shape:
            raise ValueError(f"actions have shape {tuple(actions.shape)}, not {self.action_shape}")
        array = jax.dlpack.from_dlpack(actions.detach().contiguous())
        if array.device != self._device:
            array = jax.device_put(array, self._device)
        self._keys, obs, self._states, *results, info = stateful.step_all(
            self._env, self._keys, self._states, array, self._params
        )
        reward, terminated, truncated = map(torch.from_dlpack, results)
        return torch.from_dlpack(obs), reward, terminated, truncated, Infos(info)
