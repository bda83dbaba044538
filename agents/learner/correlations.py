"""Correlations of what a trial has shown so far: statistics that turn with its projection.

A linear memory sums up what it is shown, but what tells one projection from another are products
of observations with each other and with actions. These are formed here, without parameters:

* Inner products of observation vectors (the present one, the last one, running means). Behind
  an orthogonal projection they are those of the task's own observations, whatever the draw.
* Correlations of the last action with the change of the observation that it caused. They take
  vectors of the observation space to vectors of the action space: which way to act in order
  to move along them. An action put together from these turns with the action's projection.

Recurrent as a memory is: emptied where the memory is emptied, carried where it is carried.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from agents.learner import identification, local_model
from agents.sequence_models.base import wipe

MEANS = (0.5, 0.8, 0.95, 0.99)
"""Decays, per decision, of the running means of observations."""
EFFECTS = (0.9, 0.99)
"""Decays of the correlations of actions with what they change."""
REWARD = 0.99
"""Decay of the correlation of rewards with observations."""
VECTORS = 2 + len(MEANS) + 1
"""Of the observation space: the present one, the last, the running means, the reward's."""
USUAL, LONGEST = 0.4, 1.0
"""With a model: the length of a direction that is as long as it usually is in its trial, and the
length at which it is cut."""
FORGET = 0.02
"""Weight of a decision in what is usual, after the first few."""
MODEL_DIRECTIONS = 7 + 2 * 3 + 1
"""Of the action space, by a model of the dynamics: along seven vectors at once, along three of
them later, and what pays by itself."""


class Layout(NamedTuple):
    """Of an observation `[projected (obs), previous action (action), reward, episode flag]`.

    With `model` the features have those of a linear model of the dynamics too
    (`agents.learner.identification`), and a direction is as long as it is beside its usual length
    in the trial. To act by a fixed share of it is then a linear feedback, which fades out as what
    it answers to does; without, all directions have length 1.

    With `local_model` there are the directions by a model of the present surroundings as well
    (`agents.learner.local_model`), and the features have the inner products of both models'
    directions: whether one asks for what another does.
    """

    obs: int
    action: int
    model: bool = False
    local_model: bool = False

    @property
    def vectors(self) -> int:
        """Of the observation space: `VECTORS`, and the model's."""
        return VECTORS + (identification.VECTORS if self.model else 0) + self.local_model

    @property
    def by_model(self) -> int:
        """Directions by models of the dynamics."""
        return (self.model + self.local_model) * MODEL_DIRECTIONS

    @property
    def directions(self) -> int:
        """Of the action space: an effect's for every vector, the model's, and the last action."""
        return len(EFFECTS) * VECTORS + self.by_model + 1

    @property
    def products(self) -> int:
        """Pairs of vectors."""
        return self.vectors * (self.vectors + 1) // 2

    @property
    def features(self) -> int:
        """How many numbers `step` gives."""
        agreements = self.by_model * (self.by_model - 1) // 2 if self.local_model else 0
        return self.products + agreements + (self.directions - 1) * (self.action + 2) + 1


class Correlations(NamedTuple):
    """Running sums of B trials.

    Attributes:
        last: `[B, obs]` the observation before.
        means: `[B, len(MEANS), obs]` of observations.
        reward: `[B, obs]` correlation of reward and observation.
        effects: `[B, len(EFFECTS), obs, action]` correlation of change and action.
        length: `[B]` observations seen.
        squares: `[B, directions - 1]` running means of the directions' squared lengths; empty
            without a model.
        model: of the dynamics; empty without.
        correction: of the model, for the present surroundings; empty without `local_model`.
    """

    last: jax.Array
    means: jax.Array
    reward: jax.Array
    effects: jax.Array
    length: jax.Array
    squares: jax.Array | tuple[()] = ()
    model: identification.Model | tuple[()] = ()
    correction: local_model.Correction | tuple[()] = ()


def empty(layout: Layout, batch: int) -> Correlations:
    """Nothing seen yet."""
    o, a = layout.obs, layout.action
    return Correlations(
        jnp.zeros((batch, o)),
        jnp.zeros((batch, len(MEANS), o)),
        jnp.zeros((batch, o)),
        jnp.zeros((batch, len(EFFECTS), o, a)),
        jnp.zeros(batch),
        jnp.zeros((batch, layout.directions - 1)) if layout.model else (),
        identification.empty(o, a, batch) if layout.model else (),
        local_model.empty(o, a, batch) if layout.local_model else (),
    )


