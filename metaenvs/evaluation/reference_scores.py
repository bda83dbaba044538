"""Zero and one of the normalised score: what a random policy and an expert return.

The numbers are in `anchors.json`, which `python -m agents.anchors` measures and writes.
"""

import dataclasses
import json
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from metaenvs import tasks
from metaenvs.statistics import Interval
from metaenvs.suites import SUITES
from metaenvs.tasks import Task
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
    held: a task that was not measured under the environment's settings is absent. So is one
    that merely has the name of a task that was measured.
    """
    found = {}
    for task in env.tasks.tasks:
        for entry in table()["anchors"]:
            if (entry["task"], entry["control_steps"], entry["action_repeat"]) == (
                task.name,
                control_steps(env, task.name),
                env.action_repeat,
            ) and task == measured_task(task.name):
                found[task.name] = Anchor(Interval(**entry["random"]), Interval(**entry["expert"]))
    return found


def measured_task(name: str) -> Task | None:
    """The task of that name that was measured: a suite's own, or that of `metaenvs.tasks`."""
    own = (suite.own[name] for suite in SUITES.values() if name in suite.own)
    factory = next(own, None)
    if factory is not None:
        return factory()
    return tasks.make(name) if name in tasks.task_names + tasks.brax_task_names else None


def control_steps(env: RandomProjection, task: str) -> int:
    """Control steps of an episode of `task`, action repeat included."""
    params = env.params_for(tasks=(task,), episodes_per_trial=1)
    return env.trial_length(params) * env.action_repeat
