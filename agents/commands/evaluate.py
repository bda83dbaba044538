"""`metaenvs evaluate`: measure an agent by a protocol."""

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

import tyro

from agents.commands import options
from agents.failures import RunError


@dataclasses.dataclass(frozen=True)
class EvaluateCommand:
    """Measure a run's last checkpoint, an agent of the package or one of your own by a protocol.

    Prints tables, writes evaluation.json and adaptation.png into the run folder. Stopped, it
    goes on where it was when it is called again. What --name, --trained, --steps, --frames and
    --url say is kept in the file: reports and the leaderboard show it.
    """

    run: tyro.conf.Positional[Path | None] = None
    """Folder of the run."""
    pretrained: str | None = None
    """Instead of a run: name of an agent that comes with the package (`metaenvs list`)."""
    policy: str | None = None
    """Instead of a run: FILE.py:NAME of a policy, or of what makes one when called."""
    backend: str = "host"
    """How --policy is written: host (NumPy, PyTorch, anything) or jax."""
    suite: str = "RandomProjection-v0"
    """Suite that --policy is measured on."""
    quick: bool = False
    """A first look, in about a tenth of the time: few trials, and no result of the protocol."""
    out: Path | None = None
    """Folder to write into; by default the run's own."""
    protocol: str = "rp-v0-eval1"
    """The protocol: rp-v0-eval1."""
    deterministic: bool = False
    """Act by the policy's mean instead of sampling from it."""
    overwrite: bool = False
    """Replace an evaluation that is already there."""
    name: str | None = None
    """What the agent is called."""
    trained: str | None = None
    """How it was trained, in a few words."""
    steps: int | None = None
    """Decisions that it was trained on."""
    frames: int | None = None
    """Frames of the tasks that it was trained on: more than steps where an action is held."""
    url: str | None = None
    """Where it is described."""


def main(argv: list[str]) -> None:
    command = options.parse(EvaluateCommand, argv, "metaenvs evaluate")
    if sum(x is not None for x in (command.run, command.pretrained, command.policy)) != 1:
        raise ValueError(
            "name one agent: metaenvs evaluate RUN, --pretrained NAME or --policy FILE.py:NAME"
        )
    if command.run is None and command.out is None:
        raise ValueError("say where the evaluation of an agent without a run goes: --out FOLDER")
    said = {key: getattr(command, key) for key in ("name", "trained", "steps", "frames", "url")}
    about = {key: value for key, value in said.items() if value is not None}
    # After the arguments are read: these import jax.
    from agents.screen import evaluation_view
    from agents.screen.console import console
    from metaenvs.rendering import adaptation

    result, out = _measured(command, about)
    picture = out / "adaptation.png"
    adaptation.save(result, picture)
    evaluation_view.show(result)
    for file in (out / "evaluation.json", picture):
        console.print(f"wrote {file}", soft_wrap=True)


def _measured(command: EvaluateCommand, about: dict[str, Any]) -> tuple[dict[str, Any], Path]:
    """The evaluation, and the folder that it was written into."""
    from agents.pretrained import PretrainedAgent
    from agents.runs import evaluate
    from agents.runs.run_folder import RunFolder

    if command.policy is not None:
        assert command.out is not None
        about = {"name": command.policy.rpartition(":")[2]} | about
        result = evaluate.evaluate_policy(
            _policy(command.policy),
            command.suite,
            command.protocol,
            about,
            command.out,
            backend=command.backend,
            overwrite=command.overwrite,
            quick=command.quick,
        )
        return result, command.out
    saved: evaluate.Saved
    if command.run is not None:
        saved = RunFolder.open(command.run)
    else:
        assert command.pretrained is not None
        saved = PretrainedAgent(command.pretrained)
        about = {"name": command.pretrained} | about
    out = command.out or saved.path
    result = evaluate.evaluate(
        saved,
        command.protocol,
        command.deterministic,
        command.overwrite,
        out,
        command.quick,
        about,
    )
    return result, out


def _policy(where: str) -> Any:
    """What FILE.py:NAME is; called if it is no policy itself but makes one."""
    file, _, name = where.rpartition(":")
    if not Path(file).is_file() or not name.isidentifier():
        raise RunError(f"--policy {where!r} is not FILE.py:NAME of a file that is there")
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, name):
        raise RunError(f"{file} has no {name!r}")
    found = getattr(module, name)
    makes_one = isinstance(found, type) or (callable(found) and not hasattr(found, "act"))
    policy = found() if makes_one else found
    for method in ("init_carry", "act"):
        if not callable(getattr(policy, method, None)):
            raise RunError(
                f"{where} has no method {method!r}; docs/evaluation.md says what it does"
            )
    return policy
