"""What does an update cost with each sequence model, and how does it grow with the sequence?

Each figure is of one gradient step of Adam on sequences of noise, several in one program. Models of
one table have the same number of parameters, and their times are taken in turn, the best of each
kept. The share of the matrix product rate counts 6 operations for a parameter and an element.
"""

import time
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax

from agents import sequence_models
from agents.sequence_models import scan
from tests.benchmarks.report import Claim, Plot, Result

LAYERS, WIDTH = 4, 128  # of S5; the others get the width of as many parameters
LENGTHS = (128, 256, 512, 1024, 2048, 4096, 8192)


class Update:
    """The compiled update of a model on sequences [length, batch, width]."""

    def __init__(self, name, length, batch, steps, layers=LAYERS, **fields):
        parameters = sequence_models.count_parameters(
            sequence_models.make("s5", width=WIDTH, layers=LAYERS)
        )
        width = sequence_models.width_for(name, parameters, layers=layers, **fields)
        model = sequence_models.make(name, width=width, layers=layers, **fields)
        key_x, key_y, key_model = jax.random.split(jax.random.key(0), 3)
        x = jax.random.normal(key_x, (length, batch, width))
        y = jax.random.normal(key_y, (length, batch, width))
        reset = jnp.zeros((length, batch), bool).at[0].set(True)
        carry = model.init_carry(batch)
        variables = jax.jit(model.init)(key_model, carry, x[:1], reset[:1])
        optimiser = optax.adam(1e-3)

        def loss(variables, x, y):
            return jnp.mean((model.apply(variables, carry, x, reset)[1] - y) ** 2)

        def update(variables, x, y):
            def step(state, _):
                variables, moments = state
                gradient = jax.grad(loss)(variables, x, y)
                changes, moments = optimiser.update(gradient, moments)
                return (optax.apply_updates(variables, changes), moments), None

            state = variables, optimiser.init(variables)
            return jax.lax.scan(step, state, None, length=steps)[0]

        self.name, self.width, self.layers = name, width, layers
        self.parameters = sequence_models.count_parameters(model)
        self.length, self.batch, self.steps = length, batch, steps
        self.arguments = variables, x, y
        self.program = jax.jit(update).lower(*self.arguments).compile()
        self.seconds = np.inf
        self()  # the first run pays for fresh memory
        self.seconds = np.inf

    def __call__(self):
        start = time.perf_counter()
        jax.block_until_ready(self.program(*self.arguments))
        self.seconds = min(self.seconds, (time.perf_counter() - start) / self.steps)

    @property
    def megabytes(self):
        return self.program.memory_analysis().temp_size_in_bytes / 1e6

    def row(self, kind, rate):
        elements = self.length * self.batch
        return {
            "model": kind,
            "layers": self.layers,
            "width": self.width,
            "parameters": self.parameters,
            "length": self.length,
            "batch": self.batch,
            "seconds": self.seconds,
            "steps/s": elements / self.seconds,
            "MB": self.megabytes,
            "share of matmul": 6 * self.parameters * elements / self.seconds / rate,
        }


def measured(updates, rounds):
    for _ in range(rounds):
        for update in updates.values():
            update()
    return updates


def matmul_rate(size=2048, rounds=5):
    """Operations per second of this machine's float32 matrix product."""
    a = jnp.ones((size, size))
    product = jax.jit(jnp.matmul)
    product(a, a).block_until_ready()
    best = np.inf
    for _ in range(rounds):
        start = time.perf_counter()
        product(a, a).block_until_ready()
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def plain(method, reverse, a, b, reset, x0):
    """The recurrence without its own rule of differentiation."""
    return scan.METHODS[method](a, b, reset, x0, reverse=reverse)


def slope(updates, least=0):
    points = [(u.length, u.seconds) for u in updates if u.length >= least]
    return np.polyfit(*np.log(np.array(points).T), 1)[0]


def run(quick: bool) -> Result:
    rounds = 2 if quick else 3
    rate = matmul_rate()

    length, batch, steps = (1024, 8, 1) if quick else (1024, 32, 2)
    same_size = measured(
        {
            "S5": Update("s5", length, batch, steps),
            "S5, associative": Update("s5", length, batch, steps, scan="associative"),
            "S5, chunked": Update("s5", length, batch, steps, scan="chunked"),
            "RG-LRU": Update("rglru", length, batch, steps),
            "GRU": Update("gru", length, batch, steps),
            "LSTM": Update("lstm", length, batch, steps),
            "GRU, 1 layer": Update("gru", length, batch, steps, layers=1),
            "LSTM, 1 layer": Update("lstm", length, batch, steps, layers=1),
            "Transformer": Update("transformer", length, batch, steps),
            "MLP": Update("mlp", length, batch, steps),
        },
        rounds,
    )
    with mock.patch.object(scan, "_recurrence", plain):
        without_rule = Update("s5", length, batch, steps)
    rows = [update.row(kind, rate) for kind, update in same_size.items()]

    lengths = LENGTHS[:4] if quick else LENGTHS
    growth = {
        kind: list(
            measured(
                {t: Update(name, t, 1, 1, **(fields(t))) for t in lengths}, rounds - 1
            ).values()
        )
        for kind, name, fields in (
            ("S5 by length", "s5", lambda t: {}),
            ("LSTM by length", "lstm", lambda t: {}),
            ("Transformer by length", "transformer", lambda t: {"context": t}),
        )
    }
    rows += [update.row(kind, rate) for kind, updates in growth.items() for update in updates]

    s5 = same_size["S5"]

    def times_faster(other):
        return same_size[other].seconds / s5.seconds

    claims = [
        Claim("S5's steps/s over GRU's", times_faster("GRU"), at_least=2),
        Claim("S5's steps/s over LSTM's", times_faster("LSTM"), at_least=2),
        Claim("S5 over the same by associative scan", times_faster("S5, associative"), at_least=3),
        Claim("Memory without the rule over with it", without_rule.megabytes / s5.megabytes, 1.05),
        Claim("Slope of S5's time", slope(growth["S5 by length"]), 0.8, 1.2),
    ]
    if not quick:  # short sequences show the feed-forward part, not the attention
        last = slope(growth["Transformer by length"], least=2048)
        claims.append(Claim("Slope of the Transformer's time from 2,048", last, 1.6, 2.2))
    return Result(rows, tuple(claims), (Plot("length", "seconds", "model"),))
