"""What every sequence model in the table must do."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from agents import sequence_models

T, B, WIDTH = 9, 3, 8
FIELDS = {"s5": {"state_size": 6, "blocks": 2}}
CASES = [
    *((name, FIELDS.get(name, {})) for name in sorted(sequence_models.MODELS)),
    ("s5", {**FIELDS["s5"], "scan": "associative"}),
]
every_model = pytest.mark.parametrize(
    "name,fields", CASES, ids=[f"{name}-{fields.get('scan', 'auto')}" for name, fields in CASES]
)


@functools.cache
def _built(name, fields):
    model = sequence_models.make(name, width=WIDTH, layers=2, **dict(fields))
    x, reset = jnp.zeros((1, 1, WIDTH)), jnp.zeros((1, 1), bool)
    variables = jax.jit(model.init)(jax.random.key(0), model.init_carry(1), x, reset)
    # Away from initial zeros, so that no bias or gate hides.
    rng = np.random.default_rng(1)
    variables = jax.tree.map(
        lambda v: v + rng.normal(0, 0.1, v.shape).astype(np.float32), variables
    )
    return model, variables, jax.jit(model.apply)


def built(name, fields):
    return _built(name, tuple(sorted(fields.items())))


def sequence(seed=0, length=T):
    x = jax.random.normal(jax.random.key(seed), (length, B, WIDTH))
    reset = jax.random.bernoulli(jax.random.key(seed + 1), 0.25, (length, B))
    return x, reset


def used_carry(model, seed=7):
    """A carry that is not empty, as if something had been seen before."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda v: v + rng.normal(size=v.shape).astype(v.dtype), model.init_carry(B))


def assert_close(got, want, tolerance=2e-5):
    assert jax.tree.structure(got) == jax.tree.structure(want)
    jax.tree.map(
        lambda g, w: np.testing.assert_allclose(g, w, rtol=tolerance, atol=tolerance), got, want
    )


@every_model
def test_sequence_equals_steps(name, fields):
    model, variables, apply = built(name, fields)
    x, reset = sequence()
    assert reset[1:].any() and not reset.all()
    final, y = apply(variables, used_carry(model), x, reset)

    constants = model.apply(variables, method="step_constants")
    step = jax.jit(functools.partial(model.apply, method="step"))
    carry, outputs = used_carry(model), []
    for t in range(T):
        carry, output = step(variables, constants, carry, x[t], reset[t])
        outputs.append(output)
    assert_close(jnp.stack(outputs), y)
    assert_close(carry, final)


@every_model
def test_sequence_in_two_parts_equals_the_whole(name, fields):
    model, variables, apply = built(name, fields)
    x, reset = sequence(2)
    whole_carry, whole = apply(variables, used_carry(model), x, reset)
    middle, first = apply(variables, used_carry(model), x[:4], reset[:4])
    carry, second = apply(variables, middle, x[4:], reset[4:])
    assert_close(jnp.concatenate([first, second]), whole)
    assert_close(carry, whole_carry)


@every_model
def test_nothing_passes_a_reset(name, fields):
    model, variables, apply = built(name, fields)
    x, _ = sequence(3)
    other = x.at[:5].set(sequence(4)[0][:5])
    reset = jnp.zeros((T, B), bool).at[5].set(True)
    carry, y = apply(variables, used_carry(model, 1), x, reset)
    other_carry, other_y = apply(variables, used_carry(model, 2), other, reset)
    assert_close(y[5:], other_y[5:], 1e-6)
    assert_close(carry, other_carry, 1e-6)
    # A reset sequence is the same as one that starts here.
    _, fresh = apply(variables, model.init_carry(B), x[5:], reset[5:])
    assert_close(y[5:], fresh, 1e-6)
    # The element at the reset itself is read, and without the reset the past shows.
    _, changed = apply(variables, used_carry(model), x.at[5].add(1.0), reset)
    assert np.abs(changed[5] - y[5]).max() > 1e-3
    _, kept = apply(variables, used_carry(model, 1), x, jnp.zeros((T, B), bool))
    remembers = np.abs(kept[5:] - y[5:]).max() > 1e-3
    assert remembers == (name != "mlp")


