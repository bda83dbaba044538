"""What do four seeds in one program cost, against four runs one after the other?

The preset demo, on one device. Compilation counts: four runs compile their program four
times (or read it from a cache that both would have).
"""

import time
from typing import Any

import jax

from agents import presets
from agents.learner.seeds import Seeds
from agents.learner.trainer import Trainer
from benchmarks.report import Claim, Result


def run(quick: bool) -> Result:
    # Else whichever comes second finds its programs there.
    jax.config.update("jax_enable_compilation_cache", False)
    updates = 3 if quick else 8
    rows = [_measure(seeds, updates) for seeds in (1, 4)]
    one, four = rows
    compiling = 4 * one["compile seconds"] / four["compile seconds"]
    running = 4 * one["seconds per update"] / four["seconds per update"]
    whole = Trainer(presets.preset("demo")).updates

    def total(row):
        return row["compile seconds"] + whole * row["seconds per update"]

    return Result(
        rows,
        claims=(
            Claim("4 whole runs / --seeds 4", 4 * total(one) / total(four), at_least=1.0),
            Claim("compiling 4 runs / compiling --seeds 4", compiling),
            Claim("updates of 4 runs / updates of --seeds 4", running),
        ),
    )


def _measure(seeds: int, updates: int) -> dict[str, Any]:
    programs = Seeds(Trainer(presets.preset("demo")), range(seeds))
    start = time.perf_counter()
    state, _ = jax.block_until_ready(programs.update(programs.init()))
    first = time.perf_counter() - start
    times = []
    for _ in range(updates):
        start = time.perf_counter()
        state, _ = jax.block_until_ready(programs.update(state))
        times.append(time.perf_counter() - start)
    typical = sorted(times)[len(times) // 2]
    return {
        "seeds": seeds,
        "compile seconds": first - typical,
        "seconds per update": typical,
        "steps/s": seeds * programs.trainer.steps_per_update / typical,
    }
