"""A GRU in plain PyTorch, trained by actor-critic and scored. Needs: pip install torch"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from metaenvs import evaluation
from metaenvs.adapters.gymnasium import TrialVectorEnv

LENGTH, GAMMA, LAMBDA, STD = 50, 0.99, 0.95, 0.5


class Agent(nn.Module):
    """Mean of the action and value, from what it has seen in the trial."""

    def __init__(self, obs_size: int, action_size: int, width: int = 64):
        super().__init__()
        self.encoder, self.width = nn.Linear(obs_size, width), width
        self.memory = nn.GRUCell(width, width)
        self.mean, self.value = nn.Linear(width, action_size), nn.Linear(width, 1)
        nn.init.zeros_(self.mean.weight)

    def forward(self, carry, obs, reset):
        carry = self.memory(self.encoder(obs).tanh(), torch.where(reset[:, None], 0.0, carry))
        return carry, self.mean(carry), self.value(carry)[:, 0]

    def init_carry(self, n):  # this and act: what `evaluate(..., backend="host")` asks for
        return torch.zeros(n, self.width)

    @torch.no_grad()
    def act(self, carry, obs, reset, rng):
        carry, mean, _ = self(carry, torch.from_numpy(obs), torch.from_numpy(reset))
        return carry, mean.numpy() + STD * rng.normal(size=mean.shape)


def main(
    steps: int = 2_000_000,
    num_envs: int = 64,
    env_id: str = "RandomProjection-Lite-v0",
    protocol: str | evaluation.Protocol = "rp-v0-eval1",
) -> None:
    torch.manual_seed(0)
    envs, returns = TrialVectorEnv(env_id, num_envs), []
    agent = Agent(*envs.single_observation_space.shape, *envs.single_action_space.shape)
    optimiser = torch.optim.Adam(agent.parameters(), 1e-3)
    obs, reset, carry = envs.reset(seed=0)[0], np.ones(num_envs, bool), agent.init_carry(num_envs)
    for _ in range(-(-steps // (LENGTH * num_envs))):
        seen, carry = [], carry.detach()
        for _ in range(LENGTH):
            carry, mean, value = agent(carry, torch.from_numpy(obs), torch.from_numpy(reset))
            action = (mean + STD * torch.randn_like(mean)).detach()
            obs, reward, terminated, truncated, infos = envs.step(action.numpy())
            reset = terminated | truncated  # a trial's end
            returns += list(infos["final_info"]["trial_return"][reset]) if reset.any() else []
            log_prob = -(action - mean).square().sum(-1) / (2 * STD**2)
            seen.append([torch.as_tensor(x) for x in (reward, reset, value, log_prob)])
        after = agent(carry, torch.from_numpy(obs), torch.from_numpy(reset))[2].detach()
        rewards, over, values, log_probs = (torch.stack(x) for x in zip(*seen, strict=True))
        gain, advantage = torch.zeros_like(rewards), torch.zeros(num_envs)
        for t in reversed(range(LENGTH)):  # generalised advantage estimation
            delta = 0.05 * rewards[t] + GAMMA * ~over[t] * after - values[t].detach()
            gain[t] = advantage = delta + GAMMA * LAMBDA * ~over[t] * advantage
            after = values[t].detach()
        loss = 0.5 * (gain + values.detach() - values).square().mean()
        loss -= (log_probs * gain / (gain.std() + 1e-8)).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
        optimiser.step()
    print(f"return of a trial: {np.mean(returns[:64]):.1f}, later {np.mean(returns[-64:]):.1f}")
    about = {"name": "PyTorch GRU", "trained": "actor-critic", "steps": steps}
    result = evaluation.evaluate(agent, env_id, protocol, agent=about, backend="host")
    evaluation.save(result, Path("pytorch_gru.json"))


if __name__ == "__main__":
    main()
