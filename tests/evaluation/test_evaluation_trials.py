"""Trials: whole, frozen, independent of each other, and controls that do what they say."""

import dataclasses
import os
import subprocess
import sys
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

import metaenvs
from metaenvs import evaluation
from metaenvs.evaluation import RandomPolicy
from metaenvs.evaluation import trials as trials_module


class Clock(struct.PyTreeNode):
    """Acts by how many steps its memory holds."""

    period: float = 50.0

    def init_carry(self, n):
        return jnp.zeros(n)

    def act(self, carry, obs, reset, key):
        carry = jnp.where(reset, 0.0, carry) + 1.0
        return carry, jnp.stack([jnp.sin(carry / self.period)] * 2, axis=-1)


TASKS = ("cartpole_balance", "pendulum_swingup")
STEPS = 50  # of an episode


def small(projection="orthogonal"):
    return metaenvs.RandomProjection(
        TASKS, projection=projection, action_repeat=1000 // STEPS, episodes_per_trial=2
    )


@pytest.fixture(scope="module")
def env():
    return small()


def run(policy, env, tasks=TASKS, trials=3, **kwargs):
    return evaluation.run_trials(policy, env, tasks, trials_per_task=trials, seed=1, **kwargs)


def test_trials_are_whole_and_of_the_task_asked_for(env):
    trials = run(Clock(), env)
    assert trials.rewards.shape == (2, 3, 2 * STEPS)
    assert (trials.episode == np.repeat([0, 1], STEPS)).all()
    by_episode = trials.returns_by_episode(2)
    np.testing.assert_allclose(by_episode.sum(-1), trials.rewards.sum(-1), rtol=1e-5)
    np.testing.assert_allclose(trials.curve(10).mean(-1), trials.rewards.mean(-1), rtol=1e-5)
    assert by_episode[0].min() > 100 > by_episode[1].max()  # cartpole always pays, pendulum not


def test_a_trial_is_the_environment_stepped_in_a_loop():
    # Few control steps, in which the rounding of two programs does not grow.
    env = metaenvs.RandomProjection(TASKS, action_repeat=2, episodes_per_trial=2)
    params = env.params_for(tasks=["cartpole_balance"])
    short = [
        x.replace(max_steps_in_episode=jnp.full_like(x.max_steps_in_episode, 2 * STEPS))
        for x in params.task_params
    ]
    params = params.replace(task_params=tuple(short))
    rewards = run(Clock(), env, params=params).rewards[0, 1]
    block = trials_module.Run(env, "cartpole_balance", params, 1, evaluation.AGENT, 2)
    key_starts, key_steps = jax.random.split(block._trial_keys(0)[1])
    _, state = env.reset(jax.random.fold_in(key_starts, 0), params)
    step = jax.jit(env.step_env)
    for t in range(STEPS + 5):  # into the second episode
        key = jax.random.split(jax.random.fold_in(key_steps, t), 3)[2]
        action = jnp.full(2, jnp.sin((t + 1) / 50.0))
        _, state, reward, _, info = step(key, state, action, params)
        assert reward == pytest.approx(rewards[t], abs=1e-4)
    assert info["episode_index"] == 1


def test_bits_do_not_depend_on_what_else_is_run(env):
    together = run(Clock(), env)
    np.testing.assert_array_equal(run(Clock(), env).rewards, together.rewards)
    alone = run(Clock(), env, tasks=("pendulum_swingup",))
    np.testing.assert_array_equal(alone.rewards[0], together.rewards[1])
    more = run(Clock(), env, trials=70)  # more than one block
    assert more.rewards.shape == (2, 70, 2 * STEPS)
    np.testing.assert_array_equal(more.rewards[:, :3], together.rewards)
    assert len(np.unique(more.rewards[0].sum(-1))) == 70  # every trial is another


_ON_DEVICES = """
import sys
import jax, numpy as np
sys.path.insert(0, {here!r})
from test_evaluation_trials import Clock, run, small
assert len(jax.devices()) == {n}
np.save({out!r}, run(Clock(), small(), trials=130).rewards)
"""


def test_bits_do_not_depend_on_the_number_of_devices(env, tmp_path):
    out = str(tmp_path / "rewards.npy")
    code = _ON_DEVICES.format(here=os.path.dirname(__file__), n=2, out=out)
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=2"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"XLA_FLAGS": flags})
    np.testing.assert_array_equal(np.load(out), run(Clock(), env, trials=130).rewards)


