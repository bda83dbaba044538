"""Environments small enough that the right answer is known, one for each piece of the agent."""

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment, spaces

import metaenvs


class Probe(environment.Environment):
    """Episodes of `length` steps, which end terminated or by a time limit."""

    def __init__(self, length: int, terminates: bool = True):
        self.length, self.terminates = length, terminates

    def is_terminated(self, state, params):
        return (state.time >= self.length) & self.terminates

    def is_truncated(self, state, params):
        return (state.time >= self.length) & (not self.terminates)


class ConstantReward(Probe):
    """Pays 1 for every step; shows how many are left, unless episodes only stop being watched."""

    def reset_env(self, key, params):
        return self._left(0), environment.EnvState(time=0)

    def step_env(self, key, state, action, params):
        state = state.replace(time=state.time + 1)
        return (
            self._left(state.time),
            state,
            jnp.float32(1),
            self.is_terminated(state, params),
            {},
        )

    def _left(self, time):
        left = self.length - time if self.terminates else self.length
        return jnp.array([left / 8], jnp.float32)

    def action_space(self, params):
        return spaces.Discrete(2)

    def observation_space(self, params):
        return spaces.Box(0, jnp.inf, (1,))


class CueState(struct.PyTreeNode):
    cue: jax.Array
    time: jax.Array


class Cue(Probe):
    """Shows one of `choices` in an episode's first observation only; every step pays 1 for
    naming it. With episodes of one step it is a bandit whose arm is the context."""

    def __init__(self, length: int, choices: int):
        super().__init__(length)
        self.choices = choices

    def reset_env(self, key, params):
        cue = jax.random.randint(key, (), 0, self.choices)
        return jax.nn.one_hot(cue, self.choices), CueState(cue, jnp.zeros((), jnp.int32))

    def step_env(self, key, state, action, params):
        reward = jnp.float32(action == state.cue)
        state = state.replace(time=state.time + 1)
        obs = jnp.zeros(self.choices)
        return obs, state, reward, self.is_terminated(state, params), {}

    def action_space(self, params):
        return spaces.Discrete(self.choices)

    def observation_space(self, params):
        return spaces.Box(0, 1, (self.choices,))


metaenvs.register("probe-Endless-v0", lambda: ConstantReward(8, terminates=False))
metaenvs.register("probe-Ending-v0", lambda: ConstantReward(8))
metaenvs.register("probe-Bandit-v0", lambda: Cue(1, 4))
metaenvs.register("probe-Cue100-v0", lambda: Cue(100, 2))
