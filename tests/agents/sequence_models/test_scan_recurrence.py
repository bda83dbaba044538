"""The resettable recurrence against a loop in NumPy, and its gradient against plain autodiff."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from agents.sequence_models import scan

T, B, P = 13, 3, 4  # an odd length, so that the associative scan's tree is uneven
ALL_METHODS = sorted(scan.METHODS)
recurrence = jax.jit(scan.linear_recurrence, static_argnums=4)


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def complex_normal(rng, *shape):
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def problem(seed=0, length=T, reset_rate=0.3):
    rng = np.random.default_rng(seed)
    a = 0.9 * np.exp(1j * rng.uniform(-np.pi, np.pi, P))
    b = complex_normal(rng, length, B, P)
    reset = rng.random((length, B)) < reset_rate
    x0 = complex_normal(rng, B, P)
    return a, b, reset, x0


def by_loop(a, b, reset, x0):
    outputs = np.zeros_like(b)
    for row in range(b.shape[1]):
        x = x0[row]
        for t in range(b.shape[0]):
            if reset[t, row]:
                x = np.zeros_like(x)
            x = a * x + b[t, row]
            outputs[t, row] = x
    return outputs


@pytest.mark.parametrize("length", [1, 2, T])
@pytest.mark.parametrize("method", ALL_METHODS)
def test_equals_a_loop(method, length):
    for seed in range(3):
        a, b, reset, x0 = problem(seed, length)
        x = recurrence(a, b, reset, x0, method)
        np.testing.assert_allclose(x, by_loop(a, b, reset, x0), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length,chunk", [(12, 4), (13, 4), (3, 8), (9, 1)])
def test_chunks_of_every_size_equal_the_plain_scan(length, chunk, reverse):
    for reset_rate in (0.0, 0.1, 0.9):
        a, b, reset, x0 = map(jnp.asarray, problem(5, length, reset_rate))
        got = jax.jit(partial(scan.chunked_scan, chunk=chunk, reverse=reverse))(a, b, reset, x0)
        want = jax.jit(partial(scan.sequential_scan, reverse=reverse))(a, b, reset, x0)
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", ALL_METHODS)
def test_reset_on_the_first_element_drops_the_initial_state(method):
    a, b, _, x0 = problem()
    reset = np.zeros((T, B), bool)
    reset[0, 1] = True
    x = recurrence(a, b, reset, x0, method)
    np.testing.assert_allclose(x[0, 1], b[0, 1], rtol=1e-15)
    np.testing.assert_allclose(x[0, 0], a * x0[0] + b[0, 0], rtol=1e-15)


@pytest.mark.parametrize("plain", scan.METHODS.values())
def test_reverse_is_the_recurrence_on_flipped_time(plain):
    a, b, reset, x0 = problem()
    x = jax.jit(partial(plain, reverse=True))(a, b, reset, x0)
    np.testing.assert_allclose(x[::-1], by_loop(a, b[::-1], reset[::-1], x0), rtol=1e-12)


def weighted_sum(weights):
    """A real loss whose gradient tells every output, real and imaginary, apart; not linear."""
    return lambda x: jnp.sum((weights * x).real + 0.3 * (x * x.conj()).real ** 2)


@pytest.mark.parametrize("method", ALL_METHODS)
def test_gradient_equals_autodiff_of_a_plain_scan(method):
    a, b, reset, x0 = problem(1)
    loss = weighted_sum(complex_normal(np.random.default_rng(2), T, B, P))

    def plain(a, b, x0):
        def step(x, inputs):
            b, reset = inputs
            x = jnp.where(reset[:, None], 0, a * x) + b
            return x, x

        return loss(jax.lax.scan(step, x0, (b, jnp.asarray(reset)))[1])

    def ours(a, b, x0):
        return loss(scan.linear_recurrence(a, b, reset, x0, method))

    got_all, want_all = (jax.jit(jax.grad(f, (0, 1, 2)))(a, b, x0) for f in (ours, plain))
    for got, want in zip(got_all, want_all, strict=True):
        assert np.abs(want).max() > 1e-3
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("method", ALL_METHODS)
def test_gradient_equals_finite_differences_twice(method):
    a, b, reset, x0 = problem(3, length=5)

    def f(a, b, x0):
        return recurrence(a, b, reset, x0, method)

    check_grads(f, (a, b, x0), order=2, modes=["rev"], atol=1e-6, rtol=1e-6)


def test_forward_pass_keeps_only_its_outputs_for_the_gradient():
    a, b, reset, x0 = problem(length=64)

    def f(a, b, x0):
        return scan.linear_recurrence(a, b, reset, x0, "sequential")

    x, pullback = jax.vjp(f, *map(jnp.asarray, (a, b, x0)))
    kept = sum(leaf.nbytes for leaf in jax.tree.leaves(pullback))
    assert kept <= x.nbytes + a.nbytes + x0.nbytes + reset.nbytes


def test_real_numbers_stay_real():
    rng = np.random.default_rng(0)
    a, b, x0 = rng.random(P), rng.normal(size=(T, B, P)), rng.normal(size=(B, P))
    reset = rng.random((T, B)) < 0.3
    x = scan.linear_recurrence(a, b, reset, x0)
    assert x.dtype == jnp.float64
    np.testing.assert_allclose(x, by_loop(a, b, reset, x0), rtol=1e-12)


def random_element(rng):
    reset = np.array([rng.random() < 0.5])
    return complex_normal(rng, P), complex_normal(rng, P), reset


def test_operator_is_associative():
    rng = np.random.default_rng(0)
    op = scan.resettable_operator
    seen = set()
    for _ in range(60):
        i, j, k = (random_element(rng) for _ in range(3))
        seen.add((bool(i[2][0]), bool(j[2][0]), bool(k[2][0])))
        for left, right in zip(op(op(i, j), k), op(i, op(j, k)), strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-12)
    assert len(seen) == 8  # every combination of resets


def test_operator_is_the_papers():
    rng = np.random.default_rng(1)
    (a_i, b_i, d_i), (a_j, b_j, _) = random_element(rng), random_element(rng)
    usual = scan.resettable_operator((a_i, b_i, d_i), (a_j, b_j, np.array([False])))
    for got, want in zip(usual, (a_j * a_i, a_j * b_i + b_j, d_i), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)
    alone = scan.resettable_operator((a_i, b_i, d_i), (a_j, b_j, np.array([True])))
    for got, want in zip(alone, (a_j, b_j, [True]), strict=True):
        np.testing.assert_array_equal(got, want)


def test_scan_with_the_papers_operator_gives_the_same_states():
    a, b, reset, x0 = map(jnp.asarray, problem(4))
    elements = (
        jnp.broadcast_to(a, (T, B, P)),
        b.at[0].add(jnp.where(reset[0][:, None], 0, a * x0)),
        reset[..., None],
    )
    _, x, _ = jax.jit(partial(jax.lax.associative_scan, scan.resettable_operator))(elements)
    np.testing.assert_allclose(x, recurrence(a, b, reset, x0, "associative"), rtol=1e-12)


def test_auto_follows_the_backend(monkeypatch):
    used = []

    def spy(name):
        def method(a, b, reset, x0, *, reverse=False):
            used.append(name)
            return scan.sequential_scan(a, b, reset, x0, reverse=reverse)

        return method

    monkeypatch.setattr(scan, "METHODS", {name: spy(name) for name in scan.METHODS})
    for backend in ("cpu", "gpu", "tpu"):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        for length in (16, 17, 4096, 4097):
            assert scan.choose("auto", length) in scan.METHODS
        scan.linear_recurrence(*problem(length=40))
    assert used == ["sequential", "associative", "associative"]
    assert scan.choose("auto", 16) == "sequential" and scan.choose("auto", 4097) == "chunked"


def test_unknown_method_is_refused_by_name():
    with pytest.raises(ValueError, match=r"'assoc'.*'associative'.*auto, sequential"):
        scan.linear_recurrence(*problem(), method="assoc")
