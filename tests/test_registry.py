"""Ids, and what is said of wrong ones."""

import subprocess
import sys

import gymnax
import pytest
from gymnax import registration

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
    monkeypatch.setattr(registration, "registered_envs", list(registration.registered_envs))
    monkeypatch.setattr(registration, "_registry", dict(registration._registry))
    metaenvs.register("Mine-v0", lambda: metaenvs.RandomProjection(["pendulum_swingup"]))
    env, _ = metaenvs.make("Mine-v0")
    assert env.task_names == ("pendulum_swingup",)
    assert gymnax.make("Mine-v0")[0].task_names == ("pendulum_swingup",)
    with pytest.raises(ValueError, match="'Mine-v0' is already registered"):
        metaenvs.register("Mine-v0", gymnax.make)


def test_an_id_of_ones_own_can_be_registered_again_and_taken_back():
    env_id = "Again-v0"
    metaenvs.register(env_id, lambda: metaenvs.RandomProjection(["pendulum_swingup"]))
    with pytest.raises(ValueError, match="overwrite=True"):
        metaenvs.register(env_id, lambda: metaenvs.RandomProjection(["reacher_easy"]))
    metaenvs.register(env_id, lambda: metaenvs.RandomProjection(["reacher_easy"]), overwrite=True)
    assert metaenvs.registered_envs.count(env_id) == 1
    for _ in range(2):
        for make in (metaenvs.make, gymnax.make):
            assert make(env_id)[0].task_names == ("reacher_easy",)
        metaenvs.unregister(env_id)
        assert env_id not in metaenvs.registered_envs + gymnax.registered_envs
        for make in (metaenvs.make, gymnax.make):
            with pytest.raises(ValueError, match="unknown environment id 'Again-v0'"):
                make(env_id)
        with pytest.raises(ValueError, match="unknown registered environment id"):
            metaenvs.unregister(env_id)
        metaenvs.register(env_id, lambda: metaenvs.RandomProjection(["reacher_easy"]))
    metaenvs.unregister(env_id)
    for change in (metaenvs.unregister, lambda x: metaenvs.register(x, print, overwrite=True)):
        with pytest.raises(ValueError, match=r"RandomProjection-v0' is .*always the same"):
            change("RandomProjection-v0")


def test_gymnax_makes_ours_with_our_keywords():
    assert set(metaenvs.registered_envs) <= set(gymnax.registered_envs)
    env, params = gymnax.make("RandomProjection-v0", split="held_out", episodes_per_trial=3)
    assert (env.split, int(params.episodes_per_trial)) == ("held_out", 3)
    with pytest.raises(TypeError, match=r"'splits'.*Valid keywords: split"):
        gymnax.make("RandomProjection-v0", splits="train")


def test_import_stays_light():
    """What only some users need is imported where it is used."""
    code = "import sys, metaenvs; print([m for m in %r if m in sys.modules])"
    heavy = ("brax", "mujoco", "dm_control", "dm_env", "orbax", "torch")
    out = subprocess.run([sys.executable, "-c", code % (heavy,)], capture_output=True, text=True)
    assert out.stdout.strip() == "[]", out.stderr


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"'RandomProjection-v1'.*Did you mean 'RandomProj"):
        metaenvs.make("RandomProjection-v1")
    with pytest.raises(TypeError, match=r"'splits'.*Valid keywords: split, episodes_per_trial"):
        metaenvs.make("RandomProjection-v0", splits="train")
    with pytest.raises(ValueError, match=r"split 'heldout'.*'held_out'"):
        metaenvs.make("RandomProjection-v0", split="heldout")
    with pytest.raises(ValueError, match=r"step_api 'gym'.*Choices: gymnax, legacy"):
        metaenvs.make("RandomProjection-v0", step_api="gym")
    with pytest.raises(ValueError, match="already registered"):
        metaenvs.register("CartPole-v1", gymnax.make)
    with pytest.raises(ValueError, match="must not be empty"):
        metaenvs.register("", gymnax.make)
    with pytest.raises(TypeError, match="a string and a callable"):
        metaenvs.register("Mine-v0", None)
