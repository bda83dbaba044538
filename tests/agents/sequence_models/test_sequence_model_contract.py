"""What every sequence model in the table must do."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from agents import sequence_models

T, B, WIDTH = 9, 3, 8
FIELDS = {
    "s5": {"state_size": 6, "blocks": 2},
    "transformer": {"heads": 2, "context": 4},  # shorter than the sequence: the ring goes round
}
VARIANTS = {
    "s5-associative": ("s5", {**FIELDS["s5"], "scan": "associative"}),
    "s5-options": (
        "s5",
        {"discretisation": "bilinear", "gate": "full", "norm": "post", "scan": "chunked"},
    ),
    "rglru-associative": ("rglru", {"scan": "associative"}),
    "transformer-long": ("transformer", {"heads": 1, "context": 30}),
}
CASES = {
    **{name: (name, FIELDS.get(name, {})) for name in sorted(sequence_models.MODELS)},
    **VARIANTS,
}
every_model = pytest.mark.parametrize("name,fields", CASES.values(), ids=CASES.keys())


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


def used_carry(name, fields, seed=7, length=6):
    """A carry that is not empty: something has been seen before."""
    model, variables, apply = built(name, fields)
    x, reset = sequence(seed, length)
    return apply(variables, model.init_carry(B), x, reset)[0]


def assert_close(got, want, tolerance=2e-5):
    assert jax.tree.structure(got) == jax.tree.structure(want)
    jax.tree.map(
        lambda g, w: np.testing.assert_allclose(g, w, rtol=tolerance, atol=tolerance), got, want
    )


def assert_same_memory(name, fields, got, want, tolerance=2e-5):
    """Whatever comes next, both carries lead to the same outputs."""
    _model, variables, apply = built(name, fields)
    x, _ = sequence(11)
    reset = jnp.zeros((T, B), bool)
    assert jax.tree.map(jnp.shape, got) == jax.tree.map(jnp.shape, want)
    assert_close(apply(variables, got, x, reset)[1], apply(variables, want, x, reset)[1], tolerance)
    if name != "transformer":  # whose unused places may hold anything
        assert_close(got, want, tolerance)


@every_model
def test_sequence_equals_steps(name, fields):
    model, variables, apply = built(name, fields)
    x, reset = sequence()
    assert reset[1:].any() and not reset.all()
    carry = used_carry(name, fields)
    final, y = apply(variables, carry, x, reset)

    constants = model.apply(variables, method="step_constants")
    step = jax.jit(functools.partial(model.apply, method="step"))
    outputs = []
    for t in range(T):
        carry, output = step(variables, constants, carry, x[t], reset[t])
        outputs.append(output)
    assert_close(jnp.stack(outputs), y)
    assert_same_memory(name, fields, carry, final)


@every_model
def test_sequence_in_two_parts_equals_the_whole(name, fields):
    _model, variables, apply = built(name, fields)
    x, reset = sequence(2)
    carry = used_carry(name, fields)
    whole_carry, whole = apply(variables, carry, x, reset)
    middle, first = apply(variables, carry, x[:4], reset[:4])
    carry, second = apply(variables, middle, x[4:], reset[4:])
    assert_close(jnp.concatenate([first, second]), whole)
    assert_same_memory(name, fields, carry, whole_carry)


@every_model
def test_nothing_passes_a_reset(name, fields):
    model, variables, apply = built(name, fields)
    x, _ = sequence(3)
    other = x.at[:5].set(sequence(4)[0][:5])
    reset = jnp.zeros((T, B), bool).at[5].set(True)
    carry, y = apply(variables, used_carry(name, fields, 1), x, reset)
    other_carry, other_y = apply(variables, used_carry(name, fields, 2), other, reset)
    assert_close(y[5:], other_y[5:], 1e-6)
    assert_same_memory(name, fields, carry, other_carry, 1e-6)
    # A reset sequence is the same as one that starts here.
    _, fresh = apply(variables, model.init_carry(B), x[5:], reset[5:])
    assert_close(y[5:], fresh, 2e-6)
    # The element at the reset itself is read, and without the reset the past shows.
    _, changed = apply(variables, model.init_carry(B), x.at[5].add(1.0), reset)
    assert np.abs(changed[5] - y[5]).max() > 1e-3
    _, kept = apply(variables, used_carry(name, fields, 1), x, jnp.zeros((T, B), bool))
    remembers = np.abs(kept[5:] - y[5:]).max() > 1e-3
    assert remembers == (name != "mlp")


@every_model
def test_a_wiped_carry_is_an_empty_one(name, fields):
    model, _, _ = built(name, fields)
    wiped = sequence_models.wipe(used_carry(name, fields), jnp.ones(B, bool))
    assert_same_memory(name, fields, wiped, model.init_carry(B), 1e-6)


@every_model
def test_rows_of_the_batch_are_independent(name, fields):
    _model, variables, apply = built(name, fields)
    x, reset = sequence(5)

    def row_one(x, carry):
        return jnp.sum(apply(variables, carry, x, reset)[1][:, 1] ** 2)

    carry = used_carry(name, fields)
    x_gradient, carry_gradient = jax.grad(row_one, argnums=(0, 1), allow_int=True)(x, carry)
    for leaf in (jnp.moveaxis(x_gradient, 1, 0), *jax.tree.leaves(carry_gradient)):
        assert leaf.shape[0] == B  # the batch is axis 0 of every leaf of the carry
        if leaf.dtype != jax.dtypes.float0:  # a whole number has no gradient
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
    # Discretising needs complex division, whatever the rule; acting does not.
    if name == "s5":
        assert "c64" in program and not re.search(r"c64\[[^=]* = (div|exp|expm1) ", program)
    else:
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
    before = used_carry(name, FIELDS.get(name, {}))
    carry, y = jax.jit(jax.vmap(model.apply, (0, None, None, None)))(both, before, x, reset)
    assert_close((jax.tree.map(lambda c: c[1], carry), y[1]), apply(other, before, x, reset))
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


def loss_after(updates, model, optimiser, batch, length, mean_of):
    """Train a model and a readout of its last output to tell what `batch(key)` asks.

    Returns the mean loss of the last `mean_of` updates.
    """
    reset = jnp.zeros((length, 64), bool)

    def loss(variables, key):
        x, truth = batch(key)
        variables, readout = variables
        _, y = model.apply(variables, model.init_carry(64), x, reset)
        return jnp.mean(optax.sigmoid_binary_cross_entropy(y[-1] @ readout, truth))

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
        return jax.lax.scan(update, state, jax.random.split(key, updates))[1]

    return float(train(jax.random.key(0))[-mean_of:].mean())


@pytest.mark.parametrize("name", sorted(sequence_models.MODELS))
def test_memory_can_be_learned_but_not_without_one(name):
    """Tell the sign seen first, eight noisy steps ago. A model with memory learns it.

    The cue has a channel of its own: a sum that forgets slowly, which is all that real decays
    compute, cannot tell the first of nine equal-looking steps from the others.
    """
    model = sequence_models.make(name, width=16, layers=1)
    optimiser = optax.adam(1e-2)

    def batch(key):
        x = jax.random.normal(key, (9, 64, 16))
        return x.at[1:, :, 0].set(0.0), x[0, :, 0] > 0

    last = loss_after(500, model, optimiser, batch, 9, mean_of=30)
    assert last > 0.6 if name == "mlp" else last < 0.35, last


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(sequence_models.MODELS))
def test_a_cue_is_remembered_over_a_hundred_steps(name):
    """The probe that tells memory from none: a sign, then 99 steps of noise; which was it?"""
    model = sequence_models.make(name, width=16, layers=1)
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2))

    def batch(key):
        key_cue, key_noise = jax.random.split(key)
        cue = jax.random.bernoulli(key_cue, shape=(64,))
        x = jax.random.normal(key_noise, (100, 64, 16)).at[:, :, :2].set(0.0)
        return x.at[0, :, 0].set(2.0 * cue - 1).at[0, :, 1].set(1.0), cue

    last = loss_after(600, model, optimiser, batch, 100, mean_of=50)
    assert last > 0.65 if name == "mlp" else last < 0.1, last


def test_long_attention_needs_memory_for_its_blocks_alone():
    """The backward pass at 8,192 elements keeps no matrix of elements by elements."""
    model = sequence_models.make("transformer", width=16, layers=1, heads=2, context=8192)
    x, reset = jnp.zeros((8192, 1, 16)), jnp.zeros((8192, 1), bool)
    carry = model.init_carry(1)
    variables = jax.eval_shape(model.init, jax.random.key(0), carry, x, reset)

    def loss(variables):
        return jnp.sum(model.apply(variables, carry, x, reset)[1] ** 2)

    compiled = jax.jit(jax.grad(loss)).lower(variables).compile()
    one_matrix = 2 * 8192 * 16384 * 4
    assert compiled.memory_analysis().temp_size_in_bytes < one_matrix / 4


def test_wipe_empties_only_the_rows_asked_for():
    carry = {"a": jnp.ones((3, 2)), "b": (jnp.ones((3, 2, 2), jnp.complex64), jnp.ones(3))}
    wiped = sequence_models.wipe(carry, jnp.array([False, True, False]))
    for leaf in jax.tree.leaves(wiped):
        assert np.all(leaf[jnp.array([0, 2])] == 1) and not np.any(leaf[1])


def test_unknown_names_are_refused_with_the_choices():
    with pytest.raises(ValueError, match=r"'lstn'. Did you mean 'lstm'.* s5, gru, lstm,"):
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
    assert error(width) < 0.1 * wanted
    with pytest.raises(ValueError, match=rf"smallest '{name}' .* more than params=3"):
        sequence_models.width_for(name, 3, layers=2)


@pytest.mark.parametrize("name", sorted(sequence_models.MODELS))
def test_input_of_another_width_is_refused(name):
    model = sequence_models.make(name, width=4, **FIELDS.get(name, {}))
    x, reset = sequence()
    with pytest.raises(ValueError, match=f"width 4 .* {WIDTH} features"):
        jax.eval_shape(model.init, jax.random.key(0), model.init_carry(B), x, reset)


@pytest.mark.parametrize("name", sorted(sequence_models.MODELS))
def test_the_smallest_model_has_a_width(name):
    """For the very number that the message names when fewer are asked for."""
    step = sequence_models.make(name, layers=1).width_multiple
    smallest = sequence_models.count_parameters(sequence_models.make(name, width=step, layers=1))
    assert sequence_models.width_for(name, smallest, layers=1) == step
