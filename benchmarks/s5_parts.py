"""Where does the time of an S5 layer go, forward and backward?

Each part by itself, on arrays of a minibatch's size: 1,024 elements of 8 or 32 sequences, width
128. A layer would cost their sum if nothing was fused. A negation stands beside them: it does
nothing but read and write.
"""

import time

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from agents.sequence_models.linear import matmul
from agents.sequence_models.scan import linear_recurrence
from benchmarks.report import Result

LENGTH, WIDTH = 1024, 128


def recurrence(u, a):
    """As S5 does it, its input and output as real numbers."""
    reset = jnp.zeros(u.shape[:2], bool)
    real, imag = jnp.split(u, 2, axis=-1)
    x0 = jnp.zeros((u.shape[1], a.size), a.dtype)
    x = linear_recurrence(a, jax.lax.complex(real, imag), reset, x0)
    return jnp.concatenate([x.real, x.imag], axis=-1)


def norm(x, scale, bias):
    return nn.LayerNorm().apply({"params": {"scale": scale, "bias": bias}}, x)


def parts(batch):
    """Name -> how often a layer has it, function, arguments."""
    x = jax.random.normal(jax.random.key(0), (LENGTH, batch, WIDTH))
    weights, vector = jnp.eye(WIDTH), jnp.ones(WIDTH)
    a = jnp.full(WIDTH // 2, 0.9 + 0.1j, jnp.complex64)
    return {
        "negation": (0, lambda x: -x, (x,)),
        "matrix product": (3, matmul, (x, weights)),
        "recurrence": (1, recurrence, (x, a)),
        "LayerNorm": (1, norm, (x, vector, vector)),
        "GELU": (1, nn.gelu, (x,)),
        "gate": (1, lambda z, g: z * nn.sigmoid(g), (x, x)),
        "bias": (1, jnp.add, (x, vector)),
        "feed-through": (1, jnp.multiply, (x, vector)),
    }


def seconds(function, arguments, steps=16, rounds=3):
    """Of the function's value and its gradient, many in one program."""

    def repeated(*arguments):
        def step(arguments, _):
            y, pullback = jax.vjp(function, *arguments)
            return jax.tree.map(lambda v, g: v + 1e-6 * g, arguments, pullback(y)), None

        return jax.lax.scan(step, arguments, None, length=steps)[0]

    program = jax.jit(repeated).lower(*arguments).compile()
    best = np.inf
    for _ in range(rounds + 1):
        start = time.perf_counter()
        jax.block_until_ready(program(*arguments))
        best = min(best, time.perf_counter() - start)
    return best / steps


def run(quick: bool) -> Result:
    rows = []
    for batch in (8,) if quick else (8, 32):
        timed = {
            name: (count, seconds(function, arguments))
            for name, (count, function, arguments) in parts(batch).items()
        }
        whole = sum(count * each for count, each in timed.values())
        rows += [
            {
                "part": name,
                "batch": batch,
                "times": count,
                "ns per element": 1e9 * each / (LENGTH * batch),
                "share": count * each / whole,
            }
            for name, (count, each) in timed.items()
        ]
    return Result(rows)
