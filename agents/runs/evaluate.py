"""A trained network as a policy that the protocol can evaluate."""

import dataclasses
from pathlib import Path
from typing import Any, Protocol

from flax import struct

import metaenvs
from agents import config as configs
from agents.config import TrainConfig
from agents.failures import RunError
from agents.learner import environments
from agents.learner.trainer import Trainer
from agents.runs import run_folder
from agents.runs.held import Held
from agents.runs.lock import Lock
from agents.screen.console import console
from agents.screen.evaluation_view import EvaluationProgress
from metaenvs import errors, evaluation
from metaenvs.evaluation import Policy


class AgentPolicy(struct.PyTreeNode):
    """A policy (`metaenvs.evaluation.Policy`) that acts with fixed parameters.

    Samples its actions, as in training; `deterministic` takes the most likely instead.
    Agents of one network share compiled programs.
    """

    params: Any
    constants: Any
    network: Any = struct.field(pytree_node=False)
    deterministic: bool = struct.field(pytree_node=False, default=False)

    @classmethod
    def make(cls, network: Any, params: Any, deterministic: bool = False) -> "AgentPolicy":
        constants = network.apply(params, method="step_constants")
        return cls(params, constants, network, deterministic)

    def init_carry(self, n: int) -> Any:
        return self.network.init_carry(n)

    def act(self, carry, obs, reset, key):
        carry, policy, _ = self.network.apply(
            self.params, self.constants, carry, obs, reset, method="step"
        )
        return carry, policy.mode() if self.deterministic else policy.sample(key)


class Saved(Protocol):
    """An agent on disk: a run's last checkpoint, or one that comes with the package."""

    path: Path
    config: TrainConfig

    def restore_agent(self, like: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Updates it had, and what it acts by in the tree of shapes `like`."""
        ...


def load(saved: Saved, deterministic: bool = False) -> tuple[Policy, Trainer, int]:
    """The policy of a saved agent, its trainer, and the updates it had.

    The policy acts on the suite's own steps (`acts_in`), though it may have been trained to
    hold its actions.

    Raises:
        RunError: without a checkpoint, or with one that does not fit.
    """
    trainer = Trainer(saved.config)
    update, agent = saved.restore_agent(trainer.state_shapes().agent())
    policy: Policy = AgentPolicy.make(trainer.network, agent["params"], deterministic)
    if saved.config.hold > 1:
        policy = Held.on(policy, saved.config.hold, trainer.env)
    return policy, trainer, update


def acts_in(config: TrainConfig) -> tuple[Any, Any]:
    """The environment and params that a saved agent's policy acts in: those of its training,
    but without held actions, which are the policy's own."""
    return environments.make(dataclasses.replace(config, hold=1))


def evaluate(
    saved: Saved,
    protocol: str,
    deterministic: bool = False,
    overwrite: bool = False,
    out: Path | None = None,
    quick: bool = False,
    about: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Measure a saved agent; returns what was written as evaluation.json.

    What is finished is kept in evaluation.partial: a stopped evaluation goes on there.

    Args:
        out: folder to write into; by default the agent's own.
        overwrite: replace an evaluation that is already there, and forget an unfinished one.
        quick: a first look instead of the whole protocol, see `Protocol.quick`.
        about: what else is said of the agent.

    Raises:
        ValueError: unknown protocol, or an unfinished evaluation of something else.
        RunError: without a usable checkpoint, or with an evaluation that is not to be
            replaced; if the run's environment has no splits to evaluate on; if another
            process evaluates into the folder.
    """
    chosen = errors.lookup(evaluation.PROTOCOLS, protocol, "protocol")
    path = _target(saved.path if out is None else out, overwrite)
    policy, trainer, update = load(saved, deterministic)
    config = saved.config
    if not isinstance(trainer.env, metaenvs.RandomProjection):
        raise RunError(
            f"{saved.path} was trained on {config.env}, which has no projections and no held-out "
            "tasks; protocols are for RandomProjection suites"
        )
    frames = update * trainer.steps_per_update
    before = run_folder.extended(saved.path)
    own = environments.unlike_suite(config)
    if own:
        console.print(
            f"trained with {', '.join(f'{k} {v}' for k, v in own.items())}: the protocol draws "
            f"trials of {trainer.env.projection} projections and the suite's own params",
            style="yellow",
            soft_wrap=True,
        )
    return _measure(
        path,
        overwrite,
        policy,
        config.env,
        chosen.quick() if quick else chosen,
        env_kwargs=environments.keywords(config),
        trained_episodes=trainer.episodes_per_trial,
        agent={
            "run": saved.path.name,
            "preset": config.preset,
            "memory": config.model.memory,
            "seed": config.seed,
            "steps": frames // config.hold,
            **({"frames": frames} if config.hold > 1 else {}),
            "config": configs.fingerprint(config),
            "deterministic": deterministic,
        }
        | ({"extended_from": before} if before else {})
        | ({"trained_with": own} if own else {})
        | (about or {}),
    )


def evaluate_policy(
    policy: Any,
    suite: str,
    protocol: str,
    about: dict[str, Any],
    out: Path,
    *,
    backend: str = "host",
    overwrite: bool = False,
    quick: bool = False,
) -> dict[str, Any]:
    """Measure any policy of `metaenvs.evaluation.evaluate`, as `evaluate` does a saved agent.

    Raises:
        ValueError: unknown protocol, suite or backend, or wrong actions.
        RunError: if there is an evaluation in the folder `out` that is not to be replaced.
    """
    chosen = errors.lookup(evaluation.PROTOCOLS, protocol, "protocol")
    path = _target(out, overwrite)
    if quick:
        chosen = chosen.quick()
    return _measure(path, overwrite, policy, suite, chosen, agent=about, backend=backend)


def _target(out: Path, overwrite: bool) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    path = out / "evaluation.json"
    if path.exists() and not overwrite:
        raise RunError(f"{path} exists; replace it with --overwrite")
    return path


def _measure(path: Path, overwrite: bool, *args: Any, **kwargs: Any) -> dict[str, Any]:
    partial = path.with_suffix(".partial")
    with Lock(path.with_suffix(".lock"), f"evaluates into {path.parent}"):
        if overwrite:
            partial.unlink(missing_ok=True)
        with EvaluationProgress() as progress:
            result = evaluation.evaluate(*args, partial=partial, progress=progress.show, **kwargs)
        evaluation.save(result, path)
        partial.unlink()
    return result
