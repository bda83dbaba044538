"""Episodes start as dm_control's do."""

import jax
import numpy as np
import pytest
from scipy import stats

from metaenvs import tasks

RESETS = 2000
# Over all coordinates of all tasks together (Bonferroni).
FALSE_ALARM = 0.01


def describe(qpos, qvel, target=None, directions=None):
    """Columns that are compared one by one; products and angles catch dependence."""
    columns = {f"qpos{i}": qpos[:, i] for i in range(qpos.shape[1])}
    columns |= {f"qvel{i}": qvel[:, i] for i in range(qvel.shape[1])}
    if qpos.shape[1] == 2:
        columns["qpos0 * qpos1"] = qpos[:, 0] * qpos[:, 1]
    if target is not None:
        columns["target x"], columns["target y"] = target.T
        columns["target distance"] = np.hypot(*target.T)
    if directions is not None:
        angles = np.arctan2(directions[..., 1], directions[..., 0])
        columns["first direction"], columns["second direction"] = angles.T
        columns["angle between"] = (angles[:, 1] - angles[:, 0]) % (2 * np.pi)
    return columns


def draw_ours(name, run):
    task = tasks.make(name)
    keys = jax.random.split(jax.random.key(1), RESETS)
    _, states = run(name).reset(keys, task.default_params)
    return jax.tree.map(np.asarray, states)


def draw_theirs(name, reference):
    physics, task = reference(name).physics, reference(name).environment.task
    task.random.seed(2)
    drawn = {"qpos": [], "qvel": [], "target": [], "directions": []}
    for _ in range(RESETS):
        physics.data.qpos[:] = 0.0
        physics.data.qvel[:] = 0.0
        task.initialize_episode(physics)
        drawn["qpos"].append(physics.data.qpos.copy())
        drawn["qvel"].append(physics.data.qvel.copy())
        if name.startswith("reacher"):
            drawn["target"].append(physics.named.model.geom_pos["target", ["x", "y"]].copy())
        if name.startswith("point_mass"):
            drawn["directions"].append(physics.model.wrap_prm.reshape(2, 2).copy())
    return {part: np.array(values) for part, values in drawn.items() if values}


@pytest.fixture(scope="module")
def columns(run, reference):
    """For each task: name of a coordinate -> (our draws, dm_control's)."""

    def of(name):
        theirs = draw_theirs(name, reference)
        states = draw_ours(name, run)
        ours = {part: getattr(states, part) for part in theirs}
        ours, theirs = describe(**ours), describe(**theirs)
        return {column: (ours[column], theirs[column]) for column in ours}

    return {name: of(name) for name in tasks.task_names}


def test_start_distributions_are_dm_controls(columns):
    p_values = {}
    for name, of_task in columns.items():
        for column, (ours, theirs) in of_task.items():
            if np.ptp(theirs) < 1e-12:
                np.testing.assert_allclose(ours, theirs, atol=1e-6, err_msg=f"{name} {column}")
            else:
                p_values[name, column] = stats.ks_2samp(ours, theirs).pvalue
    smallest = min(p_values, key=p_values.get)
    print(f"{len(p_values)} tests, smallest p {p_values[smallest]:.3f} at {smallest}")
    assert len(p_values) >= 40
    assert p_values[smallest] > FALSE_ALARM / len(p_values)


def test_the_comparison_would_see_a_small_error(columns):
    """A spread wrong by 20 % or a shift by a fifth of the spread passes no threshold."""
    threshold = FALSE_ALARM / 48
    ours, theirs = columns["point_mass_easy"]["qpos0"]
    assert stats.ks_2samp(1.2 * ours, theirs).pvalue < threshold
    ours, theirs = columns["cartpole_swingup"]["qpos0"]
    assert stats.ks_2samp(ours + 0.002, theirs).pvalue < threshold


def test_point_mass_directions_are_never_too_parallel(run):
    directions = draw_ours("point_mass_hard", run).directions
    np.testing.assert_allclose(np.linalg.norm(directions, axis=-1), 1.0, atol=1e-6)
    cosines = np.abs(np.einsum("bi,bi->b", directions[:, 0], directions[:, 1]))
    assert cosines.max() <= 0.9 + 1e-6
    assert cosines.max() > 0.89
