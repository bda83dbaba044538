"""Somebody else's agent, in plain JAX, through the public API alone."""

import jax.numpy as jnp

from metaenvs import evaluation


# Ten lines, as docs/evaluation.md promises.
class Swing:
    def init_carry(self, n):
        return jnp.zeros(n)

    def act(self, carry, obs, reset, key):
        carry = jnp.where(reset, 0.0, carry) + 1.0  # emptied before obs is read
        return carry, jnp.stack([jnp.sin(carry / 20.0)] * 2, axis=-1)


def evaluate_swing(protocol="rp-v0-eval1"):
    return evaluation.evaluate(Swing(), "RandomProjection-Lite-v0", protocol)


def test_it_is_evaluated_and_its_result_is_valid(tmp_path):
    small = evaluation.Protocol(
        "test", (evaluation.Condition("fresh"),), trials_per_task=2, episodes=1
    )
    result = evaluate_swing(small)
    evaluation.save(result, tmp_path / "evaluation.json")
    assert evaluation.load(tmp_path / "evaluation.json")["suite"] == "RandomProjection-Lite-v0"
    swung = evaluation.find(result, "train/fresh", "agent")["tasks"]["cartpole_swingup"]
    assert swung["return"]["value"] > 1.0
