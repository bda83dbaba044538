"""What does the trial environment add to the bare task?

The bare task is stepped as in a single-task experiment, through its Gymnax `step`, which
resets by itself; the trial adds projections, observation assembly, counters, and starts of
episodes and trials. Beside it the bare physics: the task's `step_env`, without any reset.
One task of each program: others differ by data.
"""

import metaenvs
from benchmarks.report import Claim, Result
from metaenvs.benchmarks import environments, interleaved, ratio

BATCH = 1024


class Endless:
    """A task whose episodes never end: its `step_env` alone."""

    def __init__(self, task):
        self.reset, self.action_space, self.step = task.reset, task.action_space, task.step_env


def run(quick: bool) -> Result:
    tasks = [metaenvs.tasks.make(name) for name in metaenvs.tasks.task_names]
    rows, claims = [], []
    for task in {task.program: task for task in tasks}.values():
        env = metaenvs.RandomProjection([task])
        steps = 100 if task.cheap else 20
        cases = {
            "step_env": environments.Rollout(Endless(task), task.default_params, BATCH, steps),
            "bare": environments.Rollout(task, task.default_params, BATCH, steps),
            "trial": environments.Rollout(env, env.default_params, BATCH, steps),
        }
        times = interleaved(cases, repetitions=3 if quick else 7)
        cost = ratio(times["trial"], times["bare"])
        rows.append(
            {"task": task.name}
            | {f"{case}, us per step": t.median / steps * 1e6 for case, t in times.items()}
            | {"trial / bare": cost, "trial / step_env": ratio(times["trial"], times["step_env"])}
        )
        bound = 1.5 if task.cheap else 1.1
        claims.append(Claim(f"{task.name}: trial over bare task", cost, at_most=bound))
    return Result(rows, tuple(claims))
