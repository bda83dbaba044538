"""The protocol: whole trials, frozen seeds, controls that do what they say."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import metaenvs
from metaenvs import evaluation
from metaenvs.evaluation import Cell, Protocol, RandomPolicy, Wiping
from metaenvs.rendering import adaptation
from metaenvs.statistics import mean_interval


@dataclasses.dataclass(frozen=True)
class Clock:
    """A third party's policy: acts by how many steps its memory holds."""

    period: float = 50.0

    def init_carry(self, n):
        return jnp.zeros(n)

    def act(self, carry, obs, reset, key):
        carry = jnp.where(reset, 0.0, carry) + 1.0
        return carry, jnp.stack([jnp.sin(carry / self.period)] * 2, axis=-1)


@pytest.fixture(scope="module")
def env():
    made, _ = metaenvs.make("RandomProjection-Lite-v0", episodes_per_trial=2)
    return made


def run(policy, env, tasks=("reacher_easy", "pendulum_swingup"), trials=3, **kwargs):
    return evaluation.run_trials(policy, env, tasks, trials_per_task=trials, seed=1, **kwargs)


def test_trials_are_whole_and_of_the_task_asked_for(env):
    trials = run(RandomPolicy(2), env)
    assert trials.rewards.shape == (2, 3, 500)
    assert (trials.episode == np.repeat([0, 1], 250)).all()
    by_episode = trials.returns_by_episode(2)
    np.testing.assert_allclose(by_episode.sum(-1), trials.rewards.sum(-1), rtol=1e-5)
    np.testing.assert_allclose(trials.curve(10).mean(-1), trials.rewards.mean(-1), rtol=1e-5)
    assert by_episode[0].mean() > by_episode[1].mean()  # reacher pays by chance, pendulum not


def test_a_trial_does_not_depend_on_the_others(env):
    together = run(Clock(), env)
    alone = run(Clock(), env, tasks=("pendulum_swingup",))
    np.testing.assert_allclose(alone.rewards[0], together.rewards[1], atol=1e-5)
    more = run(Clock(), env, trials=5)
    np.testing.assert_allclose(more.rewards[:, :3], together.rewards, atol=1e-5)


def test_evaluations_repeat_to_the_bit(env):
    np.testing.assert_array_equal(run(Clock(), env).rewards, run(Clock(), env).rewards)


class Recorder:
    """Pays no attention to the task; its action shows what its memory holds."""

    def init_carry(self, n):
        return jnp.zeros(n)

    def act(self, carry, obs, reset, key):
        carry = jnp.where(reset, 0.0, carry) + 1.0
        jax.debug.callback(self.note, carry[0])
        return carry, jnp.zeros((obs.shape[0], 2))

    def __init__(self):
        self.seen = []

    def note(self, carry):
        self.seen.append(int(carry))


@pytest.mark.parametrize(
    ("wiping", "longest"),
    [
        (evaluation.AGENT, 500),
        (evaluation.WIPED_EVERY_EPISODE, 250),
        (evaluation.WIPED_EVERY_STEP, 1),
    ],
)
def test_controls_wipe_when_they_say(env, wiping: Wiping, longest):
    policy = Recorder()
    run(policy, env, tasks=("pendulum_swingup",), trials=1, wiping=wiping)
    jax.effects_barrier()
    assert sorted(policy.seen) == sorted(list(range(1, longest + 1)) * (500 // longest))


SMALL = Protocol(
    id="test",
    cells=(
        Cell("train", "orthogonal", (evaluation.WIPED_EVERY_STEP,)),
        Cell("held_out", "orthogonal"),
    ),
    trials_per_task=2,
    episodes_per_trial=2,
    bins=5,
)


def test_evaluate_writes_what_the_picture_and_others_read(tmp_path):
    result = evaluation.evaluate(
        Clock(), "RandomProjection-Lite-v0", SMALL, trained_episodes=1, agent={"name": "clock"}
    )
    path = tmp_path / "evaluation.json"
    evaluation.save(result, path)
    assert evaluation.load(path) == json.loads(json.dumps(result))
    assert [(c["cell"], c["policy"]) for c in result["cells"]] == [
        ("train/orthogonal", "random"),
        ("held_out/orthogonal", "random"),
        ("train/orthogonal", "agent"),
        ("held_out/orthogonal", "agent"),
        ("train/orthogonal", "carry wiped every step"),
    ]
    agent = evaluation.find(result, "held_out/orthogonal", "agent")
    tasks = agent["tasks"].values()
    means = [task["return"]["mean"] for task in tasks]
    assert agent["mean_over_tasks"]["return"]["mean"] == pytest.approx(np.mean(means))
    for task in tasks:
        assert task["return"] == task["return_by_episode"][0]  # trained on one episode
        assert len(task["curve"]) == 5
    adaptation.save(result, tmp_path / "adaptation.png")
    assert (tmp_path / "adaptation.png").read_bytes().startswith(b"\x89PNG")


def test_bad_input_is_named(env, tmp_path):
    class ThreeActions(Clock):
        def act(self, carry, obs, reset, key):
            return carry, jnp.zeros((obs.shape[0], 3))

    with pytest.raises(ValueError, match=r"shape \(1, 3\).*takes \(1, 2\)"):
        run(ThreeActions(), env)
    with pytest.raises(ValueError, match=r"unknown task 'hopper'.*pendulum_swingup"):
        run(Clock(), env, tasks=("hopper",))
    with pytest.raises(ValueError, match=r"unknown protocol 'rp-v1'"):
        evaluation.evaluate(Clock(), "RandomProjection-Lite-v0", "rp-v1")
    broken = tmp_path / "evaluation.json"
    broken.write_text('{"schema": 1, "cel')
    with pytest.raises(ValueError, match=r"evaluation.json is not a whole JSON file"):
        evaluation.load(broken)
    broken.write_text('{"schema": 99}')
    with pytest.raises(ValueError, match="not an evaluation of schema 1"):
        evaluation.load(broken)


def test_bootstrap_intervals_cover_the_truth():
    rng = np.random.default_rng(0)
    # Strata of different means and spreads: resampled as one they would seem wider.
    truth, covered, n = np.mean([0.0, 100.0]), 0, 300
    for _ in range(n):
        strata = [rng.normal(0, 1, 40), rng.normal(100, 10, 40)]
        interval = mean_interval(strata, resamples=400)
        covered += interval.low <= truth <= interval.high
    assert stats.binomtest(covered, n, 0.94).pvalue > 0.01


def test_interval_of_constants_is_a_point():
    interval = mean_interval([np.zeros(4), np.ones(4)])
    assert (interval.mean, interval.low, interval.high) == (0.5, 0.5, 0.5)
    with pytest.raises(ValueError, match="two values or more"):
        mean_interval([np.zeros(1)])
