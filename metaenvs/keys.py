"""Random keys whose draws are the same however JAX is configured.

JAX's settings `jax_default_prng_impl` and `jax_threefry_partitionable` change what a seed
stands for. What is frozen, published or resumed has been drawn by one implementation,
threefry as JAX has it by default: everything of this package draws by that one.
"""

from typing import Any

import jax
import jax.extend.random
import jax.numpy as jnp

IMPLEMENTATION = "threefry2x32"
"""The implementation's name in JAX; its variant is the partitionable one."""

_config: Any = jax.config
_threefry = jax.extend.random.threefry_prng_impl


def _partitionable(draw):
    """`draw` by the partitionable variant, whatever the setting when it is compiled."""

    def as_default(*args):
        with jax.threefry_partitionable(True):
            return draw(*args)

    return as_default


_ALWAYS_PARTITIONABLE = jax.extend.random.define_prng_impl(
    key_shape=(2,),
    seed=_threefry.seed,
    split=_partitionable(_threefry.split),
    random_bits=_partitionable(_threefry.random_bits),
    fold_in=_partitionable(_threefry.fold_in),
    name="metaenvs_threefry2x32",
    tag="metaenvs",
)


def _implementation():
    return IMPLEMENTATION if _config.jax_threefry_partitionable else _ALWAYS_PARTITIONABLE


def key(seed: int | jax.Array) -> jax.Array:
    """The key of a seed: `jax.random.key(seed)` as it is by default."""
    return fixed(jax.random.key(seed, impl=IMPLEMENTATION))


def wrap(data: jax.Array) -> jax.Array:
    """The key that `jax.random.key_data` made `data [..., 2]` of."""
    return jax.random.wrap_key_data(data, impl=_implementation())


def fixed(key: jax.Array) -> jax.Array:
    """`key`, of any implementation, typed or raw, as one of the fixed implementation.

    It stays itself under JAX's default settings. RBG's keys of a seed, and what they are
    split into, are two threefry keys of that seed: one is taken.
    """
    typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    by_default = _config.jax_threefry_partitionable and (
        jax.random.key_impl(key) == IMPLEMENTATION
        if typed
        else _config.jax_default_prng_impl == IMPLEMENTATION
    )
    if by_default:
        return key
    data = jax.random.key_data(key) if typed else key
    return wrap(data[..., :2])
