"""What the sinks leave on disk and on the screen."""

import io
import struct

import pytest
from rich.console import Console
from tensorboardX.proto.event_pb2 import Event, SessionLog

from agents.config import TrainConfig
from agents.runs import sinks
from agents.runs.run_folder import RunFolder
from agents.screen import console as screen


def line(update):
    return {
        "update": update,
        "steps": 1000 * update,
        "steps_per_second": 5.0,
        "loss": 0.5 * update,
        "return": {"reached": 7.0 + update, "never_ended": None},
        "return_by_episode": {"reached": [1.0], "never_ended": [None]},
    }


@pytest.fixture
def run(tmp_path):
    return RunFolder.create(tmp_path / "run", TrainConfig())


def write(sink, *updates):
    for update in updates:
        sink.write(line(update))


def events(run):
    """The records of the event files, oldest first: length, its checksum, bytes, theirs."""
    out = []
    for path in sorted(run.path.glob("events*"), key=lambda p: p.stat().st_mtime_ns):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (size,) = struct.unpack_from("<Q", data, at)
            out.append(Event.FromString(data[at + 12 : at + 12 + size]))
            at += 16 + size
    return out


def test_json_lines_of_a_resumed_run_take_the_place_of_those_it_repeats(run):
    write(sinks.JsonLines(run, 0), 1, 2, 3)
    with run.metrics_path.open("a") as file:
        file.write('{"update": 4, "st')  # killed here
    write(sinks.JsonLines(run, 2), 3, 4)
    assert run.read_metrics() == [line(1), line(2), line(3), line(4)]


def test_tensorboard_has_every_line_at_once_and_is_told_where_a_run_resumes(run):
    sink = sinks.TensorBoard(run, 0)
    write(sink, 1, 2)
    values = {
        (event.step, value.tag): value.simple_value
        for event in events(run)  # not closed yet: a killed run has them too
        for value in event.summary.value
    }
    assert values[2000, "train/loss"] == 1.0
    assert values[1000, "return/reached"] == 8.0
    assert not any(tag == "return/never_ended" for _, tag in values)
    sink.close()
    again = sinks.TensorBoard(run, 1)
    write(again, 2)
    again.close()
    starts = [e.step for e in events(run) if e.session_log.status == SessionLog.START]
    assert starts == [1000, 2000]


def test_wandb_writes_offline_under_the_same_id_when_resumed(run, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for done in (0, 2):
        sink = sinks.WandB(run, done)
        write(sink, done + 1, done + 2)
        sink.close()
    name = (run.path / "wandb_id.txt").read_text()
    assert list(run.path.glob(f"wandb/offline-run-*-{name}/run-{name}.wandb"))


def show(monkeypatch, terminal):
    out = io.StringIO()
    monkeypatch.setattr(screen, "console", Console(file=out, force_terminal=terminal, width=100))
    with screen.TrainingProgress(updates=3, done=0) as progress:
        for update in (1, 2, 3):
            progress.show(line(update))
    return out.getvalue()


def test_a_pipe_gets_plain_lines_without_control_characters(monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    text = show(monkeypatch, terminal=False)
    assert all(character.isprintable() or character == "\n" for character in text)
    assert text.splitlines()[0].startswith("update 1/3  5 steps/s  reached 8")
    assert text.splitlines()[-1].startswith("update 3/3")


def test_a_terminal_gets_a_bar(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    text = show(monkeypatch, terminal=True)
    assert "\x1b[" in text and "3/3" in text
