"""What experts would do behind a trial's projections, and how much that counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import metaenvs
from agents.config import ModelConfig, PPOConfig, TrainConfig
from agents.learner import guidance, privileged
from agents.learner.trainer import Trainer
from metaenvs import projections

TASKS = ("pendulum_swingup", "point_mass_easy")
SUITE = "test-Guided-v0"


def environment(projection="orthogonal"):
    return metaenvs.RandomProjection(
        TASKS, obs_size=6, action_size=2, projection=projection, splits={"train": TASKS}, name=SUITE
    )


metaenvs.register(SUITE, environment)

CONFIG = TrainConfig(
    env=SUITE,
    projection="identity",
    observe=("action", "reward", "done"),
    envs=4,
    rollout_steps=20,
    steps=80 * 40,
    model=ModelConfig(memory="mlp", layers=1, width=8, encoder=(8,), head=(8,)),
    ppo=PPOConfig(
        minibatches=2, epochs=2, learning_rate=1e-2, guidance_coef=3.0, guidance_until=0.5
    ),
)


class Turning:
    """No expert, but a policy whose action changes with all that it sees."""

    def init_carry(self, n):
        return ()

    def act(self, carry, obs, reset, key):
        return carry, 1.2 * jnp.sin(obs @ jnp.ones((obs.shape[1], 2)) + jnp.array([0.0, 1.0]))


def trials(family, n=40):
    """An environment behind projections of `family`; n trials, and what training shows of them."""
    env = environment(family)
    params = env.default_params

    @jax.jit
    @jax.vmap
    def begun(key):
        obs, state = env.reset(key, params)
        return obs, state, privileged.of_trial(env, state, obs, state.episode_length)

    return env, params, *begun(jax.random.split(jax.random.key(0), n))


@pytest.fixture(scope="module")
def behind_projections():
    return trials("orthogonal")


def test_parts_are_what_was_joined(behind_projections):
    env, _, _, state, shown = behind_projections
    parts = privileged.parts(env, shown)
    np.testing.assert_array_equal(parts.action, state.projection.action)
    np.testing.assert_array_equal(parts.task.argmax(-1), state.task_id)
    joined = parts._replace(action=parts.action.reshape(len(shown), -1))
    np.testing.assert_array_equal(jnp.concatenate(joined, axis=-1), shown)


@pytest.mark.parametrize("name", projections.FAMILIES)
def test_the_smallest_action_moves_the_task_as_wanted(name):
    family = projections.FAMILIES[name](obs_size=6, action_size=4, max_act=3)
    n_act = jnp.arange(40) % 3 + 1
    keys = jax.random.split(jax.random.key(0), 40)
    maps = jax.jit(jax.vmap(family.sample, (0, None, 0)))(keys, 5, n_act).action
    wanted = jax.random.uniform(jax.random.key(1), (40, 3), minval=-1, maxval=1)
    wanted *= jnp.arange(3) < n_act[:, None]
    action = guidance.behind(maps, wanted)
    assert jnp.abs(action).max() <= 1
    np.testing.assert_allclose(jnp.einsum("nma,na->nm", maps, action), wanted, atol=1e-5)
    # Of all that do, it is the smallest: it has no part that the map takes to zero.
    exact = np.linalg.pinv(np.asarray(maps, np.float64)) @ np.asarray(wanted)[..., None]
    np.testing.assert_allclose(action, exact[..., 0], atol=1e-5)


def test_an_expert_behind_a_projection_moves_its_task_as_behind_the_identity(behind_projections):
    env, params, _, state, shown = behind_projections
    identity, _, known, known_state, _ = trials("identity")
    np.testing.assert_array_equal(state.task_id, known_state.task_id)
    action = guidance.of_experts(env, dict.fromkeys(env.task_names, Turning()), shown[None])[0]
    own = Turning().act((), known[:, : env.obs_size], None, None)[1]
    keys = jax.random.split(jax.random.key(3), len(shown))

    def stepped(env, state, action):
        return jax.jit(jax.vmap(env.step, (0, 0, 0, None)))(keys, state, action, params)[1]

    after, expected = stepped(env, state, action), stepped(identity, known_state, own)
    leaves = jax.tree.leaves(after.task_state), jax.tree.leaves(expected.task_state)
    for ours, theirs in zip(*leaves, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


class Steady:
    """Always does the same."""

    def init_carry(self, n):
        return ()

    def act(self, carry, obs, reset, key):
        return carry, jnp.tile(jnp.array([0.5, -0.5]), (len(obs), 1))


def test_guidance_teaches_and_fades():
    trainer = Trainer(CONFIG, experts=dict.fromkeys(TASKS, Steady()))
    weights = [float(trainer._guidance(jnp.int32(n))) for n in (0, 10, 20, 30)]
    assert trainer.updates == 40 and weights == [3.0, 1.5, 0.0, 0.0]
    state = trainer.init()
    errors = []
    for _ in range(10):
        state, metrics = trainer.update(state)
        errors.append(float(metrics["guidance_error"]))
    assert errors[-1] < 0.5 * errors[0]


def test_tasks_without_an_expert_are_refused():
    missing = "none of point_mass_easy for observations of 6 and actions of 2"
    with pytest.raises(ValueError, match=missing):
        Trainer(CONFIG, experts={"pendulum_swingup": Turning()}).check_experts()