@every_model
def test_rows_of_the_batch_are_independent(name, fields):
    model, variables, apply = built(name, fields)
    x, reset = sequence(5)

    def row_one(x, carry):
        return jnp.sum(apply(variables, carry, x, reset)[1][:, 1] ** 2)

    carry = used_carry(model)
    x_gradient, carry_gradient = jax.grad(row_one, argnums=(0, 1))(x, carry)
    for leaf in (jnp.moveaxis(x_gradient, 1, 0), *jax.tree.leaves(carry_gradient)):
        assert leaf.shape[0] == B  # the batch is axis 0 of every leaf of the carry
        assert not np.any(leaf[0]) and not np.any(leaf[2])
    assert np.any(x_gradient[:, 1])
    flipped = apply(variables, carry, x, reset.at[:, 0].set(~reset[:, 0]))[1]
    np.testing.assert_array_equal(flipped[:, 1:], apply(variables, carry, x, reset)[1][:, 1:])


@every_model
def test_shapes_and_types_are_stable(name, fields):
    model, variables, apply = built(name, fields)
    carry = model.init_carry(B)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(carry))
    like = jax.tree.map(lambda v: (v.shape, v.dtype), carry)
    x, reset = sequence()
    after, y = apply(variables, carry, x, reset)
    assert y.shape == (T, B, WIDTH) and y.dtype == jnp.float32
    assert jax.tree.map(lambda v: (v.shape, v.dtype), after) == like
    constants = model.apply(variables, method="step_constants")
    after, y = model.apply(variables, constants, carry, x[0], reset[0], method="step")
    assert y.shape == (B, WIDTH)
    assert jax.tree.map(lambda v: (v.shape, v.dtype), after) == like


@every_model
def test_acting_runs_no_scan_and_uses_the_constants(name, fields):
    model, variables, _ = built(name, fields)
    x, reset = sequence()
    constants = model.apply(variables, method="step_constants")
    act = functools.partial(model.apply, method="step")
    carry = model.init_carry(B)
    program = str(jax.make_jaxpr(act)(variables, constants, carry, x[0], reset[0]))
    assert "scan[" not in program and "while[" not in program
    # Discretising is the only thing here that needs an exponential.
    assert "expm1" not in program and "cos" not in program
    if name != "s5":
        assert constants == ()


@every_model
def test_gradient_is_finite_and_reaches_every_parameter(name, fields):
    model, variables, apply = built(name, fields)
    x, reset = sequence(6)

    def loss(variables):
        return jnp.sum(apply(variables, model.init_carry(B), x, reset)[1] ** 2)

    for path, leaf in jax.tree_util.tree_leaves_with_path(jax.grad(loss)(variables)):
        assert not jnp.iscomplexobj(leaf), path
        assert np.all(np.isfinite(leaf)) and np.any(leaf), path


@pytest.mark.parametrize("name", sorted(sequence_models.MODELS))
def test_seeds_can_be_vmapped(name):
    model, variables, apply = built(name, FIELDS.get(name, {}))
    other = jax.tree.map(lambda v: 0.9 * v, variables)
    both = jax.tree.map(lambda *v: jnp.stack(v), variables, other)
    x, reset = sequence()
    carry, y = jax.jit(jax.vmap(model.apply, (0, None, None, None)))(
        both, used_carry(model), x, reset
    )
    assert_close(
        (jax.tree.map(lambda c: c[1], carry), y[1]), apply(other, used_carry(model), x, reset)
    )
    assert np.abs(y[0] - y[1]).max() > 1e-2


@pytest.mark.parametrize("name", sorted(sequence_models.MODELS))
def test_layers_do_not_share_parameters(name):
    shapes = {}
    for layers in (1, 3):
        model = sequence_models.make(name, width=WIDTH, layers=layers, **FIELDS.get(name, {}))
        x, reset = sequence()
        carry = model.init_carry(B)
        variables = jax.eval_shape(model.init, jax.random.key(0), carry, x, reset)
        shapes[layers] = jax.tree.leaves(variables)
        if name != "mlp":
            assert len(carry) == layers
    count = {n: sum(v.size for v in leaves) for n, leaves in shapes.items()}
    assert count[3] == 3 * count[1]


