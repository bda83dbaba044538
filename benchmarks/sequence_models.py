"""What does an update cost with each sequence model, and how does it grow with the sequence?

Each figure is of one gradient step of Adam on sequences of noise, several in one program as in a
training's update. All models have the same number of parameters, and but for those marked the same
number of layers; their times are taken in turn, the best of each kept. The share of the matrix
product rate counts 6 operations for a parameter and an element.

Sequences of 1,024 elements, 8 of them at once as in a minibatch of the preset `popgym`, or 32.
"""

import time
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax

from agents import sequence_models
from agents.sequence_models import s5, scan
from benchmarks.report import Claim, Plot, Result

LAYERS, WIDTH = 4, 128  # of S5; the others get the width of as many parameters
LENGTHS = (128, 512, 2048, 8192)


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
    return float(np.polyfit(*np.log(np.array(points).T), 1)[0])


def whole_sequences():
    """S5 as if it did not read large sequences in pieces."""
    return mock.patch.object(s5, "WHOLE_ELEMENTS", np.inf)


def growth(name, lengths, rounds):
    """Updates of one layer on one sequence of each length, all of which a Transformer can see."""
    updates = {
        t: Update(name, t, 1, 1, layers=1, **({"context": t} if name == "transformer" else {}))
        for t in lengths
    }
    return list(measured(updates, rounds).values())


def run(quick: bool) -> Result:
    rounds, steps = (1, 2) if quick else (2, 4)
    length, few, many = 1024, 8, 32
    rate = matmul_rate()

    at_few = measured(
        {
            "S5": Update("s5", length, few, steps),
            "S5, associative": Update("s5", length, few, steps, scan="associative"),
            "RG-LRU": Update("rglru", length, few, steps),
            "GRU": Update("gru", length, few, steps),
            "LSTM": Update("lstm", length, few, steps),
            "GRU, 1 layer": Update("gru", length, few, steps, layers=1),
            "LSTM, 1 layer": Update("lstm", length, few, steps, layers=1),
            "Transformer": Update("transformer", length, few, steps),
        },
        rounds,
    )
    with whole_sequences():
        whole = Update("s5", length, many, steps)
    at_many = measured(
        {
            "S5": Update("s5", length, many, steps),
            "S5, not in pieces": whole,
            "GRU": Update("gru", length, many, steps),
            "LSTM": Update("lstm", length, many, steps),
        },
        rounds,
    )
    with mock.patch.object(scan, "_recurrence", plain):
        without_rule = Update("s5", length, few, steps)
    rows = [u.row(kind, rate) for table in (at_few, at_many) for kind, u in table.items()]

    lengths = LENGTHS[:3] if quick else LENGTHS
    by_length = {
        "S5 by length": growth("s5", lengths, rounds),
        "LSTM by length": growth("lstm", lengths, rounds),
        "Transformer by length": growth("transformer", lengths, 1),
    }
    rows += [u.row(kind, rate) for kind, updates in by_length.items() for u in updates]

    def ratio(table, other):
        return table[other].seconds / table["S5"].seconds

    claims = [
        Claim("S5's steps/s over GRU's, 8 sequences", ratio(at_few, "GRU"), at_least=2),
        Claim("S5's steps/s over LSTM's, 8 sequences", ratio(at_few, "LSTM"), at_least=2),
        Claim("S5's steps/s over GRU's, 32 sequences", ratio(at_many, "GRU")),
        Claim("S5's steps/s over LSTM's, 32 sequences", ratio(at_many, "LSTM")),
        Claim("S5 over the same by associative scan", ratio(at_few, "S5, associative"), at_least=3),
        Claim(
            "Memory without the scan's own derivative over with it, 8 sequences",
            without_rule.megabytes / at_few["S5"].megabytes,
        ),
        Claim(
            "Memory of whole sequences over that in pieces, 32 sequences",
            whole.megabytes / at_many["S5"].megabytes,
            at_least=5,
        ),
        Claim("Slope of S5's time", slope(by_length["S5 by length"]), 0.8, 1.2),
    ]
    if not quick:  # short sequences show the feed-forward part, not the attention
        last = slope(by_length["Transformer by length"], least=2048)
        claims.append(Claim("Slope of the Transformer's time from 2,048", last, 1.6, 2.2))
    return Result(rows, tuple(claims), (Plot("length", "seconds", "model", tuple(by_length)),))
