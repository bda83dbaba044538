"""How do bare tasks compare with dm_control's, and with Gymnax's own classic tasks?

dm_control steps one environment in one process. Gymnax's tasks are stepped by the same
loop as ours, at 1,024 environments.
"""

import gymnax
import numpy as np
from dm_control import suite

import metaenvs
from benchmarks.report import Result
from metaenvs.benchmarks import environments, interleaved, ratio

BATCH = 1024
CLASSIC = {"Pendulum-v1": "pendulum_swingup", "MountainCarContinuous-v0": "cartpole_swingup"}
"""A task of Gymnax -> one of ours of the same order of size."""


class DMControl:
    """Random steps of one environment, a new episode where one ends."""

    def __init__(self, task: str, steps: int = 200):
        domain = max((d for d, _ in suite.ALL_TASKS if task.startswith(d)), key=len)
        self.steps = steps
        self._env = suite.load(domain, task[len(domain) + 1 :])
        shape = (steps, *self._env.action_spec().shape)
        self._actions = np.random.default_rng(0).uniform(-1.0, 1.0, shape)
        self._env.reset()

    def __call__(self) -> None:
        for action in self._actions:
            if self._env.step(action).last():
                self._env.reset()


def run(quick: bool) -> Result:
    rows = []
    names = metaenvs.tasks.task_names
    for name in names[1::5] if quick else names:
        task = metaenvs.tasks.make(name)
        steps = 1000 if task.cheap else 50
        ours = environments.Rollout(task, task.default_params, BATCH, steps)
        theirs = DMControl(name)
        times = interleaved({"ours": ours, "theirs": theirs}, repetitions=3)
        per_step = BATCH * steps / theirs.steps
        rows.append(_row(name, "dm_control", ours, theirs.steps, times, per_step))
    for theirs_id, name in CLASSIC.items():
        task = metaenvs.tasks.make(name)
        ours = environments.Rollout(task, task.default_params, BATCH, 1000)
        theirs = environments.Rollout(*gymnax.make(theirs_id), BATCH, 1000)
        times = interleaved({"ours": ours, "theirs": theirs}, repetitions=3)
        rows.append(_row(name, f"Gymnax's {theirs_id}", ours, BATCH * 1000, times, 1.0))
    return Result(rows)


def _row(name, other, ours, their_steps, times, per_step):
    return {
        "task": name,
        "against": other,
        "ours, steps/s": ours.rate(times["ours"].median),
        "theirs, steps/s": their_steps / times["theirs"].median,
        "ours / theirs": ratio(times["theirs"], times["ours"]) * per_step,
    }
