"""The protocol against policies whose score is known: where 0 and 1 lie, and what is between.

The anchors are those of the package, unless a test says so.
"""

import itertools
import json

import jax.numpy as jnp
import numpy as np
import pytest
from adapting import Adaptive
from flax import struct
from oracles import Oracle, Told

import metaenvs
from agents import anchors as anchors_command
from agents.config import ModelConfig
from agents.runs import evaluate as agents_evaluate
from agents.runs.run_folder import RunFolder
from metaenvs import evaluation
from metaenvs.evaluation import PROTOCOLS, Condition, Protocol
from metaenvs.evaluation import reference_scores as anchors
from metaenvs.suites import Suite

TRAIN, HELD_OUT = "point_mass_easy", "cartpole_balance"
FRESH = PROTOCOLS["rp-v0-eval1"].conditions[0]
IDENTITY = Condition("identity", projection="identity")
SMALL = Protocol("test", (FRESH, IDENTITY), episodes=2, bins=1)


def make_told(projection="orthogonal"):
    """Two tasks of `RandomProjection-Lite-v0` at its action repeat; what is drawn is shown."""
    return Told(
        (TRAIN, HELD_OUT),
        action_repeat=4,
        projection=projection,
        splits={"train": (TRAIN,), "held_out": (HELD_OUT,)},
    )


TOLD = "Told-v0"
if TOLD not in metaenvs.registered_envs:
    metaenvs.register(TOLD, make_told)


def oracle(believes=True):
    gains = np.zeros((2, 2, 5), np.float32)
    gains[0, :, :4] = np.concatenate([40 * np.eye(2), 12 * np.eye(2)], axis=1)  # a damped spring
    gains[1, 0] = -0.3, 0.0, -3.0, -0.5, -0.8  # follow the pole; it comes back
    return Oracle(jnp.asarray(gains), believes, (12, 5, 2, 2))


@pytest.fixture(scope="module")
def of_oracle():
    return evaluation.evaluate(oracle(), TOLD, SMALL)


@pytest.fixture(scope="module")
def of_adaptive():
    return evaluation.evaluate(Adaptive(), TOLD, SMALL)


def summary(result, cell, policy="agent"):
    return evaluation.find(result, cell, policy)["mean_over_tasks"]["score"]


def mean(result, cell, policy="agent"):
    return summary(result, cell, policy)["mean"]


CELLS = [f"{split}/{c.name}" for c in SMALL.conditions for split in c.splits]


@pytest.mark.parametrize("cell", CELLS)
def test_an_oracle_told_the_projection_scores_as_the_expert(of_oracle, cell):
    assert mean(of_oracle, cell)["value"] == pytest.approx(1.0, abs=0.03)


def test_the_same_controller_untold_is_lost_behind_projections(of_oracle):
    untold = evaluation.evaluate(oracle(believes=False), TOLD, SMALL)
    for split in ("train", "held_out"):
        assert mean(untold, f"{split}/fresh")["high"] < 0.3
    assert mean(untold, "train/identity")["value"] == pytest.approx(1.0, abs=0.03)


def as_scores(result, task, which):
    """The interval of one of the anchors themselves, `random` or `expert`, as a score."""
    anchor = anchors.find(metaenvs.make(result["suite"])[0])[task]
    interval = getattr(anchor, which)
    return anchor.score(np.array([interval.low, interval.high]))


def agree(score, interval):
    """Whether two intervals overlap: each is 95 % wide about what may be the same number."""
    return score["low"] <= interval[1] and score["high"] >= interval[0]


@pytest.mark.parametrize(("split", "task"), [("train", TRAIN), ("held_out", HELD_OUT)])
def test_a_random_policy_scores_zero(of_oracle, split, task):
    random = mean(of_oracle, f"{split}/fresh", "random")
    assert random["high"] - random["low"] < 0.05
    assert agree(random, as_scores(of_oracle, task, "random"))


def test_only_with_its_memory_does_an_adapting_agent_score(of_adaptive):
    def by_episode(policy):
        return summary(of_adaptive, "train/fresh", policy)["by_episode"]

    agent = by_episode("agent")
    assert agent[0]["low"] > 0.8
    # What it has found out serves it in the second episode, too: if it is forgotten it must
    # be found anew, if it is wrong it must be unlearned.
    ranks = [
        agent[1],
        by_episode("carry wiped every episode")[1],
        by_episode("projection redrawn every episode")[1],
        by_episode("carry wiped every step")[1],
    ]
    for better, worse in itertools.pairwise(ranks):
        assert better["low"] > worse["high"]
    # Without any memory it explores for ever.
    assert max(x["high"] for x in by_episode("carry wiped every step")) < 0.05