def step(
    layout: Layout, seen: Correlations, obs: jax.Array, starts: jax.Array, reset: jax.Array
) -> tuple[Correlations, jax.Array]:
    """One observation more: what was seen, and `[B, layout.features]`.

    Args:
        obs: `[B, obs + action + 2]`, normalised.
        starts: `[B]` whether it is an episode's first: it is no consequence of the action.
        reset: `[B]` whether all before it is to be forgotten.
    """
    o, a = layout.obs, layout.action
    x, action, reward = obs[:, :o], obs[:, o : o + a], obs[:, o + a]
    seen = wipe(seen, reset)
    first = seen.length == 0
    last = jnp.where(first[:, None], x, seen.last)
    means = jnp.where(first[:, None, None], x[:, None], seen.means)
    change = jnp.where((first | starts)[:, None], 0.0, x - last)
    effects = _mixed(EFFECTS, seen.effects, (change[:, :, None] * action[:, None, :])[:, None])
    about_mean = (x - means[:, -1]) * reward[:, None]
    correlated = REWARD * seen.reward + (1 - REWARD) * about_mean
    rewarded = 10 * correlated
    vectors = jnp.concatenate([x[:, None], last[:, None], means, rewarded[:, None]], axis=1)
    directions = jnp.einsum("bvo,bsoa->bsva", vectors, effects).reshape(len(x), -1, a)

    model, correction = seen.model, seen.correction
    if isinstance(model, identification.Model):
        model = identification.update(model, last, action, x, reward, first, starts)
        ways = partial(_by_model, x=x, last=last, means=means, rewarded=rewarded)
        vectors = jnp.concatenate([vectors, identification.vectors(model, x)], axis=1)
        directions = jnp.concatenate([directions, ways(model)], axis=1)
        if isinstance(correction, local_model.Correction):
            correction = local_model.update(correction, model, last, action, first | starts)
            surroundings = correction.of(model)
            moved = identification.vectors(surroundings, x)[:, :1]
            vectors = jnp.concatenate([vectors, moved], axis=1)
            directions = jnp.concatenate([directions, ways(surroundings)], axis=1)

    directions, size, squares = _shortened(seen, directions)
    products = _inner_products(vectors)
    agreements: tuple[jax.Array, ...] = ()
    if layout.local_model:
        # Directions are about USUAL long; this brings their products near 1.
        agreements = (4 * _inner_products(directions[:, -layout.by_model :], 1),)
    features = (
        *agreements,
        jnp.sign(products) * jnp.log1p(jnp.abs(products)),
        size,
        jnp.einsum("bda,ba->bd", directions, action),
        jnp.log1p(seen.length)[:, None],
        directions.reshape(len(x), -1),
    )
    means = _mixed(MEANS, means, x[:, None])
    seen = Correlations(x, means, correlated, effects, seen.length + 1, squares, model, correction)
    return seen, jnp.concatenate(features, axis=1)


def _by_model(model, x, last, means, rewarded):
    """`[B, MODEL_DIRECTIONS, action]`, of vectors `[B, obs]` and `means [B, len(MEANS), obs]`."""
    rises = [model.slope, model.here]
    at_once = [x, last, means[:, 2], means[:, 3], *rises, rewarded]
    later = [x - means[:, -1], *rises]
    return identification.directions(model, jnp.stack(at_once, axis=1), jnp.stack(later, axis=1))


def _shortened(seen, directions):
    """The directions as long as the policy gets to see them, the logarithm of how long they or
    their mean in the trial were, and that mean's square, if it is kept."""
    square, squares = jnp.sum(directions**2, axis=-1), seen.squares
    if isinstance(squares, tuple):
        lengths = jnp.sqrt(square + 1e-6)
        return directions / lengths[..., None], jnp.log(lengths), squares
    rate = jnp.maximum(1 / (seen.length[:, None] + 1), FORGET)
    squares += rate * (square - squares)
    directions *= USUAL / jnp.sqrt(squares + 1e-8)[..., None]
    long = jnp.sqrt(jnp.sum(directions**2, axis=-1, keepdims=True) + 1e-8)
    return directions * jnp.minimum(1.0, LONGEST / long), jnp.log(squares + 1e-6), squares


def _inner_products(vectors, apart=0):
    """Of all pairs of `vectors [B, V, D]`, each with those from `apart` places after it on."""
    one, other = jnp.triu_indices(vectors.shape[1], apart)
    return jnp.einsum("bid,bjd->bij", vectors, vectors)[:, one, other]


def directions(layout: Layout, obs: jax.Array, features: jax.Array) -> jax.Array:
    """`[..., layout.directions, action]`: those of `features`, and the last action in `obs`."""
    found = features[..., -(layout.directions - 1) * layout.action :]
    found = found.reshape(*found.shape[:-1], layout.directions - 1, layout.action)
    last = obs[..., None, layout.obs : layout.obs + layout.action]
    return jnp.concatenate([found, last], axis=-2)


def _mixed(decays: tuple[float, ...], old: jax.Array, new: jax.Array) -> jax.Array:
    """Running means `[B, len(decays), ...]` with one more value each."""
    decay = jnp.asarray(decays).reshape(-1, *(1,) * (old.ndim - 2))
    return decay * old + (1 - decay) * new
