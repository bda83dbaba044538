"""Agents that come with the package, a folder each in this one.

config.json    settings of the training run
params.npz     the network's parameters, by their dotted names
extended.json  budgets that the run had before it was given more steps, if it was
card.md        what it was trained on, how long, how it scores, and with which versions
files.sha256   sums of the other files (`sha256sum -c files.sha256` checks them)

`python -m agents.pretrained.export RUN NAME` makes one of a run, `python -m agents.anchors
--publish` the experts of single tasks (`expert-TASK`).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from agents import config as configs
from agents.config import TrainConfig
from agents.failures import RunError
from agents.runs import evaluate, sums
from agents.runs.held import Held
from agents.trees import by_name
from metaenvs import RandomProjection, errors
from metaenvs.evaluation import Policy

FOLDER = Path(__file__).parent


def names() -> tuple[str, ...]:
    """The names of all agents that come with the package."""
    return tuple(sorted(path.parent.name for path in FOLDER.glob("*/config.json")))


def guides(tasks: Iterable[str], env: RandomProjection) -> dict[str, Policy]:
    """Experts that can guide others in `env` (`agents.learner.guidance`), of those of `tasks` that
    have one whose observations and actions are of `env`'s sizes.

    They see nothing but the task's observation behind the `identity` projection, have no memory,
    and take their most likely action; `agents.load("expert-TASK")` holds it as long as in training.
    """
    found = {}
    for task in tasks:
        if f"expert-{task}" not in names():
            continue
        saved = PretrainedAgent(f"expert-{task}")
        if saved.config.observe or saved.config.model.memory != "mlp":
            continue
        policy, trainer, _ = evaluate.load(saved, deterministic=True)
        sizes = trainer.env.obs_size, trainer.env.action_size
        if sizes != (env.obs_size, env.action_size):
            continue
        found[task] = policy.policy if isinstance(policy, Held) else policy
    return found


class PretrainedAgent:
    """An agent of this package: like a finished run, but for what only training needs.

    Attributes:
        path: its folder.
        config: settings of the run that made it.

    Raises:
        ValueError: if there is no agent of that name; the message lists the names.
        RunError: if one of its files is not as it was published.
    """

    def __init__(self, name: str):
        self.path = errors.lookup({each: FOLDER / each for each in names()}, name, "agent")
        fault = sums.fault(self.path)
        if fault is not None:
            raise RunError(f"{self.path} is damaged: {fault}")
        self.config: TrainConfig = configs.from_json((self.path / "config.json").read_text())

    def restore_agent(self, like: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Updates of the training, and parameters in the tree of shapes `like`.

        Raises:
            RunError: if the parameters are not those of the network that `like` describes.
        """
        with np.load(self.path / "params.npz") as saved:
            arrays = dict(saved)
        update = int(arrays.pop("update"))
        wanted = by_name(like)
        shapes = {name: x.shape for name, x in arrays.items()}
        if shapes != {name: x.shape for name, x in wanted.items()}:
            raise RunError(f"{self.path}: parameters of another version of the network")
        leaves = [jax.device_put(arrays[name], x.sharding) for name, x in wanted.items()]
        return update, jax.tree.unflatten(jax.tree.structure(like), leaves)
