"""GRU and LSTM compute the same as Flax's cells with the same weights."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import sequence_models

WIDTH, T, B = 6, 7, 3


def built(name):
    model = sequence_models.make(name, width=WIDTH)
    x = jax.random.normal(jax.random.key(0), (T, B, WIDTH))
    reset = jax.random.bernoulli(jax.random.key(1), 0.3, (T, B))
    params = jax.jit(model.init)(jax.random.key(2), model.init_carry(B), x, reset)["params"][
        "stack_0"
    ]
    rng = np.random.default_rng(3)
    params = jax.tree.map(lambda v: v + rng.normal(0, 0.3, v.shape).astype(np.float32), params)
    return model, params, x, reset


def run_flax(cell, params, carry, x, reset):
    outputs, apply = [], jax.jit(cell.apply)
    for t in range(T):
        carry = jax.tree.map(lambda c, t=t: jnp.where(reset[t][:, None], 0, c), carry)
        carry, y = apply({"params": params}, carry, x[t])
        outputs.append(y)
    return jnp.stack(outputs)


def test_gru_has_flax_equations():
    model, params, x, reset = built("gru")
    kernels = jnp.split(params["input"]["kernel"], 3, axis=1)
    biases = jnp.split(params["input"]["bias"], 3)
    recurrent = jnp.split(params["recurrent"], 3, axis=1)
    hidden = jnp.split(params["recurrent_bias"], 3)
    flax = {}
    for i, gate in enumerate("rzn"):
        # Flax keeps the recurrent bias of the new gate only; the others add to the input's.
        bias = biases[i] if gate == "n" else biases[i] + hidden[i]
        flax[f"i{gate}"] = {"kernel": kernels[i], "bias": bias}
        flax[f"h{gate}"] = {"kernel": recurrent[i]}
    flax["hn"]["bias"] = hidden[2]

    want = run_flax(nn.GRUCell(WIDTH), flax, jnp.zeros((B, WIDTH)), x, reset)
    _, y = model.apply({"params": {"stack_0": params}}, model.init_carry(B), x, reset)
    np.testing.assert_allclose(y, want, rtol=1e-5, atol=1e-5)


def test_lstm_has_flax_equations():
    model, params, x, reset = built("lstm")
    kernels = jnp.split(params["input"]["kernel"], 4, axis=1)
    recurrent = jnp.split(params["recurrent"], 4, axis=1)
    biases = jnp.split(params["input"]["bias"] + params["recurrent_bias"], 4)
    flax = {}
    for i, gate in enumerate("ifgo"):
        flax[f"i{gate}"] = {"kernel": kernels[i]}
        flax[f"h{gate}"] = {"kernel": recurrent[i], "bias": biases[i]}

    zeros = jnp.zeros((B, WIDTH))
    want = run_flax(nn.LSTMCell(WIDTH), flax, (zeros, zeros), x, reset)
    _, y = model.apply({"params": {"stack_0": params}}, model.init_carry(B), x, reset)
    np.testing.assert_allclose(y, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name,gates", [("gru", 3), ("lstm", 4)])
def test_recurrent_weights_start_orthogonal_gate_by_gate(name, gates):
    model = sequence_models.make(name, width=WIDTH)
    x, reset = jnp.zeros((1, 1, WIDTH)), jnp.zeros((1, 1), bool)
    params = jax.jit(model.init)(jax.random.key(0), model.init_carry(1), x, reset)["params"][
        "stack_0"
    ]
    for kernel in jnp.split(params["recurrent"], gates, axis=1):
        np.testing.assert_allclose(kernel @ kernel.T, np.eye(WIDTH), atol=1e-5)


@pytest.mark.parametrize("name,signs", [("gru", (0, 1, 0)), ("lstm", (-1, 1, 0, 0))])
def test_untrained_units_keep_memories_for_one_to_horizon_steps(name, signs):
    model = sequence_models.make(name, width=400, horizon=50.0)
    x, reset = jnp.zeros((1, 1, 400)), jnp.zeros((1, 1), bool)
    params = jax.jit(model.init)(jax.random.key(0), model.init_carry(1), x, reset)["params"]
    biases = np.split(params["stack_0"]["input"]["bias"], len(signs))
    keep = biases[1]
    assert keep.min() >= 0 and keep.max() <= np.log(50)
    np.testing.assert_allclose(np.median(np.exp(keep)), 50**0.5, rtol=0.2)
    for bias, sign in zip(biases, signs, strict=True):
        np.testing.assert_array_equal(bias, sign * keep)
