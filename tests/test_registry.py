"""Ids, and what is said of wrong ones."""

import gymnax
import pytest

import metaenvs
from metaenvs import registry


def test_make_and_registered_envs():
    assert "RandomProjection-v0" in metaenvs.registered_envs
    env, params = metaenvs.make("RandomProjection-v0", split="held_out", projection="gaussian")
    assert (env.split, env.projection, int(params.episodes_per_trial)) == (
        "held_out",
        "gaussian",
        1,
    )


def test_register_own(monkeypatch):
    monkeypatch.setattr(registry, "registered_envs", list(registry.registered_envs))
    monkeypatch.setattr(registry, "_factories", dict(registry._factories))
    metaenvs.register("Mine-v0", lambda: metaenvs.RandomProjection(["pendulum_swingup"]))
    env, _ = metaenvs.make("Mine-v0")
    assert env.task_names == ("pendulum_swingup",)
    with pytest.raises(ValueError, match="'Mine-v0' is already registered"):
        metaenvs.register("Mine-v0", gymnax.make)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"'RandomProjection-v1'.*Did you mean 'RandomProj"):
        metaenvs.make("RandomProjection-v1")
    with pytest.raises(TypeError, match=r"'splits'.*Valid keywords: split, episodes_per_trial"):
        metaenvs.make("RandomProjection-v0", splits="train")
    with pytest.raises(ValueError, match=r"split 'heldout'.*'held_out'"):
        metaenvs.make("RandomProjection-v0", split="heldout")
    with pytest.raises(ValueError, match="already registered"):
        metaenvs.register("CartPole-v1", gymnax.make)
    with pytest.raises(ValueError, match="must not be empty"):
        metaenvs.register("", gymnax.make)
    with pytest.raises(TypeError, match="a string and a callable"):
        metaenvs.register("Mine-v0", None)
