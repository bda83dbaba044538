"""The command line: what it says, how soon, and what it does before JAX is imported."""

import io
import re
import subprocess
import sys

import pytest
from rich.console import Console

import metaenvs
from agents import cli, pretrained, sequence_models
from agents.learner import optimiser
from agents.presets import PRESETS
from agents.runs import sinks
from agents.screen import console as screen
from agents.sequence_models import scan
from metaenvs import evaluation, projections
from metaenvs.suites import SUITES


def printed(capsys, *argv):
    with pytest.raises(SystemExit) as stop:
        cli.main(argv)
    assert stop.value.code == 0
    return re.sub(r"[\s│]+", " ", capsys.readouterr().out)


def without(module, *argv):
    """Run a command in a process of its own, which must not import `module`."""
    code = (
        "import sys; from agents import cli\n"
        "try: code = cli.main(sys.argv[1:])\n"
        "except SystemExit as stop: code = stop.code\n"
        f"assert {module!r} not in sys.modules\n"
        "sys.exit(code)"
    )
    return subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True)


def test_help_of_training_names_all_choices(capsys):
    text = printed(capsys, "train", "--help")
    for names in (
        PRESETS,
        sequence_models.MODELS,
        optimiser.SCHEDULES,
        scan.METHODS,
        projections.FAMILIES,
        sinks.SINKS,
    ):
        for name in names:
            assert re.search(rf"\b{name}\b", text), name
    assert "{None}" not in text and "STR" not in text


@pytest.mark.parametrize("command", ["evaluate", "report", "render", "experiment", "bench"])
def test_help_shows_no_python(capsys, command):
    text = printed(capsys, command, "--help")
    assert "None" not in text and "STR" not in text


@pytest.mark.parametrize("argv", [("--help",), ("--version",), ("train", "--help")])
def test_what_needs_no_jax_does_not_import_it(argv):
    done = without("jax", *argv)
    assert done.returncode == 0, done.stderr


def test_a_mistyped_preset_fails_before_jax_is_imported():
    done = without("jax", "train", "--preset", "refrence")
    assert done.returncode == 2
    assert "unknown preset 'refrence'. Did you mean 'reference'? Choices: demo," in done.stderr


def test_the_list_is_whole_and_makes_no_environment(capsys):
    done = without("brax", "list")
    assert done.returncode == 0, done.stderr
    for names in (
        SUITES,
        metaenvs.tasks.task_names,
        PRESETS,
        sequence_models.MODELS,
        pretrained.names(),
        evaluation.PROTOCOLS,
    ):
        for name in names:
            assert name in done.stdout


@pytest.mark.parametrize("suite", [x for x in SUITES.values() if "Brax" not in x.id])
def test_longest_episodes_of_suites_are_those_of_their_tasks(suite):
    env = suite.make()
    assert env.trial_length() == suite.episodes_per_trial * suite.episode_steps


def test_importing_metaenvs_imports_nothing_for_drawings():
    code = "import sys, metaenvs; print([m for m in ('seaborn', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_gymnax_can_still_draw():
    code = (
        "import metaenvs, gymnax, jax, matplotlib\n"
        "matplotlib.use('Agg')\n"
        "env, params = gymnax.make('Catch-bsuite')\n"
        "obs, state = env.reset(jax.random.key(0), params)\n"
        "figure, _ = env.render(state, params)\n"
        "import matplotlib.pyplot as plt\n"
        "assert plt.fignum_exists(figure.number)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_progress_fits_80_columns_with_the_mean_and_every_task_that_fits(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80)
    monkeypatch.setattr(screen, "console", console)
    returns = {name: 100.0 * i for i, name in enumerate(SUITES["RandomProjection-v0"].train)}
    with screen.TrainingProgress(updates=300, done=0) as progress:
        for update in (1, 2):
            progress.show({"update": update, "steps_per_second": 12345.6, "return": returns})
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    lines = text.replace("\r", "\n").split("\n")
    assert all(len(line) <= 80 for line in lines)
    assert any(re.search(r"2/300 .*[-\d]:[-\d]+:[-\d]+ mean 250  12,346 steps/s", x) for x in lines)
    assert any(x.startswith("ball_in_cup_catch 0.00  cartpole_swingup 100") for x in lines)


POLICY = """
import numpy as np

class Still:
    def init_carry(self, n):
        return None

    def act(self, carry, obs, reset, rng):
        return carry, np.zeros((len(obs), 2))

tall = 7
"""


def test_a_policy_of_ones_own_is_scored_by_one_command(tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(POLICY)
    out = tmp_path / "out"
    argv = ["evaluate", "--policy", f"{file}:Still", "--suite", "RandomProjection-Lite-v0"]
    argv += ["--quick", "--out", str(out), "--trained", "not at all", "--frames", "0"]
    assert cli.main(argv) == 0
    assert "no result of the protocol" in re.sub(r"\s+", " ", capsys.readouterr().out)
    result = evaluation.load(out / "evaluation.json")
    assert result["agent"] == {"name": "Still", "trained": "not at all", "frames": 0}
    assert result["protocol"]["id"] == "rp-v0-eval1-quick"
    assert [x["policy"] for x in result["cells"] if x["split"] == "train"] == [
        "agent",
        "random",
        "carry wiped every step",
    ]
    still = evaluation.find(result, "train/fresh", "agent")["tasks"]["point_mass_easy"]
    assert len(still["returns"]) == 8


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("nowhere.py:Still", "is not FILE.py:NAME"),
        ("{file}:Stil", "has no 'Stil'"),
        ("{file}:tall", "has no method 'init_carry'"),
    ],
)
def test_what_is_no_policy_is_refused(tmp_path, capsys, policy, message):
    file = tmp_path / "mine.py"
    file.write_text(POLICY)
    argv = ["evaluate", "--policy", policy.format(file=file), "--out", str(tmp_path)]
    assert cli.main(argv) == 2
    assert re.search(message, capsys.readouterr().err)


def test_version():
    done = without("jax", "--version")
    assert done.stdout == f"metaenvs {metaenvs.__version__}\n"


def test_a_mean_over_some_of_the_tasks_is_not_shown(monkeypatch):
    out = io.StringIO()
    terminal = Console(file=out, force_terminal=True, width=80)
    monkeypatch.setattr(screen, "console", terminal)
    monkeypatch.setenv("TERM", "xterm")
    line = {"update": 2, "steps_per_second": 12_346, "return": {"a": 250.0, "b": None}}
    with screen.TrainingProgress(300, 0) as progress:
        progress.show(line)
    assert "a 250" in out.getvalue() and "mean" not in out.getvalue()
