"""The trial environment: a random task behind random projections, for several episodes."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import environment, spaces

from metaenvs import dispatch, errors, keys, projections, tasks
from metaenvs.identity import ByContent, Code, same
from metaenvs.packing import Packed
from metaenvs.precision import in_32_bits
from metaenvs.programs import EPISODE, TRIAL, EpisodeLengths, TaskSet
from metaenvs.projections import Projection
from metaenvs.tasks.dynamics import Dynamics, DynamicsRange, dynamics_range

OBSERVE = ("action", "reward", "done")


def _concrete(x: Any, name: str) -> np.ndarray:
    if isinstance(x, jax.core.Tracer):
        raise TypeError(
            f"{name} is traced here, but the length of a trial is a number of Python: give params "
            "that are no argument of the transformed function, or take the length outside"
        )
    return np.asarray(x)


class TrialParams(ByContent, struct.PyTreeNode, eq=False):
    """What may change without a new compilation; every leaf may be traced and vmapped.

    With leaves that are not traced they are hashable too, for `static_argnames`.

    Attributes:
        task_weights: `[n_tasks]` relative frequency of each task, non-negative.
        episodes_per_trial: episodes after which a trial is truncated.
        projection_scale: factor on the projected observation.
        reward_scale: `[n_tasks]` factor on each task's reward.
        dynamics: ranges of the factors on each trial's masses, lengths, damping, gears
            and gravity.
        task_params: for each program of the environment, the params of its tasks,
            stacked along a leading axis (`env.tasks.stacked_params`).
        lengths: how `max_steps_in_episode` is found of the leaves; the environment's.
    """

    task_weights: jax.Array
    episodes_per_trial: jax.Array
    projection_scale: jax.Array
    reward_scale: jax.Array
    dynamics: DynamicsRange
    task_params: tuple[Any, ...]
    lengths: EpisodeLengths | None = struct.field(pytree_node=False, default=None)

    @property
    def max_steps_in_episode(self) -> int:
        """What Gymnax calls so: the most steps that a trial can last.

        Raises:
            TypeError: if the params are traced, or were not made by an environment.
        """
        if self.lengths is None:
            raise TypeError("these params were not made by `env.params_for`: ask env.trial_length")
        weights = _concrete(self.task_weights, "task_weights")
        allowed = (weights > 0).reshape(-1, weights.shape[-1]).any(axis=0)
        limits = self.lengths.of(
            [_concrete(x.max_steps_in_episode, "task_params") for x in self.task_params]
        )
        episodes = _concrete(self.episodes_per_trial, "episodes_per_trial")
        return int(limits[allowed].max()) * int(episodes.max())


class TrialState(struct.PyTreeNode):
    """A trial under way.

    Attributes:
        task_id: index into `env.task_names`.
        projection: the trial's linear maps.
        dynamics: the trial's factors on the task's physical constants.
        task_state: the task's own state, packed (`env.task_state` unpacks it).
        episode_index: episodes of this trial that are over.
        episode_length: steps taken in the present episode.
        episode_return: unscaled task reward of the present episode so far.
        trial_return: scaled reward of the trial so far.
        time: steps taken in the trial.
    """

    task_id: jax.Array
    projection: Projection
    dynamics: Dynamics
    task_state: Packed
    episode_index: jax.Array
    episode_length: jax.Array
    episode_return: jax.Array
    trial_return: jax.Array
    time: jax.Array


class _Now(NamedTuple):
    """Where a step leads.

    Attributes:
        final_observation: what the agent sees, or would have seen had the trial gone on.
        observation: what it sees: at a trial's end, the start of the next.
        state: of the trial that it is in.
    """

    final_observation: jax.Array
    observation: jax.Array
    state: TrialState


class RandomProjection(environment.Environment):
    """For every trial a task, and random projections of its observations and actions.

    Timeline:

    * `reset` draws a task by `params.task_weights`, a projection (M_o, M_a) and, where
      `params.dynamics` has ranges, factors on the task's physical constants; and starts
      episode 0.
    * `step` clips the action `a` to [-1, 1]^action_size and moves the task by
      u = clip(M_a a) in its action box. When the task's episode is over (it terminated
      or reached its time limit), the next episode of the *same* task and projection
      starts at once, from a fresh initial state.
    * After `params.episodes_per_trial` episodes the trial is `truncated`, and Gymnax's
      auto-reset draws a new one. `terminated` is never true: the end of an episode
      inside a trial is neither terminated nor truncated, it is seen in the observation
      and in `info`.

    Observation, float32 `[observation_size]`:

    | part      | size        | meaning                                                    |
    |-----------|-------------|------------------------------------------------------------|
    | M_o x     | obs_size    | projected observation of the task, times projection_scale  |
    | a_prev    | action_size | previous action, clipped                                   |
    | r_prev    | 1           | previous reward                                            |
    | d_prev    | 1           | 1 if the previous step ended an episode of this trial      |

    At a trial's first observation a_prev, r_prev and d_prev are zero. `observe` selects
    the last three. `info["final_observation"]` at a trial's end is what the agent would
    have seen next, had the trial gone on (the start of one more episode, d_prev = 1), so
    that a value bootstrapped from it is a value of the kind that the agent has learned.

    Action: Box [-1, 1]^action_size. Reward: the task's, summed over `action_repeat`,
    times the task's `params.reward_scale`.

    `info` (of the step just taken, fixed shapes): `task_id`, `episode_index`,
    `episode_over`, `episode_terminated` (the task's own termination),
    `episode_return`, `episode_length` (both up to and including this step),
    `trial_return`, `task_reward`. `task_reward` and `episode_return` are unscaled,
    `trial_return` sums what the agent was paid. Gymnax adds `terminated`, `truncated`,
    `final_observation`.

    Source: Lu et al., NeurIPS 2023 (arXiv 2303.03982), section 5. The paper shows the
    agent the reward and the episode flag only: `observe=("reward", "done")`.

    Args:
        tasks: task names of `metaenvs.tasks`, or `Task` objects.
        obs_size: numbers of the projected observation, whatever the task.
        action_size: numbers of the agent's action, whatever the task.
        projection: name of a family in `metaenvs.projections.FAMILIES`.
        episodes_per_trial: default for `params.episodes_per_trial`.
        action_repeat: control steps per step of this environment; rewards are summed.
        reward_scale: factors on tasks' rewards by task name; 1 for those not named.
        observe: which of "action", "reward", "done" follow the projected observation.
        splits: named groups of tasks (default: one, "all").
        split: the group from which `default_params` draws (default: the first).
        dynamics: for splits that draw dynamics parameters: ranges of the factors, as in
            `params_for`.
        name: shown in messages.

    Raises:
        ValueError: unknown task, family, split or part; sizes too small for a task
            (the error names it); no tasks.
        TypeError: a task whose spaces are not Boxes of rank one.
    """

    @in_32_bits
    def __init__(
        self,
        tasks: Sequence[str | tasks.Task],
        *,
        obs_size: int = 12,
        action_size: int = 2,
        projection: str = "orthogonal",
        episodes_per_trial: int = 1,
        action_repeat: int = 1,
        reward_scale: Mapping[str, float] | None = None,
        observe: Sequence[str] = OBSERVE,
        splits: Mapping[str, Sequence[str]] | None = None,
        split: str | None = None,
        dynamics: Mapping[str, Mapping[str, tuple[float, float]]] | None = None,
        name: str = "RandomProjection",
    ):
        for part in observe:
            if part not in OBSERVE:
                raise errors.unknown(part, OBSERVE, "part of the observation")
        for value, what in (
            (episodes_per_trial, "episodes_per_trial"),
            (action_repeat, "action_repeat"),
        ):
            if value < 1:
                raise ValueError(f"{what} must be at least 1, got {value}")
        self._name = name
        self.tasks = TaskSet(tasks, action_repeat, list((splits or {}).values()))
        self.tasks.check_sizes(obs_size, action_size)
        self.obs_size, self.action_size = obs_size, action_size
        self.observe = tuple(part for part in OBSERVE if part in observe)
        self.action_repeat = action_repeat
        self.family = projections.make(
            projection, obs_size, action_size, self.tasks.max_obs, self.tasks.max_act
        )
        self.projection = projection
        self.splits = {k: tuple(v) for k, v in (splits or {"all": self.task_names}).items()}
        self.split = next(iter(self.splits)) if split is None else split
        self._episodes_per_trial = episodes_per_trial
        self._reward_scale = dict(reward_scale or {})
        for task in self._reward_scale:
            if task not in self.task_names:
                raise errors.unknown(task, self.task_names, "task")
        self._dynamics = dict(dynamics or {})
        for group in self._dynamics:
            errors.lookup(self.splits, group, "split")
        errors.lookup(self.splits, self.split, "split")
        for group in self.splits:  # what is wrong with one is refused here, not at a reset
            try:
                self.params_for(split=group)
            except ValueError as error:
                raise ValueError(f"split {group!r}: {error}") from None

    @property
    def code(self) -> Code:
        """What compiled programs depend on: the splits of a suite share them.

        A subclass may depend on any attribute.
        """
        if type(self) is not RandomProjection:
            return Code(self, self)
        return Code(self, (RandomProjection, self.tasks, self.family, self.observe))

    # Equal are environments that do the same with the same arguments, defaults included: one
    # stands for the other where they are a static argument of jit.
    def __eq__(self, other):
        return type(self) is type(other) and same(vars(self), vars(other))

    def __hash__(self):
        return hash((type(self), self.tasks, self.family, self.observe, self.split))

    def __repr__(self):
        return (
            f"{type(self).__name__}({self.name}, tasks={list(self.task_names)}, "
            f"split={self.split!r}, projection={self.projection!r})"
        )

    @property
    def name(self) -> str:
        return self._name

    @property
    def task_names(self) -> tuple[str, ...]:
        """Names of all tasks; the index is `info["task_id"]`."""
        return self.tasks.names

    @property
    def default_params(self) -> TrialParams:
        return self.params_for(split=self.split)

    @in_32_bits
    def params_for(
        self,
        *,
        tasks: Sequence[str] | None = None,
        split: str | None = None,
        episodes_per_trial: int | None = None,
        projection_scale: float = 1.0,
        dynamics: Mapping[str, tuple[float, float]] | None = None,
    ) -> TrialParams:
        """Params that draw uniformly from `tasks`, or from a split; same compiled program.

        `dynamics` maps kinds (mass, length, damping, gear, gravity) to the range
        (low, high) of the factor that each trial draws for all constants of that kind;
        default: the split's own, which is no randomisation unless the suite says so.

        Raises:
            ValueError: unknown task or split, or both given, or none left; unknown
                kind of dynamics parameter or a bad range.
        """
        if tasks is not None and split is not None:
            raise ValueError(f"give tasks or a split, not both: {tasks!r}, {split!r}")
        group = split or self.split
        if tasks is None:
            tasks = errors.lookup(self.splits, group, "split")
        if dynamics is None:
            dynamics = self.dynamics_of(group)
        if isinstance(tasks, str):
            tasks = (tasks,)
        for task in tasks:
            if task not in self.task_names:
                raise errors.unknown(task, self.task_names, "task")
        if not tasks:
            raise ValueError(f"no tasks given. Choices: {', '.join(self.task_names)}")
        weights = np.array([name in tasks for name in self.task_names], np.float32)
        scales = [self._reward_scale.get(name, 1.0) for name in self.task_names]
        episodes = self._episodes_per_trial if episodes_per_trial is None else episodes_per_trial
        if episodes < 1:
            raise ValueError(f"episodes_per_trial must be at least 1, got {episodes}")
        # What is no traced argument is concrete inside a transformation too.
        with jax.ensure_compile_time_eval():
            return TrialParams(
                task_weights=jnp.asarray(weights),
                episodes_per_trial=jnp.asarray(episodes, jnp.int32),
                projection_scale=jnp.asarray(projection_scale, jnp.float32),
                reward_scale=jnp.asarray(scales, jnp.float32),
                dynamics=dynamics_range(dict(dynamics)),
                task_params=jax.tree.map(jnp.asarray, self.tasks.stacked_params),
                lengths=self.tasks.lengths,
            )

    def dynamics_of(self, split: str) -> Mapping[str, tuple[float, float]]:
        """Ranges of the dynamics factors of a split, as `params_for` takes them."""
        return self._dynamics.get(split, {})

    def trial_length(self, params: TrialParams | None = None) -> int:
        """The most steps that a trial can last under `params`.

        Raises:
            TypeError: if they are traced.
        """
        params = self._or_default(params)
        return params.replace(lengths=self.tasks.lengths).max_steps_in_episode

    def check_params(self, params: TrialParams) -> None:
        """Refuse params of which no trial can be made. Nothing is said of traced leaves.

        Raises:
            ValueError: naming the leaf, its value and what is needed.
        """
        n = len(self.tasks.names)
        for name in ("task_weights", "reward_scale"):
            shape = np.shape(getattr(params, name))
            if shape[-1:] != (n,):
                raise ValueError(
                    f"{name} has shape {shape}; needed is a number for each of {n} tasks: "
                    f"{', '.join(self.task_names)}"
                )
        weights, episodes = params.task_weights, params.episodes_per_trial
        if not isinstance(weights, jax.core.Tracer):
            values = np.asarray(weights)
            if not (
                (values >= 0).all() and (values > 0).any(-1).all() and np.isfinite(values).all()
            ):
                raise ValueError(
                    f"task_weights are {values.tolist()}; needed are numbers of at least 0, one "
                    "of them above 0"
                )
        if not isinstance(episodes, jax.core.Tracer) and np.min(np.asarray(episodes)) < 1:
            raise ValueError(
                f"episodes_per_trial must be at least 1, got {np.asarray(episodes).tolist()}"
            )

    def _or_default(self, params: TrialParams | None) -> TrialParams:
        if params is None:
            return self.default_params
        self.check_params(params)
        return params

    @property
    def observation_size(self) -> int:
        return self.obs_size + sum(part.stop - part.start for part in self.observed_at.values())

    @property
    def observed_at(self) -> dict[str, slice]:
        """Where the parts that `observe` selects stand in an observation."""
        sizes = {"action": self.action_size, "reward": 1, "done": 1}
        places, at = {}, self.obs_size
        for part in self.observe:
            places[part] = slice(at, at + sizes[part])
            at += sizes[part]
        return places

    @property
    def num_actions(self) -> int:
        return self.action_size

    def action_space(self, params: TrialParams | None = None) -> spaces.Box:
        return spaces.Box(-1.0, 1.0, (self.action_size,))

    def observation_space(self, params: TrialParams | None = None) -> spaces.Box:
        return spaces.Box(-jnp.inf, jnp.inf, (self.observation_size,))

    def is_terminated(self, state: TrialState, params: TrialParams) -> jax.Array:
        return jnp.zeros((), bool)

    def is_truncated(self, state: TrialState, params: TrialParams) -> jax.Array:
        return state.episode_index >= params.episodes_per_trial

    @in_32_bits
    def reset(
        self, key: jax.Array, params: TrialParams | None = None
    ) -> tuple[jax.Array, TrialState]:
        """Start a trial. Returns the observation `[observation_size]` and the state."""
        # None is resolved here: environments that differ in their defaults share a cache.
        return self._reset(self.code, keys.fixed(key), self._or_default(params))

    @in_32_bits
    def step(
        self,
        key: jax.Array,
        state: TrialState,
        action: jax.Array,
        params: TrialParams | None = None,
    ) -> tuple[jax.Array, TrialState, jax.Array, jax.Array, jax.Array, dict[str, Any]]:
        """One step, with Gymnax's auto-reset at the trial's end.

        Returns observation, state, reward, terminated, truncated, info.

        Raises:
            ValueError: if `action` is not of shape `[action_size]`, or no trial can be made of
                `params`.
        """
        shape = jnp.shape(action)
        if shape != (self.action_size,):
            raise ValueError(
                f"action has shape {shape}, {self.name} takes ({self.action_size},); "
                "batches of environments go through jax.vmap"
            )
        return self._step(self.code, keys.fixed(key), state, action, self._or_default(params))

    @staticmethod
    @partial(jax.jit, static_argnums=0)
    def _reset(code, key, params):
        return code.env.reset_env(key, params)

    @staticmethod
    @partial(jax.jit, static_argnums=0)
    def _step(code, key, state, action, params):
        return code.env._step_and_start(key, state, action, params)

    def _step_and_start(self, key, state, action, params):
        # As Gymnax's Environment.step, but what starts an episode or a trial is computed
        # only where one ends, its random numbers included.
        action = jnp.clip(jnp.asarray(action, jnp.float32), -1.0, 1.0)
        x, state, reward, info = self._advance(key, state, action, params)
        over, truncated = info["episode_over"], self.is_truncated(state, params)
        seen = self._seen(action, reward, over)
        obs = self._observation(state.projection, x, seen, params)
        # A trial is over in the middle of an episode where its params were changed to fewer.
        ended = (over, truncated)
        now = dispatch.update_where(
            over | truncated, self._start_next, _Now(obs, obs, state), key, seen, *ended, params
        )
        terminated = jnp.zeros((), bool)
        info |= {
            "terminated": terminated,
            "truncated": truncated,
            "final_observation": now.final_observation,
        }
        return now.observation, now.state, reward, terminated, truncated, info

    @in_32_bits
    def reset_env(self, key: jax.Array, params: TrialParams) -> tuple[jax.Array, TrialState]:
        key = keys.fixed(key)
        key_trial, key_episode = jax.random.split(key)
        return self._begin(key_episode, self._draw(key_trial, params), self._unseen, params)

    @in_32_bits
    def step_env(
        self, key: jax.Array, state: TrialState, action: jax.Array, params: TrialParams
    ) -> tuple[jax.Array, TrialState, jax.Array, jax.Array, dict[str, Any]]:
        """One step without the trial's end: after its last episode comes another."""
        endless = jnp.full_like(params.episodes_per_trial, np.iinfo(np.int32).max)
        params = params.replace(episodes_per_trial=endless)
        obs, state, reward, terminated, _, info = self._step(
            self.code, keys.fixed(key), state, action, params
        )
        return obs, state, reward, terminated, info

    def _draw(self, key, params) -> tuple[jax.Array, Projection, Dynamics]:
        """What is constant in a trial: its task, projection and dynamics."""
        key_task, key_projection, key_dynamics = jax.random.split(key, 3)
        # Inversion of the cumulative weights: one random number for any number of tasks.
        cumulative = jnp.cumsum(params.task_weights)
        threshold = jax.random.uniform(key_task) * cumulative[-1]
        task_id = jnp.sum(cumulative <= threshold, dtype=jnp.int32)
        projection = self.family.sample(key_projection, *self.tasks.sizes(task_id))
        return task_id, projection, params.dynamics.sample(key_dynamics)

    def _begin(self, key, drawn, seen, params) -> tuple[jax.Array, TrialState]:
        """Observation and state at the start of a trial with these draws."""
        task_id, projection, dynamics = drawn
        x, task_state = self.tasks.begin_episode(key, task_id, dynamics, params.task_params)
        zero, nothing = jnp.zeros((), jnp.int32), jnp.zeros((), jnp.float32)
        state = TrialState(
            task_id=task_id,
            projection=projection,
            dynamics=dynamics,
            task_state=task_state,
            episode_index=zero,
            episode_length=zero,
            episode_return=nothing,
            trial_return=nothing,
            time=zero,
        )
        return self._observation(projection, x, seen, params), state

    def _advance(self, key, state, action, params):
        """The task's step and the trial's counters; whatever ends, nothing starts.

        Returns the task's observation `[max_obs]`, the state, the reward and `info`.
        """
        u = jnp.clip(state.projection.action @ action, -1.0, 1.0)
        x, task_state, task_reward, terminated, over = self.tasks.step(
            key, state.task_id, state.dynamics, state.task_state, u, params.task_params
        )
        reward = task_reward * params.reward_scale[state.task_id]
        episode_return = state.episode_return + task_reward
        episode_length = state.episode_length + 1
        trial_return = state.trial_return + reward
        info = {
            "task_id": state.task_id,
            "episode_index": state.episode_index,
            "episode_over": over,
            "episode_terminated": terminated,
            "episode_return": episode_return,
            "episode_length": episode_length,
            "trial_return": trial_return,
            "task_reward": task_reward,
        }
        state = state.replace(
            task_state=task_state,
            episode_index=state.episode_index + over,
            episode_length=jnp.where(over, 0, episode_length),
            episode_return=jnp.where(over, 0.0, episode_return),
            trial_return=trial_return,
            time=state.time + 1,
        )
        return x, state, reward, info

    def _start_next(self, now: _Now, key, seen, over, truncated, params) -> _Now:
        """What follows: the next episode of the trial or, if truncated, a new trial.

        An episode that is not `over` would have gone on itself, had the trial.
        """
        state = now.state
        same = (state.task_id, state.projection, state.dynamics)
        drawn = dispatch.only_where(
            truncated, self._draw, same, jax.random.fold_in(key, TRIAL), params
        )
        # Two starts side by side, so that they are one program: of the same trial, and of
        # the one drawn.
        obs, states = jax.vmap(self._begin, (0, 0, 0, None))(
            jax.random.split(jax.random.fold_in(key, EPISODE)),
            jax.tree.map(lambda *trials: jnp.stack(trials), same, drawn),
            jnp.stack([seen, self._unseen]),
            params,
        )
        goes_on, starts = (jax.tree.map(lambda x, i=i: x[i], states) for i in (0, 1))
        goes_on = state.replace(task_state=goes_on.task_state)
        next_obs, state = jax.tree.map(
            lambda new, old: jnp.where(truncated, new, old), (obs[1], starts), (obs[0], goes_on)
        )
        final = jnp.where(over, obs[0], now.final_observation)
        return _Now(final, next_obs, state)

    @property
    def _unseen(self) -> jax.Array:
        """What an agent is told of the step before a trial's first: zeros."""
        nothing = jnp.zeros((), jnp.float32)
        return self._seen(jnp.zeros(self.action_size, jnp.float32), nothing, nothing)

    def _seen(self, action, reward, over) -> jax.Array:
        """The parts of the observation that tell of the previous step."""
        parts = {"action": action, "reward": reward[None], "done": over[None]}
        chosen = [parts[part].astype(jnp.float32) for part in self.observe]
        return jnp.concatenate([jnp.zeros(0), *chosen])

    def _observation(self, projection, x, seen, params) -> jax.Array:
        projected = params.projection_scale * (projection.observation @ x)
        return jnp.concatenate([projected, seen])

    def task_state(self, state: TrialState) -> Any:
        """The bare task's state inside a trial's state (unbatched, concrete `task_id`)."""
        return self.tasks.unpack(int(state.task_id), state.task_state)
