"""S5's initialisation, discretisation and layer against dense linear algebra in NumPy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from agents import sequence_models
from agents.sequence_models import s5
from agents.sequence_models.s5 import S5Layer, hippo_eigen, hippo_normal, piece_length

WIDTH, P = 5, 6


def hippo_legs(size):
    """HiPPO-LegS, element by element from its definition (Gu et al. 2020)."""
    matrix = np.zeros((size, size))
    for n in range(size):
        for k in range(n):
            matrix[n, k] = -np.sqrt((2 * n + 1) * (2 * k + 1))
        matrix[n, n] = -(n + 1)
    return matrix


def make_layer(blocks=1, seed=0, **changes):
    layer = S5Layer(WIDTH, P, blocks, 0.001, 0.1)
    init = jax.jit(partial(layer.init, method="discretise"))
    params = init(jax.random.key(seed))["params"]
    params = {**params, **changes}
    return params, layer.apply({"params": params}, method="discretise")


def complex_params(params):
    p = {name: np.asarray(value, np.float64) for name, value in params.items()}
    eigenvalues = -np.exp(p["log_decay"]) + 1j * p["frequency"]
    step = np.exp(p["log_step"])
    return eigenvalues, step, p["B"][0] + 1j * p["B"][1], p["C"][0] + 1j * p["C"][1], p["D"]


@pytest.mark.parametrize("size", [2, 8, 64])
def test_hippo_normal_is_the_normal_part_of_hippo_legs(size):
    matrix = hippo_normal(size)
    p = np.sqrt(np.arange(size) + 0.5)
    np.testing.assert_allclose(matrix, hippo_legs(size) + np.outer(p, p), atol=1e-12)
    np.testing.assert_allclose(matrix @ matrix.T, matrix.T @ matrix, atol=1e-9 * size)


@pytest.mark.parametrize("state_size,blocks", [(1, 1), (8, 1), (8, 2), (8, 8), (64, 4)])
def test_eigensystem_is_half_of_numpys(state_size, blocks):
    eigenvalues, vectors = hippo_eigen(state_size, blocks)
    assert eigenvalues.shape == (state_size,) and vectors.shape == (2 * state_size, state_size)
    np.testing.assert_array_equal(eigenvalues.real, -0.5)
    assert np.all(eigenvalues.imag > 0)

    dense = scipy.linalg.block_diag(*[hippo_normal(2 * state_size // blocks)] * blocks)
    full = np.linalg.eigvals(dense)
    both = np.concatenate([eigenvalues, eigenvalues.conj()])
    scale = np.abs(full).max()
    np.testing.assert_allclose(np.sort(both.imag), np.sort(full.imag), atol=1e-9 * scale)
    np.testing.assert_allclose(full.real, -0.5, atol=1e-9 * scale)
    # Orthonormal, and with their conjugates they rebuild the matrix.
    np.testing.assert_allclose(vectors.conj().T @ vectors, np.eye(state_size), atol=1e-12)
    rebuilt = 2 * (vectors * eigenvalues @ vectors.conj().T).real
    np.testing.assert_allclose(rebuilt, dense, atol=1e-10 * scale)


def test_blocks_change_the_frequencies_and_no_shape():
    shapes, distinct = set(), {}
    for blocks in (1, 3):
        params, _ = make_layer(blocks)
        shapes.add(str(jax.tree.map(jnp.shape, params)))
        distinct[blocks] = len(np.unique(np.round(np.asarray(params["frequency"]), 3)))
        np.testing.assert_allclose(-np.exp(params["log_decay"]), -0.5, rtol=1e-6)
    assert len(shapes) == 1
    assert distinct == {1: P, 3: P // 3}
    with pytest.raises(ValueError, match=r"state_size 6 .* blocks=4"):
        make_layer(blocks=4)


def test_blocks_reach_the_stack():
    x, reset = jnp.zeros((1, 1, WIDTH)), jnp.zeros((1, 1), bool)
    model = sequence_models.make("s5", width=WIDTH, layers=1, state_size=P, blocks=2)
    params = jax.jit(model.init)(jax.random.key(0), model.init_carry(1), x, reset)["params"]
    want = hippo_eigen(P, blocks=2)[0].imag
    np.testing.assert_allclose(params["ssm_0"]["frequency"], want, rtol=1e-6)


def test_steps_are_log_uniform_in_their_range():
    layer = S5Layer(2, 1000, 100, 0.001, 0.1)
    init = jax.jit(partial(layer.init, method="discretise"))
    log_step = init(jax.random.key(0))["params"]["log_step"]
    quantiles = np.quantile(log_step, [0, 0.25, 0.5, 0.75, 1])
    want = np.log(0.001) + np.log(100) * np.array([0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(quantiles, want, atol=0.3)
    assert np.log(0.001) <= log_step.min() and log_step.max() <= np.log(0.1)


@pytest.mark.parametrize("dt_min,dt_max", [(0.0, 0.1), (0.2, 0.1)])
def test_a_range_of_steps_that_is_none_is_refused(dt_min, dt_max):
    layer = S5Layer(2, 2, 1, dt_min, dt_max)
    with pytest.raises(ValueError, match=f"dt_min.*{dt_min} and {dt_max}"):
        jax.eval_shape(partial(layer.init, method="discretise"), jax.random.key(0))


def test_discretisation_is_zero_order_hold():
    params, ssm = make_layer(blocks=2)
    eigenvalues, step, b, c, d = complex_params(params)
    for i in range(P):
        # exp([[λ, b], [0, 0]] Δ) holds both matrices of the ZOH system in its first row.
        augmented = np.zeros((1 + WIDTH, 1 + WIDTH), complex)
        augmented[0, 0], augmented[0, 1:] = eigenvalues[i], b[i]
        held = scipy.linalg.expm(augmented * step[i])
        np.testing.assert_allclose(ssm.a[i], held[0, 0], rtol=1e-6)
        np.testing.assert_allclose(ssm.b[:, i], held[0, 1:].real, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(ssm.b[:, P + i], held[0, 1:].imag, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ssm.c, 2 * np.concatenate([c.real, -c.imag], axis=1).T, rtol=1e-6)
    np.testing.assert_array_equal(ssm.d, d)


def test_bilinear_discretisation_is_tustins_rule():
    layer = S5Layer(WIDTH, P, 2, 0.001, 0.1, "bilinear")
    variables = jax.jit(partial(layer.init, method="discretise"))(jax.random.key(0))
    ssm = layer.apply(variables, method="discretise")
    eigenvalues, step, b, _, _ = complex_params(variables["params"])
    for i in range(P):
        # (x' - x) / Δ = λ (x' + x) / 2 + b u, solved for x'.
        left, right = 1 / step[i] - eigenvalues[i] / 2, 1 / step[i] + eigenvalues[i] / 2
        np.testing.assert_allclose(ssm.a[i], right / left, rtol=1e-6)
        np.testing.assert_allclose(ssm.b[:, i], (b[i] / left).real, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(ssm.b[:, P + i], (b[i] / left).imag, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "option,value", [("discretisation", "euler"), ("gate", "quarter"), ("norm", "mid")]
)
def test_unknown_options_are_refused(option, value):
    model = sequence_models.make("s5", width=4, layers=1, **{option: value})
    x, reset = jnp.zeros((1, 1, 4)), jnp.zeros((1, 1), bool)
    with pytest.raises(ValueError, match=rf"unknown .*'{value}'.* Choices: "):
        jax.eval_shape(model.init, jax.random.key(0), model.init_carry(1), x, reset)


def inputs(length=12, batch=2, seed=3):
    rng = np.random.default_rng(seed)
    u = rng.normal(size=(length, batch, WIDTH)).astype(np.float32)
    reset = rng.random((length, batch)) < 0.2
    return u, reset


def run(ssm, u, reset, method="sequential"):
    state = jnp.zeros((u.shape[1], P), jnp.complex64)
    return jax.jit(partial(ssm.scan, method=method))(state, u, reset)[1]


@pytest.mark.parametrize("method", ["sequential", "associative"])
def test_layer_equals_the_full_conjugate_system(method):
    """All 2P states with explicit conjugates, one row and one step at a time."""
    params, ssm = make_layer(blocks=3, seed=1)
    eigenvalues, step, b, c, d = complex_params(params)
    u, reset = inputs()
    full_a = np.diag(
        np.concatenate([np.exp(eigenvalues * step), np.exp(eigenvalues * step).conj()])
    )
    held = ((np.exp(eigenvalues * step) - 1) / eigenvalues)[:, None] * b
    full_b, full_c = np.concatenate([held, held.conj()]), np.concatenate([c, c.conj()], axis=1)
    want = np.zeros(u.shape, complex)
    for row in range(u.shape[1]):
        x = np.zeros(2 * P, complex)
        for t in range(u.shape[0]):
            if reset[t, row]:
                x = np.zeros(2 * P, complex)
            x = full_a @ x + full_b @ u[t, row]
            want[t, row] = full_c @ x + d * u[t, row]
    np.testing.assert_allclose(want.imag, 0, atol=1e-10)
    np.testing.assert_allclose(run(ssm, u, reset, method), want.real, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("blocks", [1, 2])
def test_layer_starts_as_a_real_hippo_system(blocks):
    """With one Δ for all states, the dense real system of block-diagonal HiPPO-N, held by expm."""
    delta = 0.05
    params, ssm = make_layer(blocks, log_step=jnp.full(P, np.log(delta)))
    _, _, b, c, d = complex_params(params)
    _, vectors = hippo_eigen(P, blocks)
    size = 2 * P
    augmented = np.zeros((size + WIDTH, size + WIDTH))
    augmented[:size, :size] = scipy.linalg.block_diag(*[hippo_normal(size // blocks)] * blocks)
    augmented[:size, size:] = 2 * (vectors @ b).real
    dense_c = 2 * (c @ vectors.conj().T).real
    held = scipy.linalg.expm(augmented * delta)
    u, reset = inputs()
    want = np.zeros_like(u)
    for row in range(u.shape[1]):
        x = np.zeros(size)
        for t in range(u.shape[0]):
            x = np.zeros(size) if reset[t, row] else x
            x = held[:size, :size] @ x + held[:size, size:] @ u[t, row]
            want[t, row] = dense_c @ x + d * u[t, row]
    np.testing.assert_allclose(run(ssm, u, reset), want, rtol=1e-4, atol=1e-5)


def test_layer_is_stable_whatever_it_learns():
    params, _ = make_layer()
    rng = np.random.default_rng(1)
    wild = jax.tree.map(lambda v: v + rng.normal(0, 2, v.shape).astype(np.float32), params)
    _, ssm = make_layer(**wild)
    assert np.all(np.abs(ssm.a) < 1)


def test_every_layer_has_its_own_norm():
    """Scaling one layer's LayerNorm changes the output differently from scaling another's."""
    model = sequence_models.make("s5", width=WIDTH, layers=3, state_size=P)
    u, reset = inputs()
    carry = model.init_carry(u.shape[1])
    params = jax.jit(model.init)(jax.random.key(0), carry, u, reset)["params"]
    norms = [name for name in params if "normalise" in params[name]]
    assert len(norms) == 3
    outputs, apply = [], jax.jit(model.apply)
    for name in norms:
        norm = {**params[name]["normalise"], "scale": 2 * params[name]["normalise"]["scale"]}
        changed = {**params, name: {**params[name], "normalise": norm}}
        outputs.append(np.asarray(apply({"params": changed}, carry, u, reset)[1]))
    for i, j in ((0, 1), (1, 2), (0, 2)):
        assert np.abs(outputs[i] - outputs[j]).max() > 1e-3


def test_reading_in_pieces_changes_neither_outputs_nor_gradients(monkeypatch):
    model = sequence_models.make("s5", width=WIDTH, layers=1, state_size=P)
    u, reset = inputs(length=60)
    carry = jax.tree.map(lambda c: c + (0.3 - 0.2j), model.init_carry(u.shape[1]))
    variables = jax.jit(model.init)(jax.random.key(0), carry, u, reset)

    def loss(variables, carry, u):
        after, y = model.apply(variables, carry, u, reset)
        return jnp.sum(y**3) + sum(jnp.sum(jnp.abs(c) ** 2) for c in after)

    def run():
        return jax.jit(jax.value_and_grad(loss, (0, 1, 2)))(variables, carry, u)

    whole = run()
    monkeypatch.setattr(s5, "WHOLE_ELEMENTS", 0)
    monkeypatch.setattr(s5, "PIECE_ELEMENTS", 40)
    assert piece_length(*reset.shape) == 20
    jax.tree.map(partial(np.testing.assert_allclose, rtol=2e-4, atol=2e-4), whole, run())
    # Made by reading in pieces, the parameters have the same names and shapes.
    again = jax.eval_shape(model.init, jax.random.key(0), carry, u, reset)
    assert jax.tree.map(jnp.shape, again) == jax.tree.map(jnp.shape, variables)


def test_pieces_divide_the_sequence_and_fit_their_bound():
    assert piece_length(1024, 8) == 1024  # few elements: whole
    assert piece_length(1024, 32) == 64
    assert piece_length(1000, 32) == 50  # the longest divisor up to 64
    assert piece_length(1021, 32) == 1021  # a prime
    for length in range(1, 3000, 7):
        piece = piece_length(length, 50)
        assert length % piece == 0
        assert piece == length or 50 * piece <= s5.PIECE_ELEMENTS


def test_reading_in_pieces_keeps_memory_low():
    model = sequence_models.make("s5", width=16, layers=1)

    def megabytes(length):
        x, reset = jnp.zeros((length, 64, 16)), jnp.zeros((length, 64), bool)
        carry = model.init_carry(64)
        variables = jax.jit(model.init)(jax.random.key(0), carry, x[:1], reset[:1])
        gradient = jax.grad(lambda v, x, reset: jnp.sum(model.apply(v, carry, x, reset)[1]))
        program = jax.jit(gradient).lower(variables, x, reset).compile()
        return program.memory_analysis().temp_size_in_bytes / 1e6

    whole, pieces = megabytes(256), megabytes(512)
    assert pieces < 0.5 * whole
