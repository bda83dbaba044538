"""Zero and one of the normalised score: what a random policy and an expert return.

The numbers are in `anchors.json`, which `python -m agents.anchors` measures and writes.
"""

import dataclasses
import json
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from metaenvs.statistics import Interval
from metaenvs.trial import RandomProjection


@dataclasses.dataclass(frozen=True)
class Anchor:
    """Returns of one episode of a task.

    Attributes:
        random: of the policy that acts uniformly at random.
        expert: of an agent trained on this task alone, without projection.
    """

    random: Interval
    expert: Interval

    def score(self, returns: np.ndarray) -> np.ndarray:
        """Normalised: 0 is the random policy, 1 the expert."""
        return (returns - self.random.value) / (self.expert.value - self.random.value)


@cache
def table() -> dict[str, Any]:
    """What `anchors.json` holds."""
    text = resources.files("metaenvs.evaluation").joinpath("anchors.json").read_text()
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def find(env: RandomProjection) -> dict[str, Anchor]:
    """The anchors of an environment's tasks.

    They depend on the task, on how long its episodes are and on how long an action is
    held: a task that was not measured under the environment's settings is absent.
    """
    found = {}
    for task in env.task_names:
        steps = control_steps(env, task)
        for entry in table()["anchors"]:
            if (entry["task"], entry["control_steps"], entry["action_repeat"]) == (
                task,
                steps,
                env.action_repeat,
            ):
                found[task] = Anchor(Interval(**entry["random"]), Interval(**entry["expert"]))
    return found


def control_steps(env: RandomProjection, task: str) -> int:
    """Control steps of an episode of `task`, action repeat included."""
    params = env.params_for(tasks=(task,), episodes_per_trial=1)
    return env.trial_length(params) * env.action_repeat
