"""Equal environments do the same with the same arguments, defaults included."""

import copy
import itertools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import metaenvs
from metaenvs import popgym
from metaenvs.identity import same

TASKS = ("pendulum_swingup", "cartpole_balance")


class Heavier(metaenvs.RandomProjection):
    """A subclass with a field of its own, which its steps depend on."""

    def __init__(self, *args, bonus=0.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.bonus = bonus

    def step(self, key, state, action, params=None):
        obs, state, reward, *rest = super().step(key, state, action, params)
        return obs, state, reward + self.bonus, *rest


def trials(kind=metaenvs.RandomProjection, **changes):
    given = {"splits": {"a": TASKS[:1], "b": TASKS[1:]}, **changes}
    return kind(TASKS, **given)


def made():
    """Environments of which many are alike but for one thing, and each of them twice."""
    for _ in range(2):
        yield trials()
        yield trials(split="b")
        yield trials(episodes_per_trial=2)
        yield trials(reward_scale={TASKS[0]: 2.0})
        yield trials(dynamics={"a": {"mass": (0.8, 1.2)}})
        yield trials(projection="gaussian")
        yield trials(observe=("reward",))
        yield trials(action_repeat=2)
        yield trials(name="Other-v0")
        yield trials(splits={"a": TASKS[1:], "b": TASKS[:1]})
        yield trials(Heavier)
        yield trials(Heavier, bonus=1.0)
        yield from (popgym.make(env_id) for env_id in popgym.ids)
        yield from (popgym.PreviousAction(popgym.make(env_id)) for env_id in popgym.ids[:6])
        yield metaenvs.make("RandomProjection-Lite-v0", step_api="legacy")[0]
        yield metaenvs.make("RandomProjection-Lite-v0", step_api="legacy", split="held_out")[0]


def public(env):
    """What can be seen of an environment without a step."""
    params = env.default_params
    length = env.trial_length() if hasattr(env, "trial_length") else None
    return (
        type(env),
        env.name,
        getattr(env, "splits", None),
        getattr(env, "bonus", None),
        repr(env),
        length,
        str(env.observation_space(params)),
        str(env.action_space(params)),
        params,
    )


def test_equal_environments_look_the_same_and_others_differ():
    environments = list(made())
    half = len(environments) // 2
    for i, j in itertools.combinations(range(len(environments)), 2):
        a, b = environments[i], environments[j]
        alike = same(public(a), public(b))
        assert (a == b) <= alike, (a, b)
        assert (hash(a) == hash(b)) >= (a == b)
        if j == i + half:
            assert a == b, a


@pytest.mark.parametrize(
    "kind", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_a_copy_is_the_same_environment(kind):
    for env in itertools.islice(made(), 12):
        assert kind(env) == env and hash(kind(env)) == hash(env)
    for env_id in ("popgym-BattleshipEasy-v0", "RandomProjection-StatelessCartPole-v0"):
        env, params = metaenvs.make(env_id)
        assert kind(env) == env
        assert kind(params) == params and hash(kind(params)) == hash(params)
    task = metaenvs.tasks.make("pendulum_swingup")
    assert kind(task) is task


def test_as_a_static_argument_each_split_has_its_own_trials():
    first_tasks = jax.jit(lambda env, keys: jax.vmap(env.reset)(keys)[1].task_id, static_argnums=0)
    keys = jax.random.split(jax.random.key(0), 8)
    for index, split in enumerate("ab"):
        env = trials(split=split)
        assert set(first_tasks(env, keys).tolist()) == {index}
    assert trials(split="a") != trials(split="b")
    assert trials(split="a").code == trials(split="b").code  # and one compiled program


def test_as_a_static_argument_each_level_has_its_own_length():
    def steps(env):
        return jnp.asarray(env.default_params.max_steps_in_episode)

    limit = jax.jit(steps, static_argnums=0)
    levels = [popgym.make(f"popgym-PositionOnlyPendulum{x}-v0") for x in ("Easy", "Medium", "Hard")]
    assert [int(limit(env)) for env in levels] == [200, 150, 100]
    assert levels[0].code == levels[2].code


def test_params_are_equal_and_hashable_by_content():
    env = trials()
    same_again, longer = env.params_for(split="a"), env.params_for(episodes_per_trial=3)
    assert env.default_params == same_again and hash(env.default_params) == hash(same_again)
    assert env.default_params != longer
    shape = jax.jit(lambda params: jnp.zeros(params.max_steps_in_episode), static_argnums=0)
    assert shape(same_again).shape == (1000,) and shape(longer).shape == (3000,)
    with pytest.raises(TypeError, match="traced here"):
        jax.jit(lambda params: jnp.zeros(hash(params)))(longer)


def test_the_length_of_a_trial_is_known_inside_a_transformation():
    env = trials(episodes_per_trial=2)

    @jax.jit
    def lengths(key):
        return jnp.zeros(env.trial_length()), jnp.zeros(env.default_params.max_steps_in_episode)

    assert [x.shape for x in lengths(jax.random.key(0))] == [(2000,), (2000,)]
    batch = jax.tree.map(lambda *x: np.stack(x), env.default_params, env.params_for(split="b"))
    assert batch.max_steps_in_episode == env.trial_length(batch) == 2000
    with pytest.raises(TypeError, match="task_weights is traced here"):
        jax.jit(env.trial_length)(env.default_params)


def test_weights_of_which_no_task_can_be_drawn_are_refused():
    env = trials()
    key, params = jax.random.key(0), env.default_params
    for weights in ([0.0, 0.0], [1.0, -1.0], [np.nan, 1.0]):
        with pytest.raises(ValueError, match="task_weights are"):
            env.reset(key, params.replace(task_weights=jnp.array(weights)))
    with pytest.raises(ValueError, match=r"task_weights has shape \(3,\).*each of 2 tasks"):
        env.reset(key, params.replace(task_weights=jnp.ones(3)))
    with pytest.raises(ValueError, match="episodes_per_trial must be at least 1, got 0"):
        env.reset(key, params.replace(episodes_per_trial=0))
