"""`metaenvs bench`: how fast environments are on this machine."""

import dataclasses
import json

import tyro

from agents.commands import options


@dataclasses.dataclass(frozen=True)
class BenchCommand:
    """Steps per second under random actions, by number of environments.

    Compilation is not in the figures; it has a column of its own.
    """

    envs: tyro.conf.Positional[tuple[str, ...]] = (
        "RandomProjection-v0",
        "RandomProjection-Lite-v0",
    )
    """Ids of environments, or names of tasks (alone, behind their projections)."""
    batches: tuple[int, ...] = (1, 256, 1024)
    """Environments side by side."""
    json: bool = False
    """Print JSON instead of a table."""


def main(argv: list[str]) -> None:
    command = options.parse(BenchCommand, argv, "metaenvs bench")
    for batch in command.batches:
        if batch < 1:
            raise ValueError(f"batches must be at least 1, got {batch}")
    # After the arguments are read: these import jax.
    import jax

    import metaenvs
    from agents.screen.console import console, show_rows
    from metaenvs.benchmarks import environments

    made: list[tuple] = []
    for name in command.envs:
        if name in metaenvs.tasks.task_names:
            env = metaenvs.RandomProjection([name])
            made.append((name, env, env.default_params))
        else:
            made.append((name, *metaenvs.make(name)))
    rows: list[dict] = []
    for name, env, params in made:
        with console.status(f"measuring {name}"):
            rows += environments.measure(name, env, params, command.batches)
    device = jax.devices()[0].device_kind
    if command.json:
        print(json.dumps({"device": device, "metaenvs": metaenvs.__version__, "rows": rows}))
    else:
        show_rows(f"Random actions, device: {device}", rows)
