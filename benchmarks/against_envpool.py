"""How does the whole trial environment compare with EnvPool's bare tasks in C++?

EnvPool on 2 threads with the best of a few numbers of environments and batches, actions
drawn beforehand. Ours at 1,024 environments, random actions and key splits counted.
Quick: the contact-free tasks, one of each program.
"""

import statistics

import envpool
import numpy as np

import metaenvs
from benchmarks.report import Claim, Result
from metaenvs.benchmarks import environments, interleaved, ratio

BATCH = 1024
THREADS = 2
SETTINGS = ((8, 4), (32, 8), (64, 64), (128, 32))
"""Environments, and how many of them a step waits for. One of them takes up to 14 MB."""


class EnvPool:
    """Steps of all environments of a pool, `steps` in all, as they come."""

    def __init__(self, task: str, num_envs: int, batch: int, steps: int):
        name = "".join(part.capitalize() for part in task.split("_")) + "-v1"
        self._env = envpool.make(
            name,
            env_type="gymnasium",
            num_envs=num_envs,
            batch_size=batch,
            num_threads=THREADS,
        )
        self._rounds = max(1, steps // batch)
        self.steps = self._rounds * batch
        shape = (16, batch, *self._env.action_space.shape)
        actions = np.random.default_rng(0).uniform(-1.0, 1.0, shape)
        self._actions = actions.astype(self._env.action_space.dtype)
        self._env.async_reset()

    def __call__(self) -> None:
        for i in range(self._rounds):
            info = self._env.recv()[-1]
            self._env.send(self._actions[i % 16], info["env_id"])


def run(quick: bool) -> Result:
    tasks = [metaenvs.tasks.make(name) for name in metaenvs.tasks.task_names]
    if quick:
        tasks = list({task.program: task for task in tasks if task.cheap}.values())
    rows, claims, contact_free = [], [], []
    for name, cheap in ((task.name, task.cheap) for task in tasks):
        pools = {s: EnvPool(name, *s, steps=20_000) for s in SETTINGS}
        trial = interleaved(pools, repetitions=2, at_least=0.1)
        best = min(SETTINGS, key=lambda s: trial[s].median / pools[s].steps)
        env = metaenvs.RandomProjection([name])
        steps = 200 if cheap else 50
        ours = environments.Rollout(env, env.default_params, BATCH, steps)
        cases = {"ours": ours, "EnvPool": pools[best]}
        times = interleaved(cases, repetitions=3 if quick else 5, at_least=0.2)
        speedup = ratio(times["EnvPool"], times["ours"]) * BATCH * steps / pools[best].steps
        rows.append(
            {
                "task": name,
                "ours, steps/s": ours.rate(times["ours"].median),
                "EnvPool, steps/s": pools[best].steps / times["EnvPool"].median,
                "of (environments, batch)": str(best),
                "ours / EnvPool": speedup,
            }
        )
        if cheap:
            contact_free.append(speedup)
            claims.append(Claim(f"{name}: trial environment over EnvPool", speedup, at_least=5))
    mean = statistics.geometric_mean(contact_free)
    claims.append(Claim("contact-free tasks over EnvPool, geometric mean", mean, at_least=10))
    return Result(rows, tuple(claims))