@dataclasses.dataclass(frozen=True)
class Recorder:
    """Notes the length of its memory, an identity that it draws where it is empty, and `obs`.

    What it notes is its class's, so that all calls share a program.
    """

    seen: ClassVar[list] = []

    def init_carry(self, n):
        return jnp.zeros(n), jnp.zeros(n)

    def act(self, carry, obs, reset, key):
        length, identity = carry
        identity = jnp.where(reset, jax.random.uniform(key, reset.shape), identity)
        length = jnp.where(reset, 0.0, length) + 1.0
        jax.debug.callback(self._note, length[0], identity[0], obs[0])
        return (length, identity), jnp.full((obs.shape[0], 2), 0.3)

    def _note(self, length, identity, obs):
        self.seen.append((int(length), float(identity), np.asarray(obs)))

    def record(self, env, **kwargs):
        self.seen.clear()
        out = run(self, env, tasks=("pendulum_swingup",), trials=1, **kwargs)
        jax.effects_barrier()
        # Steps beyond the trial's end fill the last chunk.
        return out, [x for x in self.seen if x[0] <= out.rewards.shape[-1]]


@pytest.mark.parametrize(
    ("control", "longest"),
    [
        (evaluation.AGENT, 2 * STEPS),
        (evaluation.REDRAWN_EVERY_EPISODE, 2 * STEPS),
        (evaluation.WIPED_EVERY_EPISODE, STEPS),
        (evaluation.WIPED_EVERY_STEP, 1),
    ],
)
def test_controls_wipe_when_they_say(env, control, longest):
    _, seen = Recorder().record(env, control=control)
    lengths = {length for length, _, _ in seen}
    assert lengths == set(range(1, longest + 1))
    flagged = {length for length, _, obs in seen if obs[-1]}
    # An episode's end shows whatever the control: at step STEPS, in terms of the memory.
    assert flagged == {STEPS % longest + 1}


@pytest.mark.parametrize(
    ("control", "rank"), [(evaluation.AGENT, 3), (evaluation.REDRAWN_EVERY_EPISODE, 6)]
)
def test_redrawing_draws_another_projection(env, control, rank):
    """A pendulum's observations span 3 dimensions behind one projection, 6 behind two."""
    _, seen = Recorder().record(env, control=control)
    trials = {}
    for _, identity, obs in seen:
        trials.setdefault(identity, []).append(obs[:12])
    ranks = [np.linalg.matrix_rank(np.stack(x), tol=1e-3) for x in trials.values()]
    assert len(ranks) == trials_module.ROWS and set(ranks) == {rank}


def test_redrawing_leaves_the_first_episode_alone(env):
    agent = run(Clock(), env, trials=64).rewards[0]
    redrawn = run(Clock(), env, trials=64, control=evaluation.REDRAWN_EVERY_EPISODE).rewards[0]
    np.testing.assert_array_equal(agent[:, :STEPS], redrawn[:, :STEPS])
    assert (agent[:, STEPS:] != redrawn[:, STEPS:]).any(-1).all()


def test_random_is_random_whatever_the_policy(env):
    one = run(Clock(), env, trials=64, control=evaluation.RANDOM).rewards
    other = run(Clock(7.0), env, trials=64, control=evaluation.RANDOM).rewards
    np.testing.assert_array_equal(one, other)
    uniform = run(RandomPolicy(2), env, trials=64).rewards
    assert uniform.mean() == pytest.approx(one.mean(), rel=0.1)


def test_params_reach_the_trials(env):
    _, seen = Recorder().record(env, params=env.params_for(projection_scale=2.0))
    _, plain = Recorder().record(env)
    norms = [np.median([np.linalg.norm(obs[:12]) for _, _, obs in x]) for x in (seen, plain)]
    assert norms[0] == pytest.approx(2 * norms[1], rel=0.2)


def test_families_share_the_program_of_the_steps(env):
    before = trials_module._chunk._cache_size()
    run(Clock(), env)
    run(Clock(), small("gaussian"))
    run(Clock(3.0), small("identity"))
    assert trials_module._chunk._cache_size() <= before + 1


def test_steps_are_reported(env):
    done = []
    run(Clock(), env, progress=done.append)
    assert sum(done) == 2 * 2 * STEPS * 3


def test_bad_input_is_named(env):
    class ThreeActions(Clock):
        def act(self, carry, obs, reset, key):
            return carry, jnp.zeros((obs.shape[0], 3))

    with pytest.raises(ValueError, match=r"shape \(1, 3\).*takes \(1, 2\)"):
        run(ThreeActions(), env)
    with pytest.raises(ValueError, match=r"unknown task 'hopper'.*pendulum_swingup"):
        run(Clock(), env, tasks=("hopper",))
    with pytest.raises(ValueError, match="trials_per_task must be at least 1, got 0"):
        run(Clock(), env, trials=0)
