"""The contract, over every id that the package registers."""

import subprocess
import sys

import pytest

import metaenvs
from metaenvs import popgym, testing
from metaenvs.suites import SUITES

# Not `registered_envs`, to which other tests add ids of their own.
IDS = (*SUITES, *popgym.ids)


def test_these_are_all_ids():
    program = "import metaenvs; print(*metaenvs.registered_envs)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == list(IDS), done.stderr


def by_default(env_id):
    """Whether the id is checked without `-m slow`: Brax compiles for minutes, and of each
    POPGym game one size will do."""
    return "Brax" not in env_id and (env_id not in popgym.ids or "Medium" in env_id)


@pytest.mark.parametrize(
    "env_id",
    [
        env_id if by_default(env_id) else pytest.param(env_id, marks=pytest.mark.slow)
        for env_id in IDS
    ],
)
def test_every_id_keeps_the_contract(env_id):
    env, params = metaenvs.make(env_id)
    testing.check_env(env, params)


@pytest.mark.parametrize("env_id", SUITES)
def test_every_suite_is_as_its_table_says(env_id):
    suite = SUITES[env_id]
    for split in ("train", "held_out"):
        env, params = metaenvs.make(env_id, split=split)
        weights = dict(zip(env.task_names, params.task_weights.tolist(), strict=True))
        assert {name for name, weight in weights.items() if weight} == set(getattr(suite, split))
        assert env.obs_size == suite.obs_size
        assert env.num_actions == suite.action_size
