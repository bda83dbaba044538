"""How long is it from `import` to the first step, with nothing cached?

Each figure from processes of their own. `make`, reset and a jitted step at 1,024
environments; and what `import metaenvs` adds to `import gymnax`.
"""

import os
import statistics
import subprocess
import sys

from benchmarks.report import Claim, Result

LIMITS = {"RandomProjection-v0": 20.0, "RandomProjection-Lite-v0": 6.0}
"""Suite -> seconds that its first step may take on two cores."""

FIRST_STEP = """
import sys, time
import jax, jax.numpy as jnp, metaenvs
start = time.perf_counter()
env, params = metaenvs.make(sys.argv[1])
keys = jax.random.split(jax.random.key(0), 1024)
_, state = jax.jit(jax.vmap(env.reset, (0, None)))(keys, params)
action = jnp.zeros((1024, env.action_size))
jax.block_until_ready(jax.jit(jax.vmap(env.step, (0, 0, 0, None)))(keys, state, action, params))
print(time.perf_counter() - start)
"""

IMPORT = """
import time
import gymnax
start = time.perf_counter()
import metaenvs
print(time.perf_counter() - start)
"""


def run(quick: bool) -> Result:
    rows, claims = [], []
    repetitions = 1 if quick else 3
    added = statistics.median(_seconds(IMPORT) for _ in range(3))
    rows.append({"what": "import metaenvs after import gymnax", "seconds": added})
    claims.append(Claim("seconds that `import metaenvs` adds", added, at_most=0.3))
    for name in LIMITS:
        first = statistics.median(_seconds(FIRST_STEP, name) for _ in range(repetitions))
        rows.append({"what": f"make, reset and step of {name}", "seconds": first})
        claims.append(Claim(f"seconds to the first step of {name}", first, at_most=LIMITS[name]))
    return Result(rows, tuple(claims))


def _seconds(program: str, *args: str) -> float:
    uncached = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    command = [sys.executable, "-c", program, *args]
    done = subprocess.run(command, env=uncached, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])