TINY_NETWORK = ModelConfig(memory="mlp", layers=0, width=16, encoder=(16,), head=(16,))


def test_an_expert_scores_one_without_projection(tmp_path, monkeypatch):
    """From `python -m agents.anchors`, in small, to the `identity` cell of a suite."""
    suite = Suite(
        "Balance-v0", "", (HELD_OUT,), (HELD_OUT,), obs_size=12, action_size=2, action_repeat=20
    )
    metaenvs.register(suite.id, suite.make)
    recipe = anchors_command.Recipe(0.1, action_repeat=20, model=TINY_NETWORK)
    monkeypatch.setattr(anchors_command, "SUITES", {suite.id: suite})
    monkeypatch.setitem(anchors_command.RECIPES, HELD_OUT, recipe)
    out, table = tmp_path / "experts", tmp_path / "anchors.json"
    anchors_command.main(["--tasks", HELD_OUT, "--out", str(out), "--table", str(table)])
    monkeypatch.setattr(anchors, "table", lambda: json.loads(table.read_text()))

    policy, _, _ = agents_evaluate.load(RunFolder.open(out / HELD_OUT), deterministic=True)
    identity = Protocol("test", (IDENTITY,), episodes=1, bins=1)
    result = evaluation.evaluate(
        anchors_command.Held(policy, 1, 2), suite.id, identity, env_kwargs={"observe": ()}
    )
    (line,) = json.loads(table.read_text())["anchors"]
    assert line["expert"]["low"] > line["random"]["high"] + 10
    for split in ("train", "held_out"):
        expert = mean(result, f"{split}/identity")
        assert agree(expert, as_scores(result, HELD_OUT, "expert"))


class Balances(struct.PyTreeNode):
    """Pushes the cart where the pole leans, by position, angle and their last differences."""

    def init_carry(self, n):
        return jnp.zeros((n, 2))

    def act(self, carry, obs, reset, key):
        seen = obs[:, :2]
        carry = jnp.where(reset[:, None], seen, carry)
        speed = (seen - carry) / 0.02  # s per step
        lean = seen @ jnp.array([0.1, 1.0]) + speed @ jnp.array([0.2, 0.3])
        return seen, lean[:, None]


def test_the_optimum_of_stateless_cartpole_is_reached():
    """Its anchor's 1 is what an episode can pay at most, not what was trained."""
    env, _ = metaenvs.make("RandomProjection-StatelessCartPole-v0", projection="identity")
    params = env.params_for(episodes_per_trial=1)
    trials = evaluation.run_trials(
        Balances(), env, env.task_names, trials_per_task=64, seed=0, params=params
    )
    (anchor,) = anchors.find(env).values()
    np.testing.assert_allclose(anchor.score(trials.returns_by_episode(1)), 1.0, atol=1e-5)


@pytest.mark.slow
def test_the_whole_protocol_of_the_oracle_and_of_the_adapting_agent():
    of_oracle = evaluation.evaluate(oracle(), TOLD, "rp-v0-eval1")
    for condition in ("fresh", "identity", "unseen_family", "more_episodes"):
        for split in ("train", "held_out"):
            assert mean(of_oracle, f"{split}/{condition}")["value"] == pytest.approx(1.0, abs=0.03)
    of_adaptive = evaluation.evaluate(Adaptive(), TOLD, "rp-v0-eval1")
    for entry in of_adaptive["cells"]:
        if entry["split"] == "train" and entry["policy"] == "agent":
            assert entry["mean_over_tasks"]["score"]["mean"]["low"] > 0.5, entry["cell"]
    more = summary(of_adaptive, "train/more_episodes")["by_episode"]
    assert len(more) == 16 and min(x["low"] for x in more[1:]) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("suite", ["RandomProjection-Lite-v0", "RandomProjection-v0"])
def test_random_actions_score_zero_in_every_task_of_a_suite(suite):
    env, _ = metaenvs.make(suite)
    known = anchors.find(env)
    assert set(known) == set(env.task_names)
    policy = evaluation.RandomPolicy(env.action_size)
    result = evaluation.evaluate(policy, suite, Protocol("test", (Condition("fresh"),)))
    for split, tasks in env.splits.items():
        entry = evaluation.find(result, f"{split}/fresh", "agent")
        over_tasks = entry["mean_over_tasks"]["score"]["mean"]
        assert over_tasks["low"] < 0.005 and over_tasks["high"] > -0.005
        for task in tasks:
            # In sparse tasks no trial in 64 may pay: an interval of no width, beside 0. And
            # behind a projection uniform actions are, once clipped, a little stronger.
            low, high = as_scores(result, task, "random") + np.array([-0.01, 0.01])
            assert agree(entry["tasks"][task]["score"]["mean"], (low, high)), task
