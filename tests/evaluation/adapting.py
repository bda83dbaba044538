"""An agent that adapts: it finds out by acting how a linear task answers, and steers it."""

import jax
import jax.numpy as jnp
from flax import struct

OBS, ACT = 12, 2
FLAG = OBS + ACT + 1  # that an episode has begun
EXPLORES = 10  # steps


class Model(struct.PyTreeNode):
    """What it has found out.

    Attributes:
        weights: `[OBS + ACT, OBS]` that take an observation and an action to the next
            observation: a running least-squares fit.
        covariance: `[OBS + ACT, OBS + ACT]` of the fit.
        cost_to_go: `[OBS, OBS]` of the linear-quadratic regulator, by value iteration.
        last: `[OBS + ACT]` observation and action of the step before.
        steps: in memory.
    """

    weights: jax.Array
    covariance: jax.Array
    cost_to_go: jax.Array
    last: jax.Array
    steps: jax.Array


class Adaptive(struct.PyTreeNode):
    """Regulates the observation to zero, whatever the projections.

    Each step: refit the linear model (recursive least squares, exact where the task is
    linear), one value iteration of its regulator, act. Without memory it explores for ever.
    """

    effort: float = 1e-3

    def init_carry(self, n):
        model = Model(
            weights=jnp.zeros((OBS + ACT, OBS)),
            covariance=1e3 * jnp.eye(OBS + ACT),
            cost_to_go=jnp.eye(OBS),
            last=jnp.zeros(OBS + ACT),
            steps=jnp.zeros((), jnp.int32),
        )
        return jax.tree.map(lambda x: jnp.broadcast_to(x, (n, *x.shape)), model)

    def act(self, carry, obs, reset, key):
        def emptied(new, old):
            return jnp.where(reset.reshape(-1, *(1,) * (old.ndim - 1)), new, old)

        carry = jax.tree.map(emptied, self.init_carry(obs.shape[0]), carry)
        return jax.vmap(self._act)(carry, obs, jax.random.split(key, obs.shape[0]))

    def _act(self, model, obs, key):
        y, starts = obs[:OBS], (obs[FLAG] > 0) | (model.steps == 0)
        # A step into another episode is not the task's answer to an action.
        error = jnp.where(starts, 0.0, y - model.last @ model.weights)
        direction = model.covariance @ model.last
        length = 1.0 + model.last @ direction
        weights = model.weights + jnp.outer(direction / length, error)
        covariance = model.covariance - jnp.where(
            starts, 0.0, jnp.outer(direction, direction) / length
        )
        a, b = weights[:OBS].T, weights[OBS:].T
        price = self.effort * jnp.eye(ACT) + b.T @ model.cost_to_go @ b
        gain = jnp.linalg.solve(price, b.T @ model.cost_to_go @ a)
        cost_to_go = jnp.eye(OBS) + a.T @ model.cost_to_go @ (a - b @ gain)
        explored = jax.random.uniform(key, (ACT,), minval=-1.0, maxval=1.0)
        action = jnp.where(model.steps < EXPLORES, explored, jnp.clip(-gain @ y, -1.0, 1.0))
        last = jnp.concatenate([y, action])
        return Model(weights, covariance, cost_to_go, last, model.steps + 1), action
