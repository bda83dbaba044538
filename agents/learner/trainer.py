"""Recurrent PPO over whole trials: rollout, update, and the loop's state as one pytree."""

import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from agents.config import TrainConfig
from agents.learner import environments, guidance, networks, optimiser, parallel, ppo, privileged
from agents.learner.correlations import Layout
from agents.learner.moments import RewardScale, TaskScale
from agents.learner.rollout import Loop, collect, cut, join
from metaenvs import RandomProjection, keys
from metaenvs.trial import OBSERVE


class TrainState(struct.PyTreeNode):
    """All that training depends on; saved and restored, it continues to the same bits.

    Attributes:
        params, opt_state: of the network.
        env_state, obs: of all environments, `[B, ...]`.
        reset: `[B]` whether the memory is to be emptied before `obs` is read.
        carry: memories, `[B, ...]`.
        reward_scale: of rewards, if they are normalised; else None.
        value_scale: of values, if they are learned in each task's own units; else None.
        rate: factor on the learning rate, if the updates' KL decides it; else None.
        key: data of the seed's key.
        update: updates done. The randomness of an update is drawn from the key and
            this number.
    """

    params: Any
    opt_state: Any
    env_state: Any
    obs: jax.Array
    reset: jax.Array
    carry: Any
    reward_scale: RewardScale | None
    value_scale: TaskScale | None
    rate: jax.Array | None
    key: jax.Array
    update: jax.Array

    def agent(self) -> dict[str, Any]:
        """What a policy acts by. Restored alone, whatever else the state holds."""
        return {"params": self.params}


