"""Other forms of a game: what a player did as part of what it sees, actions as numbers."""

from typing import Any

import jax
import jax.numpy as jnp
from gymnax.environments import environment, spaces

from metaenvs.identity import same
from metaenvs.spaces import encode, flat_size


class Wrapper(environment.Environment):
    """`env` as it is; a subclass changes some of it. State and params are `env`'s."""

    def __init__(self, env: Any):
        self.env = env

    @property
    def name(self) -> str:
        return self.env.name

    @property
    def default_params(self) -> Any:
        return self.env.default_params

    def reset_env(self, key: jax.Array, params: Any) -> tuple[jax.Array, Any]:
        return self.env.reset_env(key, params)

    def is_terminated(self, state: Any, params: Any) -> jax.Array:
        return self.env.is_terminated(state, params)

    def is_truncated(self, state: Any, params: Any) -> jax.Array:
        return self.env.is_truncated(state, params)

    @property
    def num_actions(self) -> int:
        return self.env.num_actions

    def action_space(self, params: Any = None) -> spaces.Space:
        return self.env.action_space(self.default_params if params is None else params)

    def observation_space(self, params: Any = None) -> spaces.Space:
        return self.env.observation_space(self.default_params if params is None else params)

    def __eq__(self, other):
        return type(self) is type(other) and same(vars(self), vars(other))

    def __hash__(self):
        return hash((type(self), self.env))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.env!r})"


class PreviousAction(Wrapper):
    """`env` with its observation, the previous action and a start flag in one vector.

    popgym's PreviousAction, Antialias and Flatten in one: `[observation | action | start]`
    in float32, each part as `encode` writes it. `start` is 1 in an episode's first
    observation, where the action part is 0 (popgym shows the one-hot of action 0 there),
    and 0 in all others, `info["final_observation"]` included.

    Nothing is kept between steps: the state is that of `env`, and where the auto-reset of
    `env.step` has begun an episode, the action is left out, so that none passes from an
    episode into the next.

    `env` is any Gymnax environment with Box, Discrete or MultiDiscrete actions and
    observations.
    """

    def __init__(self, env: Any):
        super().__init__(env)
        params = env.default_params
        self._action_size = flat_size(env.action_space(params))
        self._size = flat_size(env.observation_space(params)) + self._action_size + 1

    def step(
        self, key: jax.Array, state: Any, action: Any, params: Any = None
    ) -> tuple[jax.Array, Any, jax.Array, jax.Array, jax.Array, dict[str, Any]]:
        params = self.default_params if params is None else params
        observation, state, reward, terminated, truncated, info = self.env.step(
            key, state, action, params
        )
        over = terminated | truncated
        action = encode(self.env.action_space(params), action)
        info = info | {
            "final_observation": self._join(info["final_observation"], action, 0.0, params)
        }
        action = jnp.where(over, 0.0, action)
        observation = self._join(observation, action, over, params)
        return observation, state, reward, terminated, truncated, info

    def reset_env(self, key: jax.Array, params: Any) -> tuple[jax.Array, Any]:
        observation, state = self.env.reset_env(key, params)
        return self._join(observation, jnp.zeros(self._action_size), 1.0, params), state

    def step_env(
        self, key: jax.Array, state: Any, action: Any, params: Any
    ) -> tuple[jax.Array, Any, jax.Array, jax.Array, dict[str, Any]]:
        observation, *rest = self.env.step_env(key, state, action, params)
        previous = encode(self.env.action_space(params), action)
        return self._join(observation, previous, 0.0, params), *rest

    def _join(self, observation, previous, start, params: Any) -> jax.Array:
        seen = encode(self.env.observation_space(params), observation)
        return jnp.concatenate([seen, previous, jnp.asarray(start, jnp.float32)[None]])

    def observation_space(self, params: Any = None) -> spaces.Box:
        return spaces.Box(-jnp.inf, jnp.inf, (self._size,))


class SignAction(Wrapper):
    """`env`, whose actions are Discrete(2), with an action Box [-1, 1] `[1]` in their place.

    A positive number is action 1, any other is action 0. State, params and the rest are
    `env`'s.

    Raises:
        TypeError: if `env` has another action space.
    """

    def __init__(self, env: Any):
        space = env.action_space(env.default_params)
        if not isinstance(space, spaces.Discrete) or space.n != 2:
            raise TypeError(f"{env.name} has actions {space}; SignAction needs Discrete(2)")
        super().__init__(env)

    def step_env(
        self, key: jax.Array, state: Any, action: Any, params: Any
    ) -> tuple[jax.Array, Any, jax.Array, jax.Array, dict[str, Any]]:
        choice = (jnp.asarray(action)[0] > 0).astype(jnp.int32)
        return self.env.step_env(key, state, choice, params)

    @property
    def num_actions(self) -> int:
        return 1

    def action_space(self, params: Any = None) -> spaces.Box:
        return spaces.Box(-1.0, 1.0, (1,))
