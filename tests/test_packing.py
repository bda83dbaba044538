"""States survive packing to the bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metaenvs.packing import Packing


def example():
    return {
        "f": jnp.array([[1.5, -2.0], [jnp.inf, 0.0]]),
        "i": jnp.array([3, -4]),
        "b": jnp.array(True),
        "u": jnp.array([2**32 - 1, 7], jnp.uint32),
        "k": jax.random.split(jax.random.key(3), 2),
        "raw": jax.random.PRNGKey(5),
        "scalar": jnp.float32(0.25),
    }


def test_round_trip_keeps_every_bit_and_type():
    packing = Packing(jax.eval_shape(example))
    packed = jax.jit(lambda t: packing.pack(t, packing.n_floats + 3, packing.n_ints + 2))(example())
    assert packed.floats.shape == (8,) and packed.ints.shape == (13,)
    back = packing.unpack(packed)
    for name, x in example().items():
        assert back[name].dtype == x.dtype, name
        is_key = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        data = jax.random.key_data if is_key else np.asarray
        np.testing.assert_array_equal(data(back[name]), data(x))


def test_other_types_are_refused_by_name():
    with pytest.raises(TypeError, match=r"\['x'\].*int8"):
        Packing({"x": jax.ShapeDtypeStruct((2,), jnp.int8)})