class Trainer:
    """The programs of a training run, by default on one device. Holds no state that changes.

    Raises:
        ValueError: if the settings do not fit together or the devices.
    """

    def __init__(
        self,
        config: TrainConfig,
        devices: Sequence[Any] | None = None,
        experts: Mapping[str, Any] | None = None,
    ):
        self.config = config
        self._experts = experts or {}
        devices = jax.local_devices()[:1] if devices is None else devices
        share = len(devices) * config.ppo.minibatches
        if config.envs % share:
            raise ValueError(
                f"envs={config.envs} must be a multiple of {share}: {len(devices)} device(s) x "
                f"ppo.minibatches={config.ppo.minibatches}"
            )
        self.mesh = parallel.mesh(devices)
        self.env, self.env_params = environments.make(config)
        self._privileged = self._shown()
        learned_from = config.ppo.privileged_critic or config.ppo.reconstruction_coef
        self.network = networks.make(
            config.model,
            self.env.action_space(self.env_params),
            self.env.observation_space(self.env_params).shape[0],
            privileged.size(self.env) if learned_from else 0,
            config.ppo.privileged_critic,
            self._layout(),
        )
        self.episodes_per_trial = int(getattr(self.env_params, "episodes_per_trial", 1))
        self.rollout_length = rollout_length(config, self.env.trial_length(self.env_params))
        self.segment = segment_length(config, self.rollout_length)
        self.steps_per_update = self.rollout_length * config.envs * config.hold
        self.updates = -(-config.steps // self.steps_per_update)
        self.gradient_steps = config.ppo.epochs * config.ppo.minibatches
        """Gradient steps that one update makes."""
        self.learning_rate = optimiser.schedule(config.ppo, self.updates * self.gradient_steps)
        self.optimiser = optimiser.make(config.ppo, self.learning_rate)

    def state_shapes(self) -> TrainState:
        """Shapes and places of a state's arrays, as a checkpoint is restored to them."""
        shapes = jax.eval_shape(self.init)
        return jax.tree.map(
            lambda x, place: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place),
            shapes,
            self.places(shapes),
        )

    def places(self, state: TrainState) -> TrainState:
        """Where each array of a state belongs: split by environment, or whole everywhere."""
        split, same = parallel.split(self.mesh), parallel.same(self.mesh)
        by_environment = {"env_state", "obs", "reset", "carry"}
        return TrainState(
            **{
                name: jax.tree.map(lambda _, s=split if name in by_environment else same: s, part)
                for name, part in vars(state).items()
            }
        )

    def started(self, state: TrainState, agent: dict[str, Any], config: TrainConfig) -> TrainState:
        """A state before the first update, with what an agent acts by, which was trained by
        `config`, in place of its own."""
        if state.value_scale is not None and not config.ppo.scale_values:
            state = state.replace(value_scale=TaskScale.of_tasks(self._tasks, learned=True))
        return state.replace(**agent)

    def init(self) -> TrainState:
        """The state before the first update."""
        return self.init_from(keys.key(self.config.seed))

    @partial(jax.jit, static_argnums=0)
    def init_from(self, key: jax.Array) -> TrainState:
        """The state before the first update of a run whose seed has this key."""
        key_params, key_env = jax.random.split(key)
        envs = self.config.envs
        reset_env = parallel.by_rows(
            lambda keys: jax.vmap(self.env.reset, (0, None))(keys, self.env_params), self.mesh, (0,)
        )
        obs, env_state = reset_env(jax.random.split(key_env, envs))
        carry = self.network.init_carry(envs)
        reset = jnp.ones(envs, bool)
        variables = self.network.init(key_params, carry, obs[None], reset[None])
        state = TrainState(
            params=variables,
            opt_state=self.optimiser.init(variables),
            env_state=env_state,
            obs=obs,
            reset=reset,
            carry=carry,
            reward_scale=RewardScale.of_envs(envs) if self.config.ppo.normalise_rewards else None,
            value_scale=TaskScale.of_tasks(self._tasks) if self.config.ppo.scale_values else None,
            rate=None if self.config.ppo.target_kl is None else jnp.ones(()),
            key=jax.random.key_data(key),
            update=jnp.zeros((), jnp.int32),
        )
        return jax.lax.with_sharding_constraint(state, self.places(state))

    @partial(jax.jit, static_argnums=0, donate_argnums=1)
    def update(self, state: TrainState) -> tuple[TrainState, dict[str, jax.Array]]:
        """One rollout and the epochs over it. Returns the new state and what to log."""
        key = jax.random.fold_in(keys.wrap(state.key), state.update + 1)
        key_rollout, key_epochs = jax.random.split(key)
        state, carries, rollout, episodes = self._rollout(state, key_rollout)
        if self.config.ppo.stop_at_termination:
            rollout = ppo.stop_at(rollout, episodes["episode_terminated"])
        last_value = self._value(state)
        advantage, target = ppo.gae(
            rollout, last_value, self.config.ppo.gamma, self.config.ppo.gae_lambda
        )
        advantage = ppo.normalise(advantage, episodes["task_id"], self._tasks)
        residual = jnp.var(target - rollout.value) / (jnp.var(target) + 1e-8)
        value_scale = state.value_scale
        if value_scale is not None:
            value_scale = value_scale.updated(target, episodes["task_id"])
            target = value_scale.from_rewards(target, episodes["task_id"])
        if self.config.ppo.guidance_coef:
            guided = guidance.of_experts(self.env, self._experts, rollout.privileged)
            rollout = rollout.replace(guided=guided)
        sequences = cut((rollout, advantage, target), self.segment), join(carries)
        params, opt_state, metrics = self._epochs(state, sequences, key_epochs)
        rate = optimiser.adapted(state.rate, metrics["approx_kl"], self.config.ppo.target_kl)
        metrics["explained_variance"] = 1.0 - residual
        metrics["param_norm"] = optax.tree.norm(params["params"])
        metrics |= self._returns(episodes)
        metrics["learning_rate"] = self.learning_rate(state.update * self.gradient_steps)
        if state.rate is not None:
            metrics["learning_rate"] *= state.rate
        # Only now: the gradients are those of the policy that acted.
        params = networks.seen(params, rollout.obs, rollout.privileged)
        state = state.replace(
            params=params,
            opt_state=opt_state,
            value_scale=value_scale,
            rate=rate,
            update=state.update + 1,
        )
        state = jax.lax.with_sharding_constraint(state, self.places(state))
        return state, jax.lax.with_sharding_constraint(metrics, parallel.same(self.mesh))

    def check_experts(self) -> None:
        """Refuse to be guided on tasks that no expert was given for.

        Raises:
            ValueError: naming them.
        """
        missing = [task for task in self.trained_tasks if task not in self._experts]
        if self.config.ppo.guidance_coef and missing:
            raise ValueError(
                f"ppo.guidance_coef={self.config.ppo.guidance_coef} needs an expert of every "
                f"training task; there is none of {', '.join(missing)} for "
                f"observations of {self.env.obs_size} and actions of {self.env.action_size} numbers"
            )

    def _guidance(self, update: jax.Array) -> jax.Array:
        """Weight of the guidance in an update."""
        config = self.config.ppo
        gone = update / (config.guidance_until * self.updates)
        return config.guidance_coef * jnp.maximum(1.0 - gone, 0.0)

    @property
    def _tasks(self) -> int:
        return len(self.env.task_names)

    @property
    def trained_tasks(self) -> tuple[str, ...]:
        """The tasks that trials draw from."""
        weights = getattr(self.env_params, "task_weights", np.ones(1))
        return tuple(n for n, w in zip(self.env.task_names, weights, strict=True) if w > 0)

    def _shown(self):
        """What only training gets to see, `(env_state, obs, first) -> [B, P]`: for a critic, a
        reconstruction and guidance."""
        config = self.config.ppo
        if not (config.privileged_critic or config.reconstruction_coef or config.guidance_coef):
            return None
        if not isinstance(self.env, RandomProjection):
            raise ValueError(
                "ppo.privileged_critic, ppo.reconstruction_coef and ppo.guidance_coef need trials "
                f"of RandomProjection, {self.config.env} has none"
            )

        def shown(env_state, obs, first):
            time = jnp.where(first, 0, env_state.episode_length)
            of_trial = partial(privileged.of_trial, self.env)
            return jax.vmap(of_trial)(env_state, obs, time)

        return shown

    def _layout(self) -> Layout | None:
        env, model = self.env, self.config.model
        parts = ("correlations", "identification", "local_model")
        for needed, part in itertools.pairwise(parts):
            if getattr(model, part) and not getattr(model, needed):
                raise ValueError(f"model.{part} goes with model.{needed}, which is off")
        if not model.correlations:
            return None
        if not isinstance(env, RandomProjection) or env.observe != OBSERVE:
            raise ValueError(
                f"model.correlations needs RandomProjection with observe={OBSERVE}, got "
                f"{self.config.env} with observe={self.config.observe}"
            )
        return Layout(env.obs_size, env.action_size, model.identification, model.local_model)

    def _value(self, state: TrainState):
        constants = self.network.apply(state.params, method="step_constants")
        shown = self._privileged and self._privileged(state.env_state, state.obs, False)
        value = self._act(state.params, constants, state.carry, state.obs, state.reset, shown)[2]
        if state.value_scale is None:
            return value
        task_id = jnp.zeros(value.shape, jnp.int32)
        if self._tasks > 1:
            task_id = state.env_state.task_id
        return state.value_scale.to_rewards(value, task_id)

    def _act(self, params, constants, carry, obs, reset, shown):
        out: Any = self.network.apply(params, constants, carry, obs, reset, shown, method="step")
        return out  # carry, policy, value

    def _rollout(self, state: TrainState, key: jax.Array):
        constants = self.network.apply(state.params, method="step_constants")

        def act(carry, obs, reset, shown):
            return self._act(state.params, constants, carry, obs, reset, shown)

        def step_env(keys, env_state, action):
            step = jax.vmap(self.env.step, (0, 0, 0, None))
            return step(keys, env_state, action, self.env_params)

        step_env = parallel.by_rows(step_env, self.mesh, (0, 0, 0))

        loop = Loop(state.env_state, state.obs, state.reset, state.carry)
        loop, carries, rollout, episodes = collect(
            act, step_env, loop, key, self.rollout_length, self.segment, self._privileged
        )
        state = state.replace(**loop._asdict())
        if state.value_scale is not None:
            to_rewards = partial(state.value_scale.to_rewards, task_id=episodes["task_id"])
            rollout = rollout.replace(
                value=to_rewards(rollout.value),
                final_value=jnp.where(rollout.truncated, to_rewards(rollout.final_value), 0.0),
            )
        state, reward = self._scaled(state, rollout)
        return state, carries, rollout.replace(reward=reward), episodes

    def _scaled(self, state: TrainState, rollout: ppo.Rollout) -> tuple[TrainState, jax.Array]:
        """Rewards as the agent learns from them, and the state that has seen them."""
        config, reward = self.config.ppo, rollout.reward
        if state.reward_scale is not None:
            ended = rollout.terminated | rollout.truncated
            scale = state.reward_scale.updated(reward, ended, config.gamma)
            state, reward = state.replace(reward_scale=scale), scale.apply(reward)
        return state, reward * config.reward_scale

    def _returns(self, episodes: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """Sum and number `[n_tasks, episodes_per_trial]` of the returns of ended episodes."""
        over = episodes["episode_over"]
        shape = (self._tasks, self.episodes_per_trial)
        where = (episodes["task_id"], episodes["episode_index"])
        zeros = jnp.zeros(shape)
        return {
            "return_sum": zeros.at[where].add(jnp.where(over, episodes["episode_return"], 0.0)),
            "return_count": zeros.at[where].add(over.astype(jnp.float32)),
        }

    def _epochs(self, state: TrainState, sequences: Any, key: jax.Array):
        config = self.config.ppo
        batch, carries = sequences
        acted = batch[0]
        _, sensed = self.network.apply(
            state.params, carries, acted.obs, acted.reset, method="sense"
        )
        batch = (*batch, sensed)

        def loss(params, carry, rollout, advantage, target, sensed):
            inputs = (carry, rollout.obs, rollout.reset, rollout.privileged, sensed)
            answer: Any = self.network.apply(params, *inputs, method="replay")
            total, metrics = ppo.loss(
                answer.policy, answer.value, rollout, advantage, target, config
            )
            if config.reconstruction_coef:
                error = jnp.mean((answer.reconstruction - answer.target) ** 2)
                total += config.reconstruction_coef * error
                metrics |= {"loss": total, "reconstruction_error": error}
            if config.guidance_coef:
                error = jnp.mean((answer.policy.mode() - rollout.guided) ** 2)
                total += self._guidance(state.update) * error
                metrics |= {"loss": total, "guidance_error": error}
            return total, metrics

        def take(tree, chosen, axis):
            rows = partial(ppo.minibatch, axis=axis)
            return parallel.by_rows(rows, self.mesh, (axis, 0), axis)(tree, chosen)

        def gradient_step(learner, chosen):
            params, opt_state = learner
            grads, metrics = jax.grad(loss, has_aux=True)(
                params, take(carries, chosen, 0), *take(batch, chosen, 1)
            )
            metrics["grad_norm"] = optax.tree.norm(grads)
            updates, opt_state = self.optimiser.update(grads, opt_state, params)
            if state.rate is not None:
                updates = optax.tree.scale(state.rate, updates)
            return (optax.apply_updates(params, updates), opt_state), metrics

        def epoch(learner, key):
            chosen = ppo.minibatches(key, batch[1].shape[1], config.minibatches)
            return jax.lax.scan(gradient_step, learner, chosen)

        learner = (state.params, state.opt_state)
        learner, metrics = jax.lax.scan(epoch, learner, jax.random.split(key, config.epochs))
        return *learner, jax.tree.map(jnp.mean, metrics)


def rollout_length(config: TrainConfig, trial_length: int | None) -> int:
    """Steps of a rollout, `trial_length` being the most of a trial, if it is known.

    Raises:
        ValueError: if neither it nor the settings say.
    """
    if config.rollout_steps is not None:
        return config.rollout_steps
    if trial_length is None:
        raise ValueError(f"trials of {config.env} have no fixed length: give rollout_steps")
    return config.trials_per_rollout * trial_length


def segment_length(config: TrainConfig, rollout_length: int) -> int:
    """Steps through which gradients flow.

    Raises:
        ValueError: if rollouts cannot be cut into segments of so many.
    """
    segment = rollout_length if config.ppo.bptt is None else config.ppo.bptt
    if segment < 1 or rollout_length % segment:
        raise ValueError(f"ppo.bptt={segment} must divide the rollout's {rollout_length} steps")
    return segment
