"""The published results are what the published files say."""

import json
import tomllib
from pathlib import Path

import pytest
from gymnax.environments.spaces import Discrete

from agents import config as configs
from agents import presets, sequence_models
from agents.learner import networks
from agents.runs import experiment
from results import data, leaderboard, page, popgym

ROOT = Path(__file__).parent.parent
LISTS = sorted(ROOT.glob("results/experiments/*.toml"))
EVALUATED = [path.stem for path in LISTS if "protocol" in tomllib.loads(path.read_text())]


def test_every_number_of_the_results_pages_comes_from_the_committed_files():
    agents = data.load(data.MAIN)
    for name, text in page.pages(agents).items():
        assert text == (ROOT / "docs" / name).read_text(), "run python -m results.page report"


def test_leaderboard_and_headline_come_from_the_committed_files():
    assert leaderboard.page() == (ROOT / "docs/leaderboard.md").read_text(), (
        "run python -m results.leaderboard"
    )
    readme = (ROOT / "README.md").read_text()
    assert all(mark in readme for mark in leaderboard.MARKS)
    assert leaderboard.with_headline(readme) == readme, "run python -m results.leaderboard"


def test_the_page_of_smaller_experiments_is_made_of_its_numbers(tmp_path):
    """A folder without runs changes nothing: what it lacks stays as it was published."""
    results = popgym.measure(tmp_path)
    assert results == json.loads(popgym.NUMBERS.read_text())
    assert popgym.page(results) == popgym.PAGE.read_text(), "run python -m results.popgym report"


def test_memories_that_are_compared_on_the_hard_level_are_of_one_size():
    sizes = {
        name: sequence_models.count_parameters(networks.make(run.model, Discrete(4)).memory)
        for name, run in popgym.listed("repeat-previous-hard").runs.items()
    }
    default = sizes.pop("s5-default-state")  # is compared with the other S5 alone
    assert max(sizes.values()) <= 1.02 * min(sizes.values()), sizes
    assert default <= sizes["s5"] <= 1.02 * default


@pytest.mark.parametrize("name", EVALUATED)
def test_committed_evaluations_are_of_the_listed_runs(name):
    """The fingerprint in an evaluation is that of the settings in the list."""
    listed = experiment.read(ROOT / f"results/experiments/{name}.toml")
    wanted = {
        f"{path.parent.name}-{path.name}": configs.fingerprint(config)
        for path, config in listed.members(Path())
    }
    for agent in data.load(name).values():
        for run in agent.runs:
            assert run.result["agent"]["config"] == wanted[run.name]
            assert run.result["protocol"]["id"] == listed.protocol
            assert run.metrics[-1]["steps"] >= max(c.steps for c in listed.runs.values())


def test_the_preset_reference_is_the_published_baseline():
    published = configs.flat(
        experiment.read(ROOT / f"results/experiments/{data.MAIN}.toml").runs["s5"]
    )
    preset = configs.flat(presets.preset("reference"))
    free = {"preset", "checkpoint_every", "model.params"}  # no matter for what is learned
    assert {k: v for k, v in published.items() if k not in free} == {
        k: v for k, v in preset.items() if k not in free
    }