@pytest.mark.parametrize("name", sorted(sequence_models.MODELS))
def test_memory_can_be_learned_but_not_without_one(name):
    """Tell the sign seen first, eight noisy steps ago. A model with memory learns it."""
    model = sequence_models.make(name, width=16, layers=1, **FIELDS.get(name, {}))
    optimiser = optax.adam(1e-2)
    reset = jnp.zeros((9, 64), bool)

    def batch(key):
        x = jax.random.normal(key, (9, 64, 16))
        return x.at[0, :, 0].multiply(3.0), jnp.sign(x[0, :, 0])

    def loss(variables, key):
        x, sign = batch(key)
        variables, readout = variables
        _, y = model.apply(variables, model.init_carry(64), x, reset)
        return jnp.mean(optax.sigmoid_binary_cross_entropy(y[-1] @ readout, sign > 0))

    def update(state, key):
        variables, memory = state
        value, gradient = jax.value_and_grad(loss)(variables, key)
        updates, memory = optimiser.update(gradient, memory)
        return (optax.apply_updates(variables, updates), memory), value

    @jax.jit
    def train(key):
        variables = model.init(key, model.init_carry(64), batch(key)[0], reset)
        variables = variables, jnp.zeros(16)
        state = variables, optimiser.init(variables)
        return jax.lax.scan(update, state, jax.random.split(key, 300))[1]

    last = float(train(jax.random.key(0))[-30:].mean())
    assert last > 0.6 if name == "mlp" else last < 0.35, last


def test_wipe_empties_only_the_rows_asked_for():
    carry = {"a": jnp.ones((3, 2)), "b": (jnp.ones((3, 2, 2), jnp.complex64), jnp.ones(3))}
    wiped = sequence_models.wipe(carry, jnp.array([False, True, False]))
    for leaf in jax.tree.leaves(wiped):
        assert np.all(leaf[jnp.array([0, 2])] == 1) and not np.any(leaf[1])


def test_unknown_names_are_refused_with_the_choices():
    with pytest.raises(ValueError, match=r"'lstn'. Did you mean 'lstm'.* s5, gru, lstm, mlp"):
        sequence_models.make("lstn")
    with pytest.raises(ValueError, match=r"field .*'gru' 'state_size'.*width, layers"):
        sequence_models.make("gru", state_size=3)
    with pytest.raises(ValueError, match="'name'"):
        sequence_models.make("mlp", name="x")


@pytest.mark.parametrize("name", sorted(sequence_models.MODELS))
def test_width_for_a_number_of_parameters(name):
    wanted = 200_000
    width = sequence_models.width_for(name, wanted, layers=2)
    step = sequence_models.make(name, layers=2).width_multiple

    def error(width):
        model = sequence_models.make(name, width=width, layers=2)
        x, reset = jnp.zeros((1, 1, width)), jnp.zeros((1, 1), bool)
        variables = jax.eval_shape(model.init, jax.random.key(0), model.init_carry(1), x, reset)
        return abs(sum(v.size for v in jax.tree.leaves(variables)) - wanted)

    assert width % step == 0
    assert error(width) <= min(error(width - step), error(width + step))
    assert error(width) < 0.05 * wanted
    with pytest.raises(ValueError, match=rf"smallest '{name}' .* more than params=3"):
        sequence_models.width_for(name, 3, layers=2)


@pytest.mark.parametrize("name", sorted(sequence_models.MODELS))
def test_input_of_another_width_is_refused(name):
    model = sequence_models.make(name, width=4, **FIELDS.get(name, {}))
    x, reset = sequence()
    with pytest.raises(ValueError, match=f"width 4 .* {WIDTH} features"):
        jax.eval_shape(model.init, jax.random.key(0), model.init_carry(B), x, reset)
