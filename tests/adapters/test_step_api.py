"""The five-value step of older Gymnax versions."""

import copy
import pickle

import jax
import pytest

import metaenvs


@pytest.mark.parametrize("env_id", ["Tiny-v0", "MountainCarContinuous-v0"])
@pytest.mark.usefixtures("tiny")
def test_legacy_step_api(env_id):
    keys = jax.random.split(jax.random.key(0), 2)
    env, params = metaenvs.make(env_id)
    # As the wrapper does: another program may round otherwise.
    _, state = jax.jit(env.reset)(keys[0], params)
    action = env.action_space(params).sample(keys[1])
    new = jax.jit(env.step)(keys[1], state, action)
    legacy, params = metaenvs.make(env_id, step_api="legacy")
    obs, _, reward, done, info = legacy.step(keys[1], legacy.reset(keys[0], params)[1], action)
    assert (obs == new[0]).all() and reward == new[2] and done == new[3] | new[4]
    assert info.keys() == new[5].keys()


def test_legacy_environments_can_be_copied():
    env, params = metaenvs.make("MountainCarContinuous-v0", step_api="legacy")
    assert copy.deepcopy({"env": env})["env"] is env and copy.copy(env) is env
    assert pickle.loads(pickle.dumps(env)).action_space(params).shape == (1,)
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = env.no_such_thing
