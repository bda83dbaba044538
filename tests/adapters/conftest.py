"""A suite whose trials last ten steps, known to metaenvs and to Gymnax for one test."""

import gymnax
import pytest
from gymnax import registration

import metaenvs
from metaenvs import registry, tasks

_task = tasks.from_gymnax(*gymnax.make("Pendulum-v1"), name="pendulum", max_steps=5)
_env = metaenvs.RandomProjection([_task], obs_size=4, action_size=2, episodes_per_trial=2)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(registry, "registered_envs", list(registry.registered_envs))
    monkeypatch.setattr(registry, "_factories", dict(registry._factories))
    monkeypatch.setattr(registration, "registered_envs", list(registration.registered_envs))
    monkeypatch.setattr(registration, "_registry", dict(registration._registry))
    metaenvs.register("Tiny-v0", lambda: _env)
    return "Tiny-v0"
