"""Timing and rollouts that benchmarks rest on; `metaenvs bench`."""

import json

import jax
import numpy as np
import pytest

from agents import cli
from metaenvs import tasks
from metaenvs.benchmarks import Timing, interleaved, ratio, timing
from metaenvs.benchmarks.environments import Rollout, state_bytes


def test_ratio_is_of_paired_repetitions():
    # The machine slows down threefold; the ratio of the two stays what it is.
    a, b = Timing((2.0, 4.0, 6.0)), Timing((1.0, 2.0, 3.0))
    assert ratio(a, b) == 2.0
    assert a.median == 4.0
    assert a.spread == pytest.approx(0.25)
    with pytest.raises(ValueError, match="zip"):
        ratio(a, Timing((1.0,)))


def test_interleaved_takes_turns_and_orders_by_cost(monkeypatch):
    order, now = [], [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])

    def sleep(name, seconds):
        order.append(name)
        now[0] += seconds

    times = interleaved(
        {"slow": lambda: sleep("slow", 0.02), "fast": lambda: sleep("fast", 0.005)},
        repetitions=3,
        at_least=0.001,
    )
    # Once to warm up, once to count; then there and back again.
    turns = ["slow", "slow", "fast", "fast", "slow", "fast", "fast", "slow", "slow", "fast"]
    assert order == turns
    assert ratio(times["slow"], times["fast"]) == pytest.approx(4)
    assert times["slow"].median == pytest.approx(0.02)
    with pytest.raises(ValueError, match="0 cases"):
        interleaved({})


def test_rollout_steps_all_environments_and_goes_on():
    task = tasks.make("pendulum_swingup")
    rollout = Rollout(task, task.default_params, batch=5, steps=7)
    assert rollout.states.time.tolist() == [0] * 5
    rollout()
    assert rollout().shape == (5,)
    assert rollout.states.time.tolist() == [14] * 5
    assert len(np.unique(rollout.states.qpos)) == 5  # random starts and actions
    assert rollout.rate(0.5) == 70
    _, state = task.reset(jax.random.key(0))
    assert state_bytes(task, task.default_params) == sum(x.nbytes for x in jax.tree.leaves(state))


def test_bench_prints_json(capsys):
    assert cli.main(["bench", "pendulum_swingup", "--batches", "1", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["env"], row["batch"]) for row in rows] == [("pendulum_swingup", 1)]
    assert rows[0]["steps/s"] > 0


def test_bench_names_bad_input(capsys):
    assert cli.main(["bench", "pendulum_swingup", "--batches", "0"]) == 2
    assert "batches must be at least 1, got 0" in capsys.readouterr().err
    assert cli.main(["bench", "pendulum"]) == 2
    assert "unknown environment id 'pendulum'" in capsys.readouterr().err
