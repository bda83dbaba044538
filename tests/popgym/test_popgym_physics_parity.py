"""Carts, poles and pendulums beside popgym's.

popgym computes in float64, we in float32, and poles and pendulums amplify the difference.
So the reference's state is put into ours before every single step; episodes that run on
their own are compared as long as rounding stays small.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from metaenvs.popgym import LEVELS, make

GAMES = (
    "PositionOnlyCartPole",
    "VelocityOnlyCartpole",
    "NoisyPositionOnlyCartPole",
    "PositionOnlyPendulum",
    "NoisyPositionOnlyPendulum",
)
PLAYED = [
    *((f"popgym-{game}Medium-v0", 8) for game in GAMES),
    *(
        pytest.param(f"popgym-{game}{level}-v0", 200, marks=pytest.mark.slow)
        for game in GAMES
        for level in LEVELS
    ),
]
STEPS = 600


def act(env_id, physics, skill, random):
    """Balances the pole, or swings the pendulum, the more often the higher the skill."""
    clever = random.random() < skill
    if "Pendulum" in env_id:
        angle, speed = physics
        torque = np.sign(speed) * 2.0 if np.cos(angle) < 0.5 else -10 * np.sin(angle) - 2 * speed
        # Beyond the box at times: it is clipped.
        return np.array([torque if clever else random.uniform(-3, 3)], np.float32)
    position, velocity, angle, spin = physics
    right = 0.1 * position + 0.3 * velocity + 3 * angle + spin > 0
    return int(right if clever else random.integers(2))


def play_reference(env_id, their, starts, noise, script, random):
    """One episode of popgym's: physics and observations `[T + 1]`, and what each step gave."""
    their.np_random = script(uniform=[starts], normal=noise)
    observation, _ = their.reset()
    physics, seen = [np.array(their.state)], [observation]
    actions, given = [], []
    skill = random.choice([0.0, 0.5, 0.9, 1.0])
    for _ in range(STEPS):
        actions.append(act(env_id, physics[-1], skill, random))
        observation, *rest, _ = their.step(actions[-1])
        physics.append(np.array(their.state))
        seen.append(observation)
        given.append(rest)
        if rest[1] or rest[2]:
            break
    return map(np.array, (physics, seen, actions, given))


@pytest.mark.parametrize(("env_id", "episodes"), PLAYED)
def test_every_step_is_popgyms(env_id, episodes, run, reference, script):
    env, their = make(env_id), reference(env_id)
    params = env.default_params
    keys = jax.random.split(jax.random.key(0), episodes)
    first_seen, first = jax.vmap(env.reset)(keys)
    random = np.random.default_rng(1)

    @jax.jit
    @jax.vmap
    def one_step(state, physics, noise, time, action):
        state = state.replace(physics=physics, time=time)
        _, after, reward, terminated, _ = env.step_env(jax.random.key(0), state, action, params)
        after = after.replace(noise=noise)
        seen = env.observation(after, params)
        return after.physics, seen, reward, terminated, env.is_truncated(after, params)

    ends = []
    for i in range(episodes):
        noise = random.standard_normal((STEPS + 1, 2))
        noise[0] = first.noise[i]
        physics, seen, actions, given = play_reference(
            env_id, their, np.asarray(first.physics[i]), noise, script, random
        )
        np.testing.assert_allclose(first_seen[i], seen[0], rtol=1e-6, atol=1e-7)
        # One length for all: each program compiles once.
        steps, pad = len(given), STEPS - len(given)
        state = jax.tree.map(lambda x, i=i: jnp.broadcast_to(x[i], (STEPS, *x[i].shape)), first)
        filled = [np.pad(x, [(0, pad)] + [(0, 0)] * (x.ndim - 1)) for x in (physics[:-1], actions)]
        ours = one_step(
            state,
            jnp.asarray(filled[0], jnp.float32),
            jnp.asarray(noise[1:], jnp.float32),
            jnp.arange(STEPS),
            filled[1],
        )
        after, our_seen, reward, terminated, truncated = (np.asarray(x)[:steps] for x in ours)
        np.testing.assert_allclose(after, physics[1:], rtol=2e-6, atol=2e-6)
        # Angles are not wrapped: at 40 rad, float32 resolves 4e-6.
        np.testing.assert_allclose(our_seen, seen[1:], rtol=2e-6, atol=1e-5)
        np.testing.assert_allclose(reward, given[:, 0].astype(float), rtol=1e-5, atol=1e-7)
        np.testing.assert_array_equal(terminated, given[:, 1].astype(bool))
        np.testing.assert_array_equal(truncated, given[:, 2].astype(bool))
        ends.append((terminated[-1], truncated[-1]))
    assert any(truncated for _, truncated in ends)
    assert any(terminated for terminated, _ in ends) == ("Cart" in env_id)


