"""The training program and the run folder, on a tiny agent."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents import cli, loop
from agents import config as configs
from agents.config import ModelConfig, PPOConfig, TrainConfig
from agents.errors import DivergedError, RunError
from agents.run_folder import RunFolder
from agents.train import Trainer

TINY = TrainConfig(
    steps=4 * 500 * 4,  # four updates
    envs=4,
    checkpoint_every=1,
    model=ModelConfig(layers=1, width=8, state_size=4, encoder=(8,), head=(8,)),
    ppo=PPOConfig(minibatches=2, epochs=1),
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
    deadline = time.monotonic() + 300
    while not (path / "metrics.jsonl").exists() or not RunFolder.open(path).latest_update:
        assert time.monotonic() < deadline and child.poll() is None
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
    for config in configs.PRESETS.values():
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
    (["train", "--model.params", "9"], "smallest 's5' with these settings has"),
    (["train", "--observe", "rewards"], "'rewards'. Did you mean 'reward'"),
    (["train", "--envs", "63"], "envs=63 must be a multiple of ppo.minibatches=4"),
    (["train", "--steps", "0"], "steps must be at least 1, got 0"),
    (["evaluate", "nowhere"], "nowhere is no run folder"),
]


@pytest.mark.parametrize(("argv", "message"), CLI_ERRORS)
def test_bad_command_lines_are_one_clear_line(argv, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(argv) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert "Traceback" not in output.err
    assert not list(tmp_path.iterdir())  # nothing was created on the way


def test_commands_on_existing_runs_refuse(finished, capsys):
    out = ["--out", str(finished.path)]
    assert cli.main(["train", "--preset", "demo", *TINY_FLAGS, *out]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert cli.main(["evaluate", str(finished.path), "--protocol", "rp-v1"]) == 2
    assert "unknown protocol 'rp-v1'. Did you mean 'rp-v0-eval1'" in capsys.readouterr().err


def test_list_shows_ids_splits_sizes_and_families(capsys):
    assert cli.main(["list"]) == 0
    output = capsys.readouterr().out
    for word in ("RandomProjection-v0", "held out", "pendulum_swingup", "orthogonal", "500 steps"):
        assert word in output
