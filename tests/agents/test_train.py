"""The training program and the run folder, on a tiny agent."""

import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import cli, presets
from agents import config as configs
from agents.failures import DivergedError, RunError
from agents.learner.trainer import Trainer
from agents.runs import loop, sinks
from agents.runs.run_folder import RunFolder
from metaenvs import projections

DEMO = presets.preset("demo")  # what the command line starts from
TINY = dataclasses.replace(
    DEMO,
    steps=4 * 500 * 4,  # four updates
    envs=4,
    checkpoint_every=1,
    model=dataclasses.replace(DEMO.model, layers=1, width=8, state_size=4, encoder=(8,), head=(8,)),
    ppo=dataclasses.replace(DEMO.ppo, minibatches=2, epochs=1),
)
TINY_FLAGS = [
    "--steps", "8000", "--envs", "4", "--checkpoint-every", "1",
    "--model.layers", "1", "--model.width", "8", "--model.state-size", "4",
    "--model.encoder", "8", "--model.head", "8",
    "--ppo.minibatches", "2", "--ppo.epochs", "1",
]  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of four updates, never interrupted."""
    run = RunFolder.create(tmp_path_factory.mktemp("runs") / "whole", TINY)
    loop.train(run)
    return run


def leaves(run):
    return jax.tree.leaves(run.checkpoints.restore(Trainer(run.config).state_shapes())[1])


def test_rollouts_are_whole_trials():
    trainer = Trainer(TINY)
    assert trainer.rollout_length == 500 and trainer.updates == 4
    state, metrics = trainer.update(trainer.init())
    assert bool(state.reset.all())  # every environment stands at a trial's start
    assert metrics["return_count"].sum() == 4 * 2  # two episodes each


def test_replayed_sequence_equals_what_was_acted():
    trainer = Trainer(TINY)
    state = trainer.init()
    after, _, rollout, _ = jax.jit(trainer._rollout)(state, jax.random.key(0))
    carry, policy, value = trainer.network.apply(
        state.params, state.carry, rollout.obs, rollout.reset
    )
    np.testing.assert_allclose(value, rollout.value, rtol=2e-3, atol=1e-4)
    log_prob = policy.log_prob(rollout.action)
    np.testing.assert_allclose(log_prob, rollout.log_prob, rtol=2e-3, atol=2e-3)
    for x, y in zip(jax.tree.leaves(carry), jax.tree.leaves(after.carry), strict=True):
        np.testing.assert_allclose(x, y, rtol=2e-3, atol=1e-4)
    # The memory is emptied at trial starts alone, and trials end with the rollout here.
    assert rollout.reset[0].all() and not rollout.reset[1:].any()
    assert rollout.truncated[-1].all() and not rollout.truncated[:-1].any()
    assert (np.abs(rollout.final_value[-1]) > 0).all()
    assert (rollout.final_value[:-1] == 0).all()


def test_carry_is_reset_at_trial_ends_only():
    trainer = Trainer(dataclasses.replace(TINY, trials_per_rollout=2))
    state = trainer.init()
    _, _, rollout, episodes = jax.jit(trainer._rollout)(state, jax.random.key(0))
    assert np.flatnonzero(rollout.reset[:, 0]).tolist() == [0, 500]
    assert np.flatnonzero(episodes["episode_over"][:, 0]).tolist() == [249, 499, 749, 999]


def test_metrics_are_whole_and_finite(finished):
    lines = finished.read_metrics()
    assert [x["update"] for x in lines] == [1, 2, 3, 4]
    assert [x["steps"] for x in lines] == [2000, 4000, 6000, 8000]
    for line in lines:
        assert np.isfinite([line["loss"], line["approx_kl"], line["explained_variance"]]).all()
        assert set(line["return"]) == {"cartpole_swingup", "point_mass_easy", "reacher_easy"}
    # A task that no environment drew has no return, not a NaN.
    assert "NaN" not in finished.metrics_path.read_text()


def test_killed_run_resumes_to_the_same_bits(finished, tmp_path):
    path = tmp_path / "killed"
    command = [sys.executable, "-m", "agents.cli", "train", "--preset", "demo", *TINY_FLAGS]
    command += ["--out", str(path), "--resume"]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    while not (path / "metrics.jsonl").exists() or not RunFolder.open(path).latest_update:
        assert child.poll() is None  # it is still training
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert RunFolder.open(path).latest_update < 4
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    resumed = RunFolder.open(path)
    assert resumed.config == finished.config
    assert [x["update"] for x in resumed.read_metrics()] == [1, 2, 3, 4]
    for x, y in zip(leaves(finished), leaves(resumed), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.slow
def test_run_killed_at_five_random_moments_ends_in_the_same_bits(tmp_path):
    updates, moments = 60, random.Random()
    seed = moments.randrange(2**32)
    print(f"moments drawn by random.Random({seed})")
    moments.seed(seed)
    flags = [*TINY_FLAGS, "--steps", str(updates * 2000), "--checkpoint-every", "3"]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}

    def command(path):
        run = [sys.executable, "-m", "agents.cli", "train", *flags, "--out", str(path)]
        return [*run, "--resume"]

    def lines(path):
        file = path / "metrics.jsonl"
        return len(file.read_text().splitlines()) if file.exists() else 0

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(whole), env=environment, stdout=subprocess.DEVNULL, check=True)
    # Once while it starts, four times while it trains, logs and saves.
    for target in [0, *sorted(moments.sample(range(1, updates - 5), 4))]:
        child = subprocess.Popen(command(killed), env=environment, stdout=subprocess.DEVNULL)
        while lines(killed) < target and child.poll() is None:
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.3 if target else 5.0))
        child.send_signal(signal.SIGKILL)
        child.wait()
        print(f"killed with {lines(killed)} lines logged, exit status {child.returncode}")
    subprocess.run(command(killed), env=environment, stdout=subprocess.DEVNULL, check=True)
    first, second = RunFolder.open(whole), RunFolder.open(killed)
    assert [x["update"] for x in second.read_metrics()] == list(range(1, updates + 1))
    for x, y in zip(first.read_metrics(), second.read_metrics(), strict=True):
        assert {**x, "seconds": 0, "steps_per_second": 0} == {
            **y, "seconds": 0, "steps_per_second": 0,
        }  # fmt: skip
    for x, y in zip(leaves(first), leaves(second), strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_damaged_last_checkpoint_is_passed_over_and_written_again(finished, tmp_path, capsys):
    path = tmp_path / "damaged"
    shutil.copytree(finished.path, path)
    largest = max((path / "checkpoints" / "4").rglob("*"), key=lambda p: p.stat().st_size)
    os.truncate(largest, largest.stat().st_size // 2)
    resumed = RunFolder.resume(path, TINY)
    assert loop.train(resumed)
    assert "checkpoint 4 in" in capsys.readouterr().out
    for x, y in zip(leaves(finished), leaves(resumed), strict=True):
        np.testing.assert_array_equal(x, y)


def test_the_checkpoint_of_the_highest_return_is_kept(tmp_path, monkeypatch):
    config = dataclasses.replace(TINY, keep_checkpoints=2, steps=6 * 2000)
    run = RunFolder.create(tmp_path / "run", config)
    returns = {1: 1.0, 2: 9.0, 3: 5.0, 4: None, 5: 7.0, 6: 8.0}
    line = loop._line

    def with_return(trainer, update, *rest):
        return {**line(trainer, update, *rest), "return": {"a": returns[update], "b": 1.0}}

    monkeypatch.setattr(loop, "_line", with_return)
    loop.train(run)
    assert run.checkpoints.updates == [2, 5, 6]
    assert run.checkpoints.best == 2 and run.latest_update == 6


def test_a_checkpoint_is_due_by_the_clock(tmp_path):
    config = dataclasses.replace(TINY, checkpoint_every=100, checkpoint_minutes=1e-9)
    run = RunFolder.create(tmp_path / "run", config)
    loop.train(run)
    assert {2, 3, 4} <= set(run.checkpoints.updates)  # the last three


def test_metrics_that_cannot_be_written_name_the_last_checkpoint(tmp_path, monkeypatch):
    run = RunFolder.create(tmp_path / "run", TINY)
    write = sinks.JsonLines.write

    def full(self, line):
        if line["update"] == 3:
            raise OSError(28, "No space left on device")
        write(self, line)

    monkeypatch.setattr(sinks.JsonLines, "write", full)
    with pytest.raises(RunError, match=r"No space left on device.*update 2\..*--resume"):
        loop.train(run)
    monkeypatch.undo()
    assert loop.train(RunFolder.resume(run.path, TINY))


def test_a_termination_signal_saves_the_present_update(tmp_path, monkeypatch):
    run = RunFolder.create(tmp_path / "run", dataclasses.replace(TINY, checkpoint_every=100))
    update = Trainer.update

    def update_and_terminate(self, state):
        if int(state.update) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return update(self, state)

    monkeypatch.setattr(Trainer, "update", update_and_terminate)
    assert not loop.train(run)
    assert run.latest_update == 2 and len(run.read_metrics()) == 2
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_runs_are_not_overwritten(finished, tmp_path):
    with pytest.raises(RunError, match=r"whole exists.*--resume.*--overwrite"):
        RunFolder.create(finished.path, TINY)
    (tmp_path / "thesis.tex").write_text("dear")
    with pytest.raises(RunError, match="holds no run"):
        RunFolder.create(tmp_path, TINY, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "dear"


def test_resume_refuses_other_settings(finished):
    other = dataclasses.replace(TINY, model=dataclasses.replace(TINY.model, width=16))
    with pytest.raises(RunError, match=r"other settings \(model.width: 8 there, 16 here\)"):
        RunFolder.resume(finished.path, other)


def test_checkpoint_of_another_architecture_is_refused(finished, tmp_path):
    path = tmp_path / "edited"
    path.mkdir()
    (path / "checkpoints").symlink_to(finished.path / "checkpoints")
    other = dataclasses.replace(TINY, model=dataclasses.replace(TINY.model, width=16))
    (path / "config.json").write_text(configs.to_json(other))
    with pytest.raises(RunError, match=r"does not fit the run's config.json.*saved.*expected"):
        leaves(RunFolder.open(path))


def test_divergence_stops_the_run_and_names_the_last_good_checkpoint(tmp_path, monkeypatch):
    run = RunFolder.create(tmp_path / "run", TINY)
    update = Trainer.update

    def diverge(self, state):
        state, metrics = update(self, state)
        loss = jnp.where(state.update >= 3, jnp.nan, metrics["loss"])
        return state, {**metrics, "loss": loss}

    monkeypatch.setattr(Trainer, "update", diverge)
    with pytest.raises(DivergedError, match=r"nan in update 3; .* that of update 2"):
        loop.train(run)
    assert len(run.read_metrics()) == 2


def test_config_survives_json():
    for config in presets.PRESETS.values():
        assert configs.from_json(configs.to_json(config)) == config
    text = json.dumps({**dataclasses.asdict(TINY), "envz": 3})
    with pytest.raises(ValueError, match=r"unknown field of TrainConfig 'envz'.*Choices:.* envs,"):
        configs.from_json(text)


CLI_ERRORS = [
    (["trane"], "unknown command 'trane'. Choices: list, train, evaluate, render"),
    (["train", "--preset", "demmo"], "unknown preset 'demmo'. Did you mean 'demo'"),
    (["train", "--env", "RandomProjection-v9"], "unknown environment id 'RandomProjection-v9'"),
    (["train", "--projection", "haar"], "unknown projection family 'haar'"),
    (["train", "--model.memory", "rnn"], "unknown sequence model 'rnn'"),
    (["train", "--model.memory", "gru", "--model.blocks", "2"], "'gru' 'blocks'. Choices: width"),
    (["train", "--model.gate", "quarter"], "unknown gate 'quarter'. Choices: half, full, none"),
    (["train", "--model.scan", "fast"], "unknown scan method 'fast'. Choices: auto, sequential"),
    (["train", "--model.params", "9"], "smallest 's5' with these settings has"),
    (["train", "--observe", "rewards"], "'rewards'. Did you mean 'reward'"),
    (["train", "--envs", "63"], "envs=63 must be a multiple of ppo.minibatches=4"),
    (["train", "--steps", "0"], "steps must be at least 1, got 0"),
    (["train", "--seeds", "0"], "seeds must be at least 1, got 0"),
    (["train", "--devices", "99"], "devices must be in 1.."),
    (["train", "--logs", "tensorbord"], "unknown log 'tensorbord'. Did you mean 'tensorboard'"),
    (["train", "--checkpoint-minutes", "0"], "checkpoint_minutes must be above 0, got 0"),
    (["train", "--keep-checkpoints", "1"], "keep_checkpoints must be at least 2, got 1"),
    (["train", "--coordinator", "here", "--processes", "2", "--process-id", "0"], "HOST:PORT"),
    (["train", "--resume", "--overwrite"], "give --resume or --overwrite, not both"),
    (["evaluate", "nowhere"], "nowhere is no run folder"),
]


@pytest.mark.parametrize(("argv", "message"), CLI_ERRORS)
def test_bad_command_lines_are_one_clear_line(argv, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Trainer, "init_from", None)  # the first program that is compiled
    assert cli.main(argv) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert "Traceback" not in output.err
    assert not list(tmp_path.iterdir())  # nothing was created on the way


def test_an_unknown_field_is_refused(capsys):
    with pytest.raises(SystemExit) as status:
        cli.main(["train", "--model.widht", "8"])
    assert status.value.code == 2
    assert "--model.widht" in capsys.readouterr().err


def test_commands_on_existing_runs_refuse(finished, capsys):
    out = ["--out", str(finished.path)]
    other = ["train", "--preset", "demo", *TINY_FLAGS, *out, "--resume", "--model.width", "16"]
    assert cli.main(other) == 2
    assert "other settings (model.width: 8 there, 16 here)" in capsys.readouterr().err
    assert cli.main(["train", "--preset", "demo", *TINY_FLAGS, *out]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert cli.main(["evaluate", str(finished.path), "--protocol", "rp-v1"]) == 2
    assert "unknown protocol 'rp-v1'. Did you mean 'rp-v0-eval1'" in capsys.readouterr().err


def test_list_shows_ids_splits_sizes_and_families(capsys):
    assert cli.main(["list"]) == 0
    output = capsys.readouterr().out
    for word in ("RandomProjection-v0", "held out", "pendulum_swingup", "brax_ant", "500 steps"):
        assert word in output
    for family in projections.FAMILIES:
        assert family in output
