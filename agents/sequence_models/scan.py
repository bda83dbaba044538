"""The resettable linear recurrence, and the ways of computing it.

    x[t] = (1 - reset[t]) * a * x[t-1] + b[t],      x[-1] = x0

with a diagonal (elementwise) decay `a`: the heart of S5 (Smith et al. 2023, arXiv 2208.04933),
with the resets of Lu et al. 2023 (arXiv 2303.03982, section 4.1). `reset[t]` clears the state
*before* element t is added, so a reset costs no element.

Shapes everywhere: a [P], b [T, B, P], reset [T, B] bool, x0 [B, P]; the result is x [T, B, P].
Complex numbers stay complex: on CPU, pairs of reals were no faster in either method, and up to
1.6 times as slow.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from metaenvs import errors


def recurrence_step(a, b, reset, x):
    """One step: the next state [B, P] from b [B, P], reset [B] and the state x [B, P]."""
    return jnp.where(reset[..., None], 0, a * x) + b


def sequential_scan(a, b, reset, x0, *, reverse=False):
    """T steps one after the other: least work and memory traffic, no parallelism over time.

    `reverse` runs time from the last element to the first, starting from x0 all the same.
    """

    def step(x, inputs):
        b, reset = inputs
        x = recurrence_step(a, b, reset, x)
        return x, x

    # Unrolling by 2, 4 or 8 was slower on CPU, at every size tried.
    return lax.scan(step, x0, (b, reset), reverse=reverse)[1]


def resettable_operator(left, right):
    """The associative operator of Lu et al. 2023, section 4.1, on elements (A, b, reset).

    If `right` holds no reset, the usual product of two affine maps, which remembers whether
    `left` held one; otherwise `right` alone. A and b broadcast against reset (give it a trailing
    axis of 1).
    """
    decay, b, reset = _shared_decay_operator(left, right)
    return jnp.where(right[2], right[0], decay), b, reset


def _shared_decay_operator(left, right):
    # Gives the same b as `resettable_operator`. An element that holds a reset never has its decay
    # multiplied onto anything, so what its decay says is free; leaving it the plain product keeps
    # it equal for the whole batch.
    (decay_l, b_l, reset_l), (decay_r, b_r, reset_r) = left, right
    return (
        decay_r * decay_l,
        jnp.where(reset_r, 0, decay_r * b_l) + b_r,
        reset_l | reset_r,
    )


def associative_scan(a, b, reset, x0, *, reverse=False):
    """log2(T) parallel passes: more arithmetic, but all of time at once. For accelerators.

    `reverse` runs time from the last element to the first, starting from x0 all the same.
    """
    first = -1 if reverse else 0
    b = jnp.asarray(b)  # a cotangent may come as a NumPy array
    b = b.at[first].set(recurrence_step(a, b[first], reset[first], x0))
    # [T, 1, P], not [T, B, P]: see `_shared_decay_operator`. Saves 14 to 28 % of the time on CPU.
    decay = jnp.broadcast_to(a, (b.shape[0], 1, a.shape[0]))
    elements = decay, b, reset[..., None]
    return lax.associative_scan(_shared_decay_operator, elements, reverse=reverse)[1]


def chunked_scan(a, b, reset, x0, *, reverse=False, chunk=32):
    """All chunks of time side by side, each from an empty state; then the states between chunks,
    by the same recurrence with decay a**chunk; then what they add inside. For accelerators.

    chunk + T / chunk steps one after the other, where `associative_scan` has 2 log2(T), but fewer
    passes over memory, which is what long sequences wait for.
    `reverse` runs time from the last element to the first, starting from x0 all the same.
    """
    if reverse:
        b, reset = b[::-1], reset[::-1]
    length, batch, states = b.shape
    chunks = -(-length // chunk)
    padding = chunks * chunk - length
    b = jnp.pad(b, ((0, padding), (0, 0), (0, 0)))
    reset = jnp.pad(reset, ((0, padding), (0, 0)))
    # [chunk, chunks * B, ..]: to the scan inside chunks, every chunk is one more row of the batch.
    b, reset = (v.reshape(chunks, chunk, batch, *v.shape[2:]).swapaxes(0, 1) for v in (b, reset))
    rows = chunks * batch
    local = sequential_scan(
        a,
        b.reshape(chunk, rows, states),
        reset.reshape(chunk, rows),
        jnp.zeros((rows, states), b.dtype),
    ).reshape(b.shape)
    closed = lax.cummax(reset.astype(jnp.int32), axis=0).astype(bool)  # a reset up to here
    ends = sequential_scan(a**chunk, local[-1], closed[-1], x0)
    entering = jnp.concatenate([x0[None], ends[:-1]])
    decay = jnp.cumprod(jnp.broadcast_to(a, (chunk, states)), axis=0)[:, None, None]
    x = local + jnp.where(closed[..., None], 0, decay * entering)
    x = x.swapaxes(0, 1).reshape(chunks * chunk, batch, states)[:length]
    return x[::-1] if reverse else x


METHODS = {
    "sequential": sequential_scan,
    "associative": associative_scan,
    "chunked": chunked_scan,
}


def choose(method: str, length: int) -> str:
    """The name in `METHODS` for a sequence of `length`; "auto" chooses by backend and length.

    On CPU the sequential scan was fastest at every length (docs/agents.md). What is chosen on
    accelerators follows from the depth and the memory traffic of each method; it has not been
    measured there.

    Raises:
        ValueError: unknown method.
    """
    choices = {"auto": _automatic(length), **{name: name for name in METHODS}}
    return errors.lookup(choices, method, "scan method")


def _automatic(length):
    if jax.default_backend() == "cpu" or length <= 16:
        return "sequential"
    return "associative" if length <= 4096 else "chunked"


def linear_recurrence(
    a: jax.Array, b: jax.Array, reset: jax.Array, x0: jax.Array, method: str = "auto"
) -> jax.Array:
    """All states x [T, B, P] of the recurrence; real or complex, differentiable in a, b and x0.

    method: a name in `METHODS`, or "auto": see `choose`.

    Reverse-mode derivatives of any order, through a rule of its own: the gradient of a linear
    recurrence is the same recurrence run backwards, so the forward pass keeps only its outputs.
    (Forward-mode, `jax.jvp`, is not available; the plain scans above have it.)
    """
    method = choose(method, b.shape[0])
    dtype = jnp.result_type(a, b, x0)
    a, b, x0 = (jnp.asarray(v, dtype) for v in (a, b, x0))
    return _recurrence(method, False, a, b, jnp.asarray(reset, bool), x0)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _recurrence(method, reverse, a, b, reset, x0):
    return METHODS[method](a, b, reset, x0, reverse=reverse)


def _forward(method, reverse, a, b, reset, x0):
    x = _recurrence(method, reverse, a, b, reset, x0)
    return x, (a, x, reset, x0)


def _backward(method, reverse, saved, x_bar):
    a, x, reset, x0 = saved
    # b_bar[t] = x_bar[t] + (1 - reset[t+1]) * a * b_bar[t+1]: no element follows the last one, so
    # there the flag is free. JAX's cotangents are plain transposes: nothing is conjugated.
    reset_after = _delay(reset, jnp.ones_like(reset[0]), not reverse)
    b_bar = _recurrence(method, not reverse, a, x_bar, reset_after, jnp.zeros_like(x0))
    x_before = _delay(x, x0, reverse)
    a_bar = _sum(jnp.where(reset[..., None], 0, b_bar * x_before))
    first = -1 if reverse else 0
    x0_bar = jnp.where(reset[first][..., None], 0, a * b_bar[first])
    return a_bar, b_bar, None, x0_bar


_recurrence.defvjp(_forward, _backward)


def _sum(x):
    """Over time and batch. XLA sums complex numbers on CPU in one thread, reals in all of them."""
    if not jnp.iscomplexobj(x):
        return jnp.sum(x, axis=(0, 1))
    return lax.complex(jnp.sum(x.real, axis=(0, 1)), jnp.sum(x.imag, axis=(0, 1)))


def _delay(sequence, initial, reverse):
    """The sequence one step later along the run, `initial` taking the free place."""
    if reverse:
        return jnp.concatenate([sequence[1:], initial[None]])
    return jnp.concatenate([initial[None], sequence[:-1]])
