"""How many steps per second does each suite and task make, by number of environments?

Random actions; everything counted that a user's loop does (`Rollout`). Tasks are alone in
their batch, behind their projections. Cost should grow as the number of environments does.
"""

import math

import numpy as np

import metaenvs
from benchmarks.report import Claim, Plot, Result
from metaenvs.benchmarks import environments
from metaenvs.suites import SUITES

SWEPT = ("RandomProjection-v0", "RandomProjection-Lite-v0")
LINEAR_FROM = 256


def run(quick: bool) -> Result:
    rows, claims = [], []
    for name in SWEPT[:1] if quick else SUITES:
        env, params = metaenvs.make(name)
        batches = environments.BATCHES if name in SWEPT else (1024,)
        if quick:
            batches = tuple(batch for batch in batches if batch >= LINEAR_FROM)
        swept = list(environments.measure(name, env, params, batches))
        rows += swept
        if len(batches) > 1:
            claims.append(_slope(name, swept))
        if name == "RandomProjection-v0":
            kib = swept[0]["bytes of state"] / 1024
            claims.append(Claim(f"KiB of state per environment of {name}", kib, at_most=4))
    for name in () if quick else metaenvs.tasks.task_names:
        env = metaenvs.RandomProjection([name])
        rows += environments.measure(name, env, env.default_params, (1024,))
    return Result(rows, tuple(claims), (Plot("batch", "steps/s", "env"),))


def _slope(name, rows) -> Claim:
    large = [row for row in rows if row["batch"] >= LINEAR_FROM]
    batch = [math.log(row["batch"]) for row in large]
    cost = [math.log(row["us per step of the batch"]) for row in large]
    slope = float(np.polyfit(batch, cost, 1)[0])
    text = f"log-log slope of {name}'s cost from {LINEAR_FROM} environments"
    return Claim(text, slope, at_least=0.9, at_most=1.1)
