"""Every POPGym id's spaces beside popgym's."""

import numpy as np
import pytest

import metaenvs
from metaenvs import popgym


def sizes(space):
    """A space of popgym's or ours as plain data; a Tuple of Discretes as MultiDiscrete."""
    kind = type(space).__name__
    if kind == "Tuple":
        return "MultiDiscrete", [part.n for part in space.spaces]
    if kind == "MultiDiscrete":
        return kind, [int(n) for n in space.nvec]
    if kind == "Discrete":
        return kind, int(space.n)
    return kind, np.broadcast_to(space.low, space.shape), np.broadcast_to(space.high, space.shape)


@pytest.mark.parametrize("env_id", popgym.ids)
def test_spaces_are_popgyms(env_id, reference):
    their = reference(env_id)
    env, params = metaenvs.make(env_id)
    for ours, theirs in (
        (env.observation_space(params), their.observation_space),
        (env.action_space(params), their.action_space),
    ):
        np.testing.assert_equal(sizes(ours), sizes(theirs))


def test_ids_are_popgyms():
    from popgym.envs import ALL

    assert set(popgym.ids) == {entry["id"] for entry in ALL.values()}
