"""Does a batch of mixed tasks cost what its tasks cost?

The harmonic limit is the time of every task in a trial environment of its own, in a batch
of its share: as many environments as the mixture has of it. Beside it: the plain switch,
where `jax.vmap` runs all tasks for every environment and selects one.
"""

import jax
import numpy as np

import metaenvs
from benchmarks.report import Claim, Result
from metaenvs.benchmarks import environments, interleaved, ratio
from metaenvs.benchmarks.timing import Timing
from metaenvs.programs import TaskSet
from metaenvs.suites import SUITES

BATCH = 1024
SUITE_STEPS = {"RandomProjection-v0": 100, "RandomProjection-Brax-v0": 20}
"""Suite -> steps of a measurement."""


class PlainSwitch(TaskSet):
    """Tasks behind JAX's own switch."""

    switch = staticmethod(jax.lax.switch)


class KeepingTasks:
    """An environment whose every trial is of the same task as the one before.

    Else tasks with long episodes come to fill a batch, and there is no fixed mixture to
    compare with its tasks.
    """

    def __init__(self, env: metaenvs.RandomProjection):
        self.env = env
        self.reset, self.action_space = env.reset, env.action_space

    def step(self, key, state, action, params):
        same = jax.nn.one_hot(state.task_id, len(self.env.task_names))
        return self.env.step(key, state, action, params.replace(task_weights=same))


def run(quick: bool) -> Result:
    rows: list[dict] = []
    claims: list[Claim] = []
    for name in list(SUITE_STEPS)[: 1 if quick else None]:
        steps = SUITE_STEPS[name]
        env, params = metaenvs.make(name)
        plain = SUITES[name].make()
        plain.tasks = PlainSwitch(env.tasks.tasks, env.action_repeat)
        train = env.splits["train"]
        mixture = environments.Rollout(KeepingTasks(env), params, BATCH, steps)
        share = np.bincount(mixture.states.task_id, minlength=len(env.task_names))
        cases = {
            "mixture": mixture,
            "plain switch": environments.Rollout(KeepingTasks(plain), params, BATCH, steps),
        } | {
            task: _alone(env, task, int(share[env.task_names.index(task)]), steps) for task in train
        }
        times = interleaved(cases, repetitions=3 if quick else 5)
        alone = zip(*(times[task].seconds for task in train), strict=True)
        limit = Timing(tuple(sum(turn) for turn in alone))
        rows += [
            {
                "suite": name,
                "case": case,
                "batch": cases[case].batch,
                "steps/s": cases[case].rate(timing.median),
                "ms per step of the batch": timing.median / steps * 1e3,
                "spread": timing.spread,
            }
            for case, timing in times.items()
        ]
        efficiency = f"mixture efficiency of {name} at {BATCH} environments"
        claims += [
            Claim(efficiency, ratio(limit, times["mixture"]), at_least=0.8),
            Claim(
                f"{name}: mixture over plain switch", ratio(times["plain switch"], times["mixture"])
            ),
            Claim(
                f"{name}: largest difference of the two in a step",
                _difference(env, plain, params, cases["mixture"].states),
                at_most=1e-4,
            ),
        ]
    return Result(rows, tuple(claims))


def _alone(env, task, batch, steps) -> environments.Rollout:
    only = metaenvs.RandomProjection(
        [env.tasks.tasks[env.task_names.index(task)]],
        obs_size=env.obs_size,
        action_size=env.action_size,
        action_repeat=env.action_repeat,
    )
    return environments.Rollout(only, only.default_params, batch, steps)


def _difference(env, plain, params, states) -> float:
    """Largest difference in observations and rewards after one step from these states."""
    batch = len(states.task_id)
    keys = jax.random.split(jax.random.key(0), batch)
    action = jax.random.uniform(jax.random.key(1), (batch, env.action_size), minval=-1.0)
    ours, theirs = (
        jax.vmap(e.step, (0, 0, 0, None))(keys, states, action, params) for e in (env, plain)
    )
    return max(
        float(np.max(np.abs(x - y) / (1.0 + np.abs(y))))
        for x, y in zip((ours[0], ours[2]), (theirs[0], theirs[2]), strict=True)
    )
