"""The protocol carried out in small, its result on disk, and what is refused."""

import copy
import json

import gymnax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

import metaenvs
from metaenvs import evaluation, tasks
from metaenvs.evaluation import PROTOCOLS, Condition, Protocol, measure, reference_scores
from metaenvs.rendering import adaptation
from metaenvs.statistics import Interval

SUITE = "Tiny-for-evaluation"


class Constant(struct.PyTreeNode):
    force: float = 0.5

    def init_carry(self, n):
        return ()

    def act(self, carry, obs, reset, key):
        return carry, jnp.full((obs.shape[0], 2), self.force)


def make_tiny(projection="orthogonal", observe=("action", "reward", "done")):
    """Episodes of 50 steps; train and held-out tasks of two domains."""
    return metaenvs.RandomProjection(
        ["cartpole_balance", "pendulum_swingup"],
        projection=projection,
        observe=observe,
        action_repeat=20,
        splits={"train": ("cartpole_balance",), "held_out": ("pendulum_swingup",)},
        name=SUITE,
    )


TINY = Protocol(
    id="test",
    conditions=(
        Condition("fresh", controls=(evaluation.RANDOM, evaluation.REDRAWN_EVERY_EPISODE)),
        Condition("unseen_family", projection="unseen", splits=("train",)),
        Condition("more_episodes", more_episodes=True, splits=("train",)),
    ),
    trials_per_task=4,
    episodes=2,
    more_episodes=3,
    bins=5,
)
ORDER = [
    ("train/fresh", "agent"),
    ("held_out/fresh", "agent"),
    ("train/fresh", "random"),
    ("held_out/fresh", "random"),
    ("train/fresh", "projection redrawn every episode"),
    ("held_out/fresh", "projection redrawn every episode"),
    ("train/unseen_family", "agent"),
    ("train/more_episodes", "agent"),
]


def evaluate(**kwargs):
    if SUITE not in metaenvs.registered_envs:
        metaenvs.register(SUITE, make_tiny)
    return evaluation.evaluate(Constant(), SUITE, TINY, agent={"name": "constant"}, **kwargs)


@pytest.fixture(scope="module")
def result():
    return evaluate()


def test_every_cell_is_run_and_summed_up(result):
    assert [(c["cell"], c["policy"]) for c in result["cells"]] == ORDER
    fresh = evaluation.find(result, "train/fresh", "agent")
    assert (fresh["projection"], fresh["episodes"], fresh["trial_length"]) == ("orthogonal", 2, 100)
    task = fresh["tasks"]["cartpole_balance"]
    returns = np.array(task["returns"])
    assert returns.shape == (4, 2)
    assert task["return"]["value"] == pytest.approx(returns[:, 0].mean())  # the suite's one
    by_episode = [x["value"] for x in task["return_by_episode"]]
    np.testing.assert_allclose(by_episode, returns.mean(0))
    curve = [x["value"] for x in task["curve"]]
    assert len(curve) == 5
    assert np.mean(curve) * 100 == pytest.approx(returns.sum(1).mean(), rel=1e-5)
    assert fresh["mean_over_tasks"]["return"]["value"] == pytest.approx(task["return"]["value"])
    assert evaluation.find(result, "train/unseen_family", "agent")["projection"] == "gaussian"
    longer = evaluation.find(result, "train/more_episodes", "agent")
    assert longer["episodes"] == 3 and len(longer["tasks"]["cartpole_balance"]["returns"][0]) == 3
    # The draws of the first episodes are the same, whatever follows.
    np.testing.assert_array_equal(
        np.array(longer["tasks"]["cartpole_balance"]["returns"])[:, :2], returns
    )


def test_scores_are_the_anchors_straight_line(result):
    """Tasks without an anchor have no score; with one, 0 is random and 1 the expert."""
    assert result["anchors"] == {}
    assert evaluation.find(result, "train/fresh", "agent")["mean_over_tasks"]["score"] is None
    known = reference_scores.Anchor(
        Interval(100.0, 90.0, 110.0),
        Interval(500.0, 490.0, 510.0),
    )
    returns = np.array([[[100.0, 500.0], [300.0, 900.0]]])
    score = measure._score(known.score(returns), own_episodes=1)
    assert score["mean"]["value"] == pytest.approx(0.25)  # (0 + 0.5) / 2, first episodes
    assert [x["value"] for x in score["by_episode"]] == pytest.approx([0.25, 1.5])
    assert score["gain"]["value"] == pytest.approx(1.25)
    assert score["area"]["value"] == pytest.approx(0.875)


def test_a_result_comes_back_from_disk(result, tmp_path):
    path = tmp_path / "evaluation.json"
    evaluation.save(result, path)
    assert evaluation.load(path) == json.loads(json.dumps(result))
    assert [x.name for x in tmp_path.iterdir()] == ["evaluation.json"]
    adaptation.save(result, tmp_path / "adaptation.png")
    assert (tmp_path / "adaptation.png").read_bytes().startswith(b"\x89PNG")


