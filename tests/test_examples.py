"""Every example runs: as it stands where that is quick, otherwise in small."""

import dis
import inspect
import itertools
import json
import runpy
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest
from gymnax import registration

import metaenvs
from metaenvs import evaluation, projections, registry
from metaenvs.adapters import gymnasium as adapter
from metaenvs.suites import Suite

EXAMPLES = Path(__file__).parent.parent / "examples"
BASELINE = ("03_train_the_baseline", "04_evaluate_out_of_distribution")

# Trials of 2 episodes of 10 steps, on two tasks that compile quickly.
SMALL = Suite(
    id="Small-v0",
    summary="",
    train=("pendulum_swingup",),
    held_out=("cartpole_balance",),
    obs_size=6,
    action_size=2,
    episodes_per_trial=2,
    action_repeat=100,
)
SMALL_AGENT = ("--envs", "4", "--ppo.epochs", "1", "--model.width", "8", "--model.encoder", "8")
SMALL_AND_QUICK = {
    "steps": 1024,
    "num_envs": 8,
    "env_id": SMALL.id,
    "protocol": evaluation.PROTOCOLS["rp-v0-eval1"].quick(),
}
ARGUMENTS = {
    "02_your_own_agent": {"steps": 20_000, "env_id": SMALL.id},
    "07_a_memory_model": {"steps": 80, "settings": ("--env", SMALL.id, *SMALL_AGENT)},
    "10_a_new_task": {"steps": 800, "settings": SMALL_AGENT},
    "brax_ppo": {"steps": 10_000, "env_id": SMALL.id},
    "dm_env_loop": {"env_id": SMALL.id},
    "gymnasium_loop": {"steps": 40, "num_envs": 2, "env_id": f"metaenvs/{SMALL.id}"},
    "memorax_models": {"steps": 80, "settings": ("--env", SMALL.id, *SMALL_AGENT)},
    "pytorch_gru": SMALL_AND_QUICK,
    "rejax_ppo": {"steps": 10_000, "env_id": SMALL.id},
    "sb3_contrib_recurrent_ppo": SMALL_AND_QUICK,
    "stable_baselines3_ppo": SMALL_AND_QUICK,
}
# What they use is tested by itself, in tests/adapters.
SLOW = ("brax_ppo",)
NEEDS = {
    "memorax_models": "memorax",
    "pytorch_gru": "torch",
    "sb3_contrib_recurrent_ppo": "sb3_contrib",
    "rejax_ppo": "rejax",
    "stable_baselines3_ppo": "stable_baselines3",
}


def main_of(path: Path):
    return runpy.run_path(str(path), run_name="example")["main"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Examples write where they run; ids that they register are forgotten after it."""
    monkeypatch.chdir(tmp_path)
    for module, name in (
        (registry, "registered_envs"),
        (registry, "_factories"),
        (registration, "registered_envs"),
        (registration, "_registry"),
        (projections, "FAMILIES"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name).copy())
    metaenvs.register(SMALL.id, SMALL.make)
    adapter.register(SMALL.id)


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(EXAMPLES.glob("*.py")) if path.stem not in BASELINE],
    ids=lambda path: path.stem,
)
def test_example_runs(path, capsys):
    main_of(path)(**ARGUMENTS.get(path.stem, {}))
    assert capsys.readouterr().out


def test_baseline_is_trained_and_then_evaluated(capsys):
    train, evaluate = (main_of(EXAMPLES / f"{name}.py") for name in BASELINE)
    train(steps=160, settings=("--env", SMALL.id, *SMALL_AGENT))
    assert "pendulum_swingup" in capsys.readouterr().out
    evaluate(trials=2)
    assert "tasks never trained on" in capsys.readouterr().out


# Other people's programs may warn of what they like.
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=pytest.mark.slow) if path.stem in SLOW else path
        for path in sorted((EXAMPLES / "ecosystem").glob("*.py"))
    ],
    ids=lambda path: path.stem,
)
def test_ecosystem_example_runs(path, capsys):
    if path.stem in NEEDS:
        pytest.importorskip(NEEDS[path.stem])
    main_of(path)(**ARGUMENTS[path.stem])
    assert capsys.readouterr().out


def cells_of_the_tour() -> list:
    cells = json.loads((EXAMPLES / "tour.ipynb").read_text())["cells"]
    cells = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    return [compile("".join(cell["source"]), cell["id"], "exec") for cell in cells]


def test_what_the_notebook_uses_is_there(capsys):
    """Its first cells run; what the others take from a package is in it."""
    names = {"__name__": "notebook"}
    install, make, *others = cells_of_the_tour()
    exec(install, names)
    exec(make, names)
    assert "held out: cartpole_balance" in capsys.readouterr().out
    instructions = [x for code in others for x in dis.get_instructions(code)]
    uses = [
        (names[of.argval], attribute.argval)
        for of, attribute in itertools.pairwise(instructions)
        if of.opname == "LOAD_NAME" and inspect.ismodule(names.get(of.argval))
    ]
    assert len(uses) > 10 and all(hasattr(module, name) for module, name in uses)


@pytest.mark.slow
def test_the_notebook_shows_that_memory_pays():
    """As its text says, of the agent that it shows."""
    matplotlib.use("agg")
    names = {"__name__": "notebook"}
    for cell in cells_of_the_tour():
        exec(cell, names)
    plt.close()
    curves = names["curves"]
    assert curves["agent"].mean() > curves["carry wiped every step"].mean()
    assert curves["agent"].mean() > curves["random"].mean()


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.py")), ids=lambda path: path.stem)
def test_example_is_short(path):
    assert len(path.read_text().splitlines()) < 80
