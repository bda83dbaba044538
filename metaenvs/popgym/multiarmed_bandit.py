"""Explore arms of unknown odds, then exploit the best."""

import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from metaenvs.popgym import chance
from metaenvs.popgym.base import Game, GameParams, GameState, at


class BanditState(GameState):
    """Each arm's probability of paying, `odds [arms]`, and whether the last pull `paid`."""

    odds: jax.Array
    paid: jax.Array


class BanditParams(GameParams):
    """Steps per episode."""

    max_steps_in_episode: int = 200


class MultiarmedBandit(Game):
    """POPGym's MultiarmedBandit: arms pay with odds drawn anew in every episode.

    - Action, Discrete(`num_bandits`): the arm to pull.
    - Observation, Discrete(2): whether the last pull paid; 0 at the start. The arm pulled
      is not shown: a player needs its previous action (`metaenvs.popgym.PreviousAction`).
    - Reward: 1 / `max_steps_in_episode` if the arm pays, else the negative of it.
    - Start: each arm's odds are U(0, 1).
    - Never terminated; truncated after `max_steps_in_episode` steps.

    Source: Morad et al. 2023 (POPGym), popgym 1.0.7, `popgym.envs.multiarmed_bandit`.
    """

    dear_start = True

    def __init__(self, num_bandits: int = 10, params: BanditParams | None = None):
        super().__init__(BanditParams() if params is None else params)
        self.num_bandits = num_bandits

    def initial_state(self, seed: jax.Array, params: BanditParams) -> BanditState:
        return BanditState(
            time=jnp.zeros((), jnp.int32),
            odds=chance.unit(chance.words(seed, self.num_bandits)),
            paid=jnp.zeros((), jnp.int32),
        )

    def advance(
        self, seed: jax.Array, state: BanditState, action: jax.Array, params: BanditParams
    ) -> tuple[BanditState, jax.Array]:
        paid = chance.unit(chance.words(seed, 1)[0]) < at(state.odds, action)
        reward = jnp.where(paid, 1.0, -1.0) / params.max_steps_in_episode
        return state.replace(paid=paid.astype(jnp.int32)), reward

    def observation(self, state: BanditState, params: BanditParams) -> jax.Array:
        return state.paid

    def is_terminated(self, state: BanditState, params: BanditParams) -> jax.Array:
        return jnp.zeros((), bool)

    def is_truncated(self, state: BanditState, params: BanditParams) -> jax.Array:
        return state.time >= params.max_steps_in_episode

    def action_space(self, params: BanditParams | None = None) -> spaces.Discrete:
        return spaces.Discrete(self.num_bandits)

    def observation_space(self, params: BanditParams | None = None) -> spaces.Discrete:
        return spaces.Discrete(2)
