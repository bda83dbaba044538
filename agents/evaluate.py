"""A trained network as a policy that the protocol can evaluate."""

from pathlib import Path
from typing import Any

from agents import config as configs
from agents.console import console
from agents.run_folder import RunFolder
from agents.train import Trainer
from metaenvs import errors, evaluation
from metaenvs.rendering import adaptation


class AgentPolicy:
    """A policy (`metaenvs.evaluation.Policy`) that acts with fixed parameters.

    Samples its actions, as in training; `deterministic` takes the most likely instead.
    """

    def __init__(self, network: Any, params: Any, deterministic: bool = False):
        self._network, self._params = network, params
        self._constants = network.apply(params, method="step_constants")
        self._deterministic = deterministic

    def init_carry(self, n: int) -> Any:
        return self._network.init_carry(n)

    def act(self, carry, obs, reset, key):
        carry, policy, _ = self._network.apply(
            self._params, self._constants, carry, obs, reset, method="step"
        )
        return carry, policy.mode() if self._deterministic else policy.sample(key)


def load(run: RunFolder, deterministic: bool = False) -> tuple[AgentPolicy, Trainer, int]:
    """The policy of a run's last checkpoint, its trainer, and the updates it had.

    Raises:
        RunError: without a checkpoint, or with one that does not fit.
    """
    trainer = Trainer(run.config)
    update, agent = run.checkpoints.restore(trainer.state_shapes().agent())
    return AgentPolicy(trainer.network, agent["params"], deterministic), trainer, update


def evaluate(run: RunFolder, protocol: str, deterministic: bool = False) -> dict[str, Any]:
    """What `evaluation.json` of a run holds.

    Raises:
        ValueError: unknown protocol.
        RunError: without a usable checkpoint.
    """
    chosen = errors.lookup(evaluation.PROTOCOLS, protocol, "protocol")
    policy, trainer, update = load(run, deterministic)
    config = run.config
    with console.status("evaluating") as status:
        return evaluation.evaluate(
            policy,
            config.env,
            chosen,
            env_kwargs={"observe": config.observe},
            trained_episodes=trainer.episodes_per_trial,
            agent={
                "run": run.path.name,
                "preset": config.preset,
                "memory": config.model.memory,
                "seed": config.seed,
                "steps": update * trainer.steps_per_update,
                "config": configs.fingerprint(config),
                "deterministic": deterministic,
            },
            progress=lambda line: status.update(f"evaluating {line}"),
        )


def write(result: dict[str, Any], path: Path) -> list[Path]:
    """Write an evaluation and its picture beside it; returns the files written."""
    evaluation.save(result, path)
    picture = path.with_name("adaptation.png")
    adaptation.save(result, picture)
    return [path, picture]
