"""Tasks with contacts: how fast are they beside EnvPool's C++?

The bare tasks, without projections. EnvPool steps MuJoCo itself on 2 threads, asynchronously
(a call takes back the environments that are ready first); several settings are tried and
the fastest counts. Ours step under `jax.vmap` in one `lax.scan`, auto-reset included, at
several numbers of environments. Random actions, drawn ahead for EnvPool and inside the
program for us. All cases take turns. Compilation is timed in a process without a cache.
"""

import subprocess
import sys

from benchmarks.against_envpool import SETTINGS, EnvPool
from benchmarks.report import Claim, Plot, Result
from metaenvs import tasks
from metaenvs.benchmarks import interleaved, ratio
from metaenvs.benchmarks.environments import Rollout

# By how much we must be faster.
TASKS = {
    "ball_in_cup_catch": 2.0,
    "finger_spin": 1.0,
    "finger_turn_easy": 1.0,
    "finger_turn_hard": 1.0,
}
BATCHES = (64, 256, 1024, 4096)
SECONDS_TO_COMPILE = 10.0


def compile_seconds(name: str, batch: int) -> float:
    """Of the jitted step, traced and compiled in a fresh process, without a cache."""
    program = f"""
import time, jax, jax.numpy as jnp
from metaenvs import tasks
jax.config.update("jax_enable_compilation_cache", False)
task = tasks.make({name!r})
keys = jax.random.split(jax.random.key(0), {batch})
params = task.default_params
_, state = jax.eval_shape(jax.vmap(task.reset, (0, None)), keys, params)
action = jnp.zeros(({batch}, task.action_size))
jnp.zeros(1).block_until_ready()
start = time.perf_counter()
jax.jit(jax.vmap(task.step, (0, 0, 0, None))).lower(keys, state, action, params).compile()
print(time.perf_counter() - start)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return float(done.stdout.split()[-1])


def run(quick: bool = False) -> Result:
    rows, claims = [], []
    for name in list(TASKS)[:2] if quick else TASKS:
        task = tasks.make(name)
        ours = {
            batch: Rollout(task, task.default_params, batch, max(8, 32768 // batch))
            for batch in (BATCHES[1:3] if quick else BATCHES)
        }
        pools = {
            pool: EnvPool(name, *pool, steps=8192)
            for pool in (SETTINGS[1:3] if quick else SETTINGS)
        }
        times = interleaved(ours | pools, repetitions=3 if quick else 5)
        per_step = {b: times[b].median / (b * case.steps) for b, case in ours.items()}
        theirs = {p: times[p].median / case.steps for p, case in pools.items()}
        best, best_pool = min(per_step, key=per_step.get), min(theirs, key=theirs.get)
        faster = ratio(times[best_pool], times[best])
        faster *= best * ours[best].steps / pools[best_pool].steps
        seconds = compile_seconds(name, 1024)
        for batch, cost in per_step.items():
            rows.append({"task": name, "environments": batch, "steps/s": 1 / cost})
        for (size, back), cost in theirs.items():
            line = f"EnvPool {name}, {back} at a time"
            rows.append({"task": line, "environments": size, "steps/s": 1 / cost})
        claims += [
            Claim(f"{name} against EnvPool, best of each", faster, at_least=TASKS[name]),
            Claim(f"{name}, seconds to compile", seconds, at_most=SECONDS_TO_COMPILE),
        ]
    return Result(rows, tuple(claims), (Plot("environments", "steps/s", "task"),))
