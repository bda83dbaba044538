"""What does the trial environment add to the bare task?

The bare task is stepped through its Gymnax interface, as in a single-task experiment; the
trial adds projections, observation assembly, counters, and starts of episodes and trials.
"""

import metaenvs
from metaenvs.benchmarks import environments, interleaved, ratio
from tests.benchmarks.report import Claim, Result

BATCH = 1024


def run(quick: bool) -> Result:
    rows, claims = [], []
    for name in metaenvs.tasks.task_names[2::3] if quick else metaenvs.tasks.task_names:
        task = metaenvs.tasks.make(name)
        env = metaenvs.RandomProjection([name])
        steps = 1000 if task.cheap else 50
        cases = {
            "bare": environments.Rollout(task, task.default_params, BATCH, steps),
            "trial": environments.Rollout(env, env.default_params, BATCH, steps),
        }
        times = interleaved(cases, repetitions=3 if quick else 7)
        cost = ratio(times["trial"], times["bare"])
        rows.append(
            {"task": name}
            | {f"{case}, steps/s": cases[case].rate(t.median) for case, t in times.items()}
            | {"trial / bare": cost}
        )
        bound = 1.5 if task.cheap else 1.1
        claims.append(Claim(f"{name}: trial over bare task", cost, at_most=bound))
    return Result(rows, tuple(claims))
