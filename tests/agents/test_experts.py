"""The experts that come with the package: behind any projection they do what they did without."""

import dataclasses
import re

import jax
import numpy as np
import pytest

import metaenvs
from agents import anchors, pretrained
from agents.commands.training import given_for
from agents.learner import guidance, privileged
from agents.presets import PRESETS
from metaenvs import RandomProjection


def returns(env, tasks, trials):
    """Of first episodes `[trials]`, by task, where every trial's expert acts."""
    params = env.params_for(tasks=tasks)
    experts = pretrained.guides(tasks, env)
    n = trials * len(tasks)

    def act(loop, key):
        obs, state = loop
        shown = jax.vmap(
            lambda state, obs: privileged.of_trial(env, state, obs, state.episode_length)
        )(state, obs)
        action = guidance.of_experts(env, experts, shown[None])[0]
        obs, state, *_, info = jax.vmap(env.step, (0, 0, 0, None))(
            jax.random.split(key, n), state, action, params
        )
        return (obs, state), (info["task_id"], info["episode_over"], info["episode_return"])

    @jax.jit
    def run(key):
        loop = jax.vmap(env.reset, (0, None))(jax.random.split(key, n), params)
        return jax.lax.scan(act, loop, jax.random.split(key, 1000 // env.action_repeat))[1]

    task_id, over, returned = map(np.asarray, run(jax.random.key(0)))
    ids = {task: env.task_names.index(task) for task in tasks}
    return {task: returned[over & (task_id == i)] for task, i in ids.items()}


def without_projection(task):
    """What the expert's card says that it returns."""
    card = (pretrained.FOLDER / f"expert-{task}" / "card.md").read_text()
    return float(re.search(r"95 % intervals: ([\d.]+) \[", card)[1])


def assert_nothing_is_lost(env, tasks, trials):
    for task, of in returns(env, tasks, trials).items():
        assert len(of) > trials / 2
        standard_error = of.std() / np.sqrt(len(of))
        assert of.mean() > 0.99 * without_projection(task) - 3 * standard_error, task


def test_behind_projections_an_expert_returns_what_it_does_without():
    env, _ = metaenvs.make("RandomProjection-Lite-v0")
    assert_nothing_is_lost(env, ("point_mass_easy", "reacher_easy"), 48)


@pytest.mark.slow
def test_every_expert_behind_projections_returns_what_it_does_without():
    env, _ = metaenvs.make("RandomProjection-v0", action_repeat=4)
    tasks = tuple(name.removeprefix("expert-") for name in pretrained.names() if "expert-" in name)
    assert len(tasks) == 6
    assert_nothing_is_lost(env, tasks, 128)


def test_training_is_given_the_experts_of_its_tasks():
    config = PRESETS["in-context-lite"]
    assert given_for(config).experts == {}
    guided = dataclasses.replace(config, ppo=dataclasses.replace(config.ppo, guidance_coef=1.0))
    assert set(given_for(guided).experts) == {"cartpole_swingup", "point_mass_easy", "reacher_easy"}


def test_experts_of_other_sizes_guide_nobody():
    tasks = ("reacher_easy", "point_mass_easy")
    assert set(pretrained.guides(tasks, RandomProjection(tasks))) == set(tasks)
    assert pretrained.guides(tasks, RandomProjection(tasks, obs_size=14)) == {}


def test_only_the_training_tasks_experts_are_published(tmp_path):
    with pytest.raises(ValueError, match="unknown task with an expert 'reacher_hard'"):
        anchors.main(["--publish", "--tasks", "reacher_hard", "--out", str(tmp_path)])
    assert not list(tmp_path.iterdir())
