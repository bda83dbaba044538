"""What is left of a deck of cards: the number of cards of each kind, four to a word.

Dealing card by card what a shuffle would have put next has the same distribution as
shuffling at the episode's start, and leaves nothing to pay for at a reset. XLA computes
the card anew for each word of the counts that it writes: four times for thirteen ranks.
"""

import jax
import jax.numpy as jnp

from metaenvs.popgym import chance
from metaenvs.popgym.base import at

_BITS, _PER_WORD = 8, 4


def full(kinds: int, each: int) -> jax.Array:
    """`each` cards of every kind, as uint32 words.

    Raises:
        ValueError: for more than 255 cards of a kind.
    """
    if each > 255:
        raise ValueError(f"a deck holds at most 255 cards of a kind, got {each}")
    counts = [each if kind < kinds else 0 for kind in range(-(-kinds // _PER_WORD) * _PER_WORD)]
    words = [
        sum(n << _BITS * i for i, n in enumerate(counts[first : first + _PER_WORD]))
        for first in range(0, len(counts), _PER_WORD)
    ]
    return jnp.array(words, jnp.uint32)


def draw(word: jax.Array, deck: jax.Array) -> jax.Array:
    """The kind of the next card, by a random `word`. 0 from an empty deck."""
    counts = [
        ((words >> _BITS * i) & 255).astype(jnp.int32)
        for words in (deck[w] for w in range(len(deck)))
        for i in range(_PER_WORD)
    ]
    total = sum(counts)
    place = chance.below(word, total)
    card, passed = jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)
    for count in counts[:-1]:
        passed = passed + count
        card = card + (place >= passed)
    return jnp.where(total > 0, card, 0)


def without(deck: jax.Array, card: jax.Array) -> jax.Array:
    """`deck` with one card less of the kind `card`, of which there must be one."""
    here = jnp.arange(len(deck)) == card // _PER_WORD
    return deck - jnp.where(here, jnp.uint32(1) << _shift(card), 0)


def left(deck: jax.Array, kind: jax.Array) -> jax.Array:
    """Cards of a kind."""
    return ((at(deck, kind // _PER_WORD) >> _shift(kind)) & 255).astype(jnp.int32)


def _shift(kind: jax.Array) -> jax.Array:
    return (_BITS * (kind % _PER_WORD)).astype(jnp.uint32)
