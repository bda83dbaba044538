"""Policies that are not JAX's: the same trials, the same numbers, and clear refusals."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest

import metaenvs
from metaenvs import evaluation

SUITE = "TwoTasks-v0"
if SUITE not in metaenvs.registered_envs:
    metaenvs.register(
        SUITE,
        partial(
            metaenvs.RandomProjection,
            ("reacher_easy", "pendulum_swingup"),
            action_repeat=4,
            episodes_per_trial=2,
            splits={"train": ("reacher_easy",), "held_out": ("pendulum_swingup",)},
        ),
    )
SHORT = evaluation.Protocol(
    "test",
    (
        evaluation.Condition(
            "fresh",
            controls=(
                evaluation.RANDOM,
                evaluation.WIPED_EVERY_STEP,
                evaluation.WIPED_EVERY_EPISODE,
                evaluation.REDRAWN_EVERY_EPISODE,
            ),
        ),
    ),
    trials_per_task=3,
    episodes=2,
)


class Integrator:
    """Acts by a fading memory of what it saw; `xp` is the library that it is written in."""

    def __init__(self, xp):
        self.xp = xp

    def init_carry(self, n):
        return self.xp.zeros((n, 2), self.xp.float32)

    def act(self, carry, obs, reset, _):
        carry = self.xp.where(reset[:, None], 0.0, carry)
        carry = self.xp.float32(0.5) * carry + obs[:, :2]
        return carry, self.xp.clip(carry, -1.0, 1.0)


def returns(result):
    return {
        (entry["cell"], entry["policy"], task): np.array(values["returns"])
        for entry in result["cells"]
        for task, values in entry["tasks"].items()
    }


@pytest.fixture(
    scope="module",
    params=[SUITE, pytest.param("RandomProjection-Lite-v0", marks=pytest.mark.slow)],
)
def on_host(request):
    return evaluation.evaluate(Integrator(np), request.param, SHORT, backend="host")


def test_a_policy_written_both_ways_gets_the_same_numbers(on_host):
    compiled = returns(evaluation.evaluate(Integrator(jnp), on_host["suite"], SHORT))
    stepped = returns(on_host)
    assert stepped.keys() == compiled.keys()
    for where, values in compiled.items():
        np.testing.assert_allclose(stepped[where], values, atol=1e-4, err_msg=str(where))
    wiped = compiled["train/fresh", "carry wiped every step", "reacher_easy"]
    assert abs(wiped - compiled["train/fresh", "agent", "reacher_easy"]).max() > 1.0


def test_the_file_is_valid_and_says_how_the_policy_acted(on_host, tmp_path):
    evaluation.save(on_host, tmp_path / "evaluation.json")
    loaded = evaluation.load(tmp_path / "evaluation.json")
    assert loaded["agent"] == {"name": "Integrator"}
    assert loaded["versions"]["policy"] == "host"


class Wrong(Integrator):
    def __init__(self, action):
        self.action = action

    def init_carry(self, n):
        return None

    def act(self, carry, obs, reset, rng):
        return carry, np.tile(self.action, (len(obs), 1))


@pytest.mark.parametrize(
    ("action", "message"),
    [([0.1], r"shape \(3, 1\), not \(3, 2\)"), ([0.1, np.nan], r"row 0 is \[0.1.*, nan\]")],
)
def test_wrong_actions_are_refused(action, message):
    env, _ = metaenvs.make(SUITE)
    with pytest.raises(ValueError, match=message):
        evaluation.run_trials_on_host(
            Wrong(action), env, ["reacher_easy"], trials_per_task=3, seed=0
        )


class Numpy(Integrator):
    def act(self, carry, obs, reset, rng):
        return carry, rng.normal(size=(len(obs), 2)) + np.sin(obs[:, :2])


class Converting(Integrator):
    def act(self, carry, obs, reset, rng):
        return carry, np.tanh(np.asarray(obs)[:, :2])


class Branching(Integrator):
    def act(self, carry, obs, reset, rng):
        return carry, obs[:, :2] if obs[0, 0] > 0 else -obs[:, :2]


@pytest.mark.parametrize("policy", [Numpy(np), Converting(np), Branching(np)])
def test_without_jax_the_message_names_the_backend_to_ask_for(policy):
    with pytest.raises(TypeError, match=f'{type(policy).__name__}.*backend="host"'):
        evaluation.evaluate(policy, SUITE, SHORT)


def test_an_unknown_backend_is_refused():
    with pytest.raises(ValueError, match=r"'hots'.*Choices: jax, host"):
        evaluation.evaluate(Integrator(np), SUITE, SHORT, backend="hots")
