"""Several tasks as one: programs with stacked parameters behind one switch."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import spaces

from metaenvs import dispatch, keys
from metaenvs import tasks as task_table
from metaenvs.packing import Packed, Packing
from metaenvs.tasks import Task
from metaenvs.tasks.dynamics import Dynamics

PHYSICS, EPISODE, TRIAL = range(3)
"""Uses of a step's key, folded into it where they are needed: most steps need none."""


@dataclasses.dataclass(frozen=True)
class EpisodeLengths:
    """How the most steps of each task's episodes are found.

    Attributes:
        members: for each program the numbers of its tasks.
        action_repeat: control steps per step.
    """

    members: tuple[tuple[int, ...], ...]
    action_repeat: int

    def of(self, limits: Sequence[np.ndarray]) -> np.ndarray:
        """`[n_tasks]` steps, of each program's control steps `[n_members]`.

        The longest where the limits have further, leading axes.
        """
        lengths = np.zeros(sum(map(len, self.members)), np.int64)
        for tasks, steps in zip(self.members, limits, strict=True):
            lengths[list(tasks)] = steps.reshape(-1, len(tasks)).max(axis=0)
        return -(-lengths // self.action_repeat)


class TaskSet:
    """The tasks of a trial environment, grouped by program.

    Tasks of one program run the same code on their own row of stacked params, so there
    are as many branches as programs, not as tasks. Observations, actions and states are
    padded to common widths. Sets of the same tasks are equal and hash alike. `splits`
    name the tasks that are played together: how many environments each then has decides
    the sizes of the blocks in which they run (`metaenvs.dispatch.switch`).
    `stacked_params` holds, for each program, its tasks' params along a leading axis.
    """

    def switch(self, index: jax.Array, branches: Sequence[Any], *operands: Any) -> Any:
        """How a branch is chosen: under `jax.vmap`, at the cost of the branches chosen.

        Cheap tasks among themselves all run for every environment: sorting costs more.
        """
        if self._cheap:
            return jax.lax.switch(index, branches, *operands)
        return dispatch.switch(index, branches, *operands, shares=self._shares)

    def __init__(
        self,
        tasks: Sequence[str | Task],
        action_repeat: int = 1,
        splits: Sequence[Sequence[str]] = (),
    ):
        if isinstance(tasks, str) or not tasks:
            raise ValueError(f"tasks must be a list of at least one task, got {tasks!r}")
        self.tasks = tuple(task_table.make(t) if isinstance(t, str) else t for t in tasks)
        self.names = tuple(task.name for task in self.tasks)
        self.action_repeat = action_repeat
        self._splits = tuple(map(tuple, splits))
        for name in self.names:
            if self.names.count(name) > 1:
                raise ValueError(f"task {name!r} is listed more than once: {list(self.names)}")
        self._n_obs = np.array([_box_size(t, "observation") for t in self.tasks], np.int32)
        self._n_act = np.array([_box_size(t, "action") for t in self.tasks], np.int32)
        self.max_obs, self.max_act = int(self._n_obs.max()), int(self._n_act.max())

        members: dict[Any, list[int]] = {}
        for i, task in enumerate(self.tasks):
            members.setdefault(task.program, []).append(i)
        self._members = list(members.values())
        # The task whose code runs for all of a program.
        most = [max(indices, key=lambda i: self._n_obs[i]) for indices in self._members]
        self._runs = [self.tasks[i] for i in most]
        self._program_of = np.zeros(len(self.tasks), np.int32)
        self._row_of = np.zeros(len(self.tasks), np.int32)
        for program, indices in enumerate(self._members):
            self._program_of[indices] = program
            self._row_of[indices] = np.arange(len(indices))
        self._cheap = all(task.cheap for task in self.tasks)
        self._shares = [self._share(indices, list(splits)) for indices in self._members]
        self._packings = [self._packing(task) for task in self._runs]
        # NumPy, so that nothing traced is kept when a set is built inside a transformation.
        self.stacked_params: tuple[Any, ...] = tuple(
            jax.tree.map(_stack, *(self.tasks[i].default_params for i in indices))
            for indices in self._members
        )
        self.lengths = EpisodeLengths(tuple(map(tuple, self._members)), action_repeat)
        self._hash = hash((type(self), self.tasks, self.action_repeat))
        self._n_floats = max(p.n_floats for p in self._packings)
        self._n_ints = max(p.n_ints for p in self._packings)

    def __eq__(self, other):
        return (
            type(other) is type(self)
            and self.tasks == other.tasks
            and self.action_repeat == other.action_repeat
            and self._shares == other._shares
        )

    def __hash__(self):
        return self._hash

    def __reduce__(self):
        # Anew: shapes and tree structures cannot be pickled.
        return type(self), (self.tasks, self.action_repeat, self._splits)

    @staticmethod
    def _packing(task: Task) -> Packing:
        key = jax.eval_shape(lambda: keys.key(0))
        _, state = jax.eval_shape(task.reset_env, key, task.default_params)
        return Packing(state)

    def check_sizes(self, obs_size: int, action_size: int) -> None:
        """Refuse sizes that some task does not fit into, naming the task."""
        for task, n_obs, n_act in zip(self.tasks, self._n_obs, self._n_act, strict=True):
            for need, have, what in ((n_obs, obs_size, "obs"), (n_act, action_size, "action")):
                if need > have:
                    raise ValueError(
                        f"{what}_size={have} is too small for task {task.name!r}, "
                        f"which needs at least {need}"
                    )

    def sizes(self, task_id: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Observation and action size of a task."""
        return jnp.asarray(self._n_obs)[task_id], jnp.asarray(self._n_act)[task_id]

    def unpack(self, task_id: int, packed: Packed) -> Any:
        """The state of task `task_id` (a Python int) out of its packed form."""
        return self._packings[self._program_of[task_id]].unpack(packed)

    def begin_episode(
        self,
        key: jax.Array,
        task_id: jax.Array,
        dynamics: Dynamics,
        task_params: tuple[Any, ...],
    ) -> tuple[jax.Array, Packed]:
        """A fresh initial state. Returns the observation `[max_obs]` and packed state."""

        def branch(program, task):
            def begin(row, key, dynamics, all_params):
                params = task.scaled(_row(all_params[program], row), dynamics)
                x, state = task.reset_env(key, params)
                return self._padded(x), self._pack(program, state)

            return begin

        return self._switch(branch, task_id, key, dynamics, task_params)

    def step(
        self,
        key: jax.Array,
        task_id: jax.Array,
        dynamics: Dynamics,
        packed: Packed,
        u: jax.Array,
        task_params: tuple[Any, ...],
    ) -> tuple[jax.Array, Packed, jax.Array, jax.Array, jax.Array]:
        """`action_repeat` control steps with the action `u [max_act]` in [-1, 1].

        Returns the observation `[max_obs]`, the packed state, the summed reward,
        whether the task terminated and whether the episode is over. Nothing happens
        after an episode's end inside the repeat.
        """

        def branch(program, task):
            def control_step(key, state, action, params):
                x, state, reward, terminated, _ = task.step_env(key, state, action, params)
                over = terminated | task.is_truncated(state, params)
                return self._padded(x), state, jnp.asarray(reward, jnp.float32), terminated, over

            def step(row, key, dynamics, all_params, packed, u):
                key = jax.random.fold_in(key, PHYSICS)
                params = task.scaled(_row(all_params[program], row), dynamics)
                box = task.action_space(params)
                low, high = jnp.asarray(box.low), jnp.asarray(box.high)
                action = low + (u[: box.shape[0]] + 1.0) * 0.5 * (high - low)
                state = self._packings[program].unpack(packed)

                if self.action_repeat == 1:
                    result = control_step(key, state, action, params)
                else:

                    def repeat(before, key):
                        after = control_step(key, before[1], action, params)
                        return _hold_if_over(before, after), None

                    no, nothing = jnp.zeros((), bool), jnp.zeros((), jnp.float32)
                    first = (jnp.zeros(self.max_obs), state, nothing, no, no)
                    result, _ = jax.lax.scan(
                        repeat, first, jax.random.split(key, self.action_repeat)
                    )
                x, state, reward, terminated, over = result
                return x, self._pack(program, state), reward, terminated, over

            return step

        return self._switch(branch, task_id, key, dynamics, task_params, packed, u)

    def _switch(self, branch, task_id: jax.Array, *operands: Any) -> Any:
        """`branch(program, task)(row, *operands)` of the task's program, at its cost."""
        program = jnp.asarray(self._program_of)[task_id]
        row = jnp.asarray(self._row_of)[task_id]
        branches = [branch(p, task) for p, task in enumerate(self._runs)]
        return self.switch(program, branches, row, *operands)

    def _share(self, indices: Sequence[int], splits: Sequence[Sequence[str]]) -> float:
        """The part of a batch that these tasks are: in the first split that has any."""
        names = {self.names[i] for i in indices}
        split = next((s for s in splits if names & set(s)), self.names)
        return len(names & set(split)) / len(split)

    def _padded(self, x):
        return jnp.zeros(self.max_obs, jnp.float32).at[: x.shape[0]].set(x)

    def _pack(self, program, state):
        return self._packings[program].pack(state, self._n_floats, self._n_ints)


def _stack(*leaves: Any) -> np.ndarray:
    stacked = np.stack([np.asarray(x) for x in leaves])
    return stacked.astype(jax.dtypes.canonicalize_dtype(stacked.dtype))


def _row(stacked: Any, row: jax.Array) -> Any:
    return jax.tree.map(lambda x: x[row], stacked)


def _hold_if_over(before: tuple, after: tuple) -> tuple:
    """`after` a further control step, or `before` it if the episode was over already."""
    *_, reward_before, _, over = before
    x, state, reward, terminated, over_now = after
    after = (x, state, reward_before + reward, terminated, over_now)
    return jax.tree.map(lambda b, a: jnp.where(over, b, a), before, after)


def _box_size(task: Task, what: str) -> int:
    space = getattr(task, f"{what}_space")(task.default_params)
    if not isinstance(space, spaces.Box) or len(space.shape) != 1:
        raise TypeError(
            f"task {task.name!r} has {what} space {space}; a trial needs a Box of rank one"
        )
    return space.shape[0]
