"""The published results are what the published files say."""

import importlib
import tomllib
from pathlib import Path

import pytest

from agents import config as configs
from agents import experiment

ROOT = Path(__file__).parent.parent
LISTS = sorted(ROOT.glob("docs/experiments/*.toml"))
EVALUATED = [path.stem for path in LISTS if "protocol" in tomllib.loads(path.read_text())]


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "scripts")
        return importlib.import_module("reference_results")


def test_every_number_of_the_results_page_comes_from_the_committed_files(script):
    agents = script.load(script.MAIN)
    assert script.page(agents) == (ROOT / "docs/results.md").read_text(), (
        "run scripts/reference_results.py report"
    )


@pytest.mark.parametrize("name", EVALUATED)
def test_committed_evaluations_are_of_the_listed_runs(script, name):
    """The fingerprint in an evaluation is that of the settings in the list."""
    listed = experiment.read(ROOT / f"docs/experiments/{name}.toml")
    wanted = {
        f"{path.parent.name}-{path.name}": configs.fingerprint(config)
        for path, config in listed.members(Path())
    }
    for agent in script.load(name).values():
        for run in agent.runs:
            assert run.result["agent"]["config"] == wanted[run.name]
            assert run.result["protocol"]["id"] == listed.protocol
            assert run.metrics[-1]["steps"] >= max(c.steps for c in listed.runs.values())


def test_the_preset_reference_is_the_published_baseline(script):
    published = configs.flat(
        experiment.read(ROOT / f"docs/experiments/{script.MAIN}.toml").runs["s5"]
    )
    preset = configs.flat(configs.preset("reference"))
    free = {"preset", "checkpoint_every", "model.params"}  # no matter for what is learned
    assert {k: v for k, v in published.items() if k not in free} == {
        k: v for k, v in preset.items() if k not in free
    }