@pytest.mark.parametrize("game", ["PositionOnlyCartPoleEasy", "PositionOnlyPendulumHard"])
def test_whole_episodes_under_random_actions(game, run, reference, script):
    env_id = f"popgym-{game}-v0"
    their, env = reference(env_id), make(env_id)
    space = env.action_space()
    steps = 50
    plan = np.asarray(
        jax.vmap(jax.vmap(space.sample))(jax.random.split(jax.random.key(2), (20, steps)))
    )
    ours = run(env_id, 0, plan)
    for i in range(len(plan)):
        their.np_random = script(uniform=[ours.states.physics[i, 0]])
        observation, _ = their.reset()
        np.testing.assert_allclose(ours.observation[i, 0], observation, atol=1e-6)
        for t, action in enumerate(plan[i]):
            observation, reward, terminated, truncated, _ = their.step(action)
            np.testing.assert_allclose(ours.observation[i, t + 1], observation, atol=1e-3)
            np.testing.assert_allclose(ours.reward[i, t], reward, rtol=1e-3, atol=1e-5)
            assert (ours.terminated[i, t], ours.truncated[i, t]) == (terminated, truncated)
            if terminated or truncated:
                break


@pytest.mark.parametrize(
    ("env_id", "limits"),
    [
        ("popgym-NoisyPositionOnlyCartPoleEasy-v0", [0.05] * 4),
        ("popgym-NoisyPositionOnlyPendulumEasy-v0", [np.pi, 1.0]),
    ],
)
def test_starts_and_noise_are_distributed_as_popgyms(env_id, limits, reference):
    env, their = make(env_id), reference(env_id)
    _, ours = jax.vmap(env.reset)(jax.random.split(jax.random.key(3), 20_000))
    theirs = []
    for i in range(1000):
        their.reset(seed=i)
        theirs.append(np.array(their.state))
    for column, limit in enumerate(limits):
        x = np.asarray(ours.physics[:, column])
        assert stats.kstest(x / limit, "uniform", (-1, 2)).pvalue > 1e-3
        assert stats.ks_2samp(x, np.array(theirs)[:, column]).pvalue > 1e-3
    assert stats.kstest(np.ravel(ours.noise), "norm").pvalue > 1e-3
    columns = np.concatenate([ours.physics, ours.noise], axis=1)
    correlation = np.corrcoef(columns, rowvar=False) - np.eye(columns.shape[1])
    assert np.abs(correlation).max() < 0.03


def test_noise_is_new_at_every_step(run):
    env_id = "popgym-NoisyPositionOnlyPendulumEasy-v0"
    noise = run(env_id, 0, np.zeros((50, 100, 1), np.float32)).states.noise
    assert stats.kstest(noise.ravel(), "norm").pvalue > 1e-3
    x = noise.reshape(50, -1)
    assert abs(np.corrcoef(x[:, :-2].ravel(), x[:, 2:].ravel())[0, 1]) < 0.03
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.05
