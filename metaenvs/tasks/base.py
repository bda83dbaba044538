"""What a task is: a Gymnax environment with Box spaces and parameters of its own."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import environment, spaces

from metaenvs import keys
from metaenvs.identity import ByContent, same
from metaenvs.precision import in_32_bits
from metaenvs.tasks.dynamics import Dynamics

TState = TypeVar("TState", bound="TaskState")
TParams = TypeVar("TParams", bound="TaskParams")


class TaskState(struct.PyTreeNode):
    """MuJoCo's coordinates of a task, in MuJoCo's order, and the control steps taken."""

    qpos: jax.Array
    qvel: jax.Array
    time: jax.Array


class TaskParams(ByContent, struct.PyTreeNode, eq=False):
    """Data by which the tasks of one domain differ; every leaf may be traced and vmapped."""

    max_steps_in_episode: int = 1000

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**{"eq": False} | kwargs)


class Task(environment.Environment):
    """A Gymnax environment that a trial can be made of.

    Observations and actions are Boxes of rank one. `default_params` are the task's
    own; two tasks with equal `program` run the same code and differ only in them. Of such
    tasks the one with the most observations runs for all: what others lack it shows as 0.

    `cheap` tasks step in less time than it takes to sort environments by task: in a
    batch, all of them run for every environment and one is selected. Others run for
    their own environments only (see `metaenvs.dispatch.switch`).

    `dynamics` names, for each kind of factor in `metaenvs.tasks.dynamics.Dynamics`, the
    fields of the params that it scales.

    `made_by` is the function and its arguments that make this task, where there are any: a
    copy is then made by it again. Tasks are equal if that is, or else what they hold.
    """

    cheap = False
    dynamics: Mapping[str, tuple[str, ...]] = {}
    made_by: tuple[Callable[..., Any], tuple[Hashable, ...]] | None = None

    def __init__(self, name: str, params: Any):
        self._name = name
        self._default_params = params

    @property
    def name(self) -> str:
        return self._name

    @property
    def default_params(self) -> Any:
        return self._default_params

    @property
    def program(self) -> Hashable:
        """Equal for tasks that one compiled branch can serve."""
        return id(self)

    def scaled(self, params: Any, factors: Dynamics) -> Any:
        """`params` with the constants of each kind multiplied by its factor."""
        changed = {
            field: getattr(params, field) * getattr(factors, kind)
            for kind, fields in self.dynamics.items()
            for field in fields
        }
        return params.replace(**changed) if changed else params

    def __eq__(self, other):
        if type(self) is not type(other):
            return False
        if self.made_by is not None and self.made_by == other.made_by:
            return True
        return same(self._own(), other._own())

    def __hash__(self):
        return hash((type(self), self.name))

    def _own(self) -> dict[str, Any]:
        return {name: x for name, x in vars(self).items() if name != "made_by"}

    def __reduce_ex__(self, protocol: Any) -> Any:
        return super().__reduce_ex__(protocol) if self.made_by is None else self.made_by

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class DMControlTask(Task, Generic[TState, TParams]):
    """A DM Control task in closed form.

    A domain is one subclass: it says how an episode starts, what one control step
    does, and what is observed and paid. Tasks of the domain are instances with
    different params. Actions lie in [-1, 1]^action_size and are clipped to it.
    There is no termination; an episode is truncated after `max_steps_in_episode`.
    """

    cheap = True
    observation_size: int
    action_size: int

    def initial_state(self, key: jax.Array, params: TParams) -> TState:
        """Draw the state in which an episode starts."""
        raise NotImplementedError

    def advance(self, state: TState, action: jax.Array, params: TParams) -> TState:
        """One control step of the physics; `action [action_size]` is inside its box."""
        raise NotImplementedError

    def observation(self, state: TState, params: TParams) -> jax.Array:
        """`[observation_size]`, in dm_control's order."""
        raise NotImplementedError

    def reward(self, state: TState, action: jax.Array, params: TParams) -> jax.Array:
        """Reward in [0, 1] of having arrived in `state` with `action`."""
        raise NotImplementedError

    @property
    def program(self) -> Hashable:
        return type(self).__qualname__, id(type(self))

    @in_32_bits
    def reset_env(self, key: jax.Array, params: TParams) -> tuple[jax.Array, TState]:
        state = self.initial_state(keys.fixed(key), params)
        return self.observation(state, params), state

    @in_32_bits
    def step_env(
        self, key: jax.Array, state: TState, action: jax.Array, params: TParams
    ) -> tuple[jax.Array, TState, jax.Array, jax.Array, dict[str, Any]]:
        del key  # the physics is deterministic
        action = jnp.asarray(action, jnp.float32)
        if action.shape != (self.action_size,):  # would broadcast or be cut silently
            raise ValueError(
                f"{self.name}: action of shape {(self.action_size,)} expected, got {action.shape}"
            )
        action = jnp.clip(action, -1.0, 1.0)
        state = self.advance(state, action, params)
        state = state.replace(time=state.time + 1)
        return (
            self.observation(state, params),
            state,
            self.reward(state, action, params),
            jnp.zeros((), bool),
            {},
        )

    def is_terminated(self, state: TState, params: TParams) -> jax.Array:
        return jnp.zeros((), bool)

    @property
    def num_actions(self) -> int:
        return self.action_size

    def action_space(self, params: TParams | None = None) -> spaces.Box:
        return spaces.Box(-1.0, 1.0, (self.action_size,))

    def observation_space(self, params: TParams | None = None) -> spaces.Box:
        return spaces.Box(-jnp.inf, jnp.inf, (self.observation_size,))