def test_a_stopped_evaluation_goes_on_where_it_was(result, tmp_path):
    partial = tmp_path / "evaluation.partial"
    seen = []

    def stop_in_the_third(progress):
        seen.append(progress)
        if progress.doing == "train/fresh: random":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(partial=partial, progress=stop_in_the_third)
    with partial.open("a") as file:
        file.write('{"cell": "cut sh')  # as a kill would leave it
    assert len(partial.read_text().splitlines()) == 1 + 2 + 1
    again = []
    assert evaluate(partial=partial, progress=again.append) == result
    assert again[0].doing == "train/fresh: random"
    assert 0 < again[0].done < again[-1].done == again[-1].total
    with pytest.raises(ValueError, match=r"unfinished evaluation of something else.*\(its agent"):
        evaluation.evaluate(Constant(), SUITE, TINY, agent={"name": "other"}, partial=partial)
    assert len(partial.read_text().splitlines()) == 1 + len(ORDER)


def test_broken_files_are_named(result, tmp_path):
    path = tmp_path / "evaluation.json"
    with pytest.raises(ValueError, match=r"evaluation.json does not exist; `metaenvs evaluate`"):
        evaluation.load(path)
    path.write_text(json.dumps(result)[:-40])
    with pytest.raises(ValueError, match=r"evaluation.json is not a whole JSON file"):
        evaluation.load(path)
    path.write_text('{"schema": 99}')
    with pytest.raises(ValueError, match=r"not an evaluation of schema 2 \(it says 99\)"):
        evaluation.load(path)
    path.write_text("[]")
    with pytest.raises(ValueError, match="not an evaluation of schema 2"):
        evaluation.load(path)
    broken = copy.deepcopy(result)
    broken["cells"][1]["tasks"]["pendulum_swingup"]["return"]["low"] = None
    with pytest.raises(ValueError, match=r"cells/1/tasks/pendulum_swingup/return/low: None is not"):
        evaluation.save(broken, path)
    assert path.read_text() == "[]"  # what was there is there still


def test_only_equal_measurements_are_compared(result):
    evaluation.check_comparable([result, copy.deepcopy(result)], ["a.json", "b.json"])
    for change, message in (
        ({"suite": "RandomProjection-v0"}, r"a.json and b.json .* they differ in suite: '.*' and"),
        (
            {"protocol": result["protocol"] | {"id": "v2"}},
            r"they differ in protocol: 'test' and 'v2'",
        ),
        ({"protocol": result["protocol"] | {"seed": 1}}, r"they differ in protocol's settings"),
        ({"anchors": {"x": 1}}, r"they differ in anchors"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluation.check_comparable([result, result | change], ["a.json", "b.json"])


def test_bad_calls_are_named():
    with pytest.raises(ValueError, match=r"unknown protocol 'rp-v1'.*Did you mean 'rp-v0-eval1'"):
        evaluation.evaluate(Constant(), SUITE, "rp-v1")
    with pytest.raises(ValueError, match=r"unknown environment id 'RandomProjection-v9'"):
        evaluation.evaluate(Constant(), "RandomProjection-v9")
    with pytest.raises(ValueError, match="no RandomProjection suite"):
        evaluation.evaluate(Constant(), "Pendulum-v1")


def test_the_protocol_is_frozen():
    """A change of what is here is another protocol: give it a new id."""
    frozen = PROTOCOLS["rp-v0-eval1"].as_json()
    assert frozen["trials_per_task"] == 64 and frozen["seed"] == 2303
    assert [c["name"] for c in frozen["conditions"]] == [
        "fresh",
        "identity",
        "unseen_family",
        "more_episodes",
        "half_scale",
        "double_scale",
        "other_dynamics",
    ]
    assert PROTOCOLS["rp-v0-eval1"].episodes_of(PROTOCOLS["rp-v0-eval1"].conditions[0], 1) == 4
    assert PROTOCOLS["rp-v0-eval1"].episodes_of(PROTOCOLS["rp-v0-eval1"].conditions[3], 16) == 32


def test_a_control_of_ones_own_is_drawn(result, tmp_path):
    own = copy.deepcopy(evaluation.find(result, "train/fresh", "random"))
    own["policy"] = "left hand only"
    adaptation.save({**result, "cells": [*result["cells"], own]}, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size


def test_a_task_that_merely_has_the_name_of_another_has_no_reference_scores():
    mine = tasks.from_gymnax(*gymnax.make("Pendulum-v1"), name="pendulum_swingup", max_steps=1000)
    theirs = metaenvs.RandomProjection(["pendulum_swingup", "cartpole_balance"])
    assert set(reference_scores.find(theirs)) == {"pendulum_swingup", "cartpole_balance"}
    assert set(reference_scores.find(metaenvs.RandomProjection([mine, "cartpole_balance"]))) == {
        "cartpole_balance"
    }
