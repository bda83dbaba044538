"""Whether an evaluation file can stand on the leaderboard, checked without running anything."""

from typing import Any

import numpy as np

from agents.report import baselines
from metaenvs import evaluation
from metaenvs.evaluation import reference_scores
from metaenvs.suites import SUITES

TOLD = {
    "name": str,
    "trained": str,
    "steps": int,
    "frames": int,
    "url": str,
}
"""What a submission says of its agent, and of which type that is."""


def faults(result: dict[str, Any]) -> list[str]:
    """What keeps an evaluation from the leaderboard; empty if nothing does."""
    found = [*_about(result["agent"]), *_protocol(result)]
    return found or [*_cells(result), *_random(result)]


def _about(agent: dict[str, Any]) -> list[str]:
    """What is not said of the agent, or not in the way that it has to be."""
    found = []
    for key, kind in TOLD.items():
        value = agent.get(key)
        if not isinstance(value, kind) or isinstance(value, bool) or value == "":
            found.append(f"agent: {key} is {value!r}; give it with --{key}")
    if not found and not agent["url"].startswith("https://"):
        found.append(f"agent: url is {agent['url']!r}, which does not start with https://")
    if not found and min(agent["steps"], agent["frames"]) < 0:
        found.append("agent: steps and frames must not be negative")
    return found


def _protocol(result: dict[str, Any]) -> list[str]:
    suite, protocol = result["suite"], result["protocol"]
    if suite not in SUITES:
        return [f"suite: {suite!r} is none of this package: {', '.join(SUITES)}"]
    if protocol["id"] not in evaluation.PROTOCOLS:
        return [f"protocol: {protocol['id']!r} is none of {', '.join(evaluation.PROTOCOLS)}"]
    if protocol != evaluation.PROTOCOLS[protocol["id"]].as_json():
        return [f"protocol: its settings are not those of {protocol['id']}"]
    return []


def _cells(result: dict[str, Any]) -> list[str]:
    """Cells that are missing, or whose figures are not those of their trials."""
    found = []
    suite, protocol = SUITES[result["suite"]], result["protocol"]
    tasks = {"train": suite.train, "held_out": suite.held_out}
    there = {(entry["cell"], entry["policy"]): entry for entry in result["cells"]}
    for condition in protocol["conditions"]:
        for policy in ("agent", *(control["name"] for control in condition["controls"])):
            for split in condition["splits"]:
                where = f"{split}/{condition['name']}", policy
                entry = there.get(where)
                if entry is None:
                    found.append(f"{': '.join(where)}: missing")
                elif tuple(entry["tasks"]) != tasks[split]:
                    found.append(f"{': '.join(where)}: tasks are {', '.join(entry['tasks'])}")
                else:
                    found += _figures(entry, protocol["trials_per_task"], result["own_episodes"])
    return found


def _figures(entry: dict[str, Any], trials: int, own: int) -> list[str]:
    found, where = [], f"{entry['cell']}: {entry['policy']}"
    for task, values in entry["tasks"].items():
        returns = np.array(values["returns"], float)
        if returns.shape != (trials, entry["episodes"]):
            found.append(f"{where}: {task} has returns of shape {returns.shape}")
        elif not np.isclose(
            returns[:, :own].mean(), values["return"]["value"], rtol=5e-3, atol=1e-2
        ):
            found.append(f"{where}: the return of {task} is not the mean of its trials")
    return found


def _random(result: dict[str, Any]) -> list[str]:
    """Whether random actions were paid what they are paid here: the same tasks, the same trials."""
    if result["suite"] != "RandomProjection-v0":
        return []
    reference = evaluation.load(baselines.paths("s5")[0])
    if result["anchors"] != reference["anchors"]:
        return [f"anchors: they are not those of {reference_scores.__name__}"]
    found = []
    for split in ("train", "held_out"):
        ours, theirs = (
            evaluation.find(each, f"{split}/fresh", evaluation.RANDOM.name)["mean_over_tasks"]
            for each in (reference, result)
        )
        if not ours["return"]["low"] <= theirs["return"]["value"] <= ours["return"]["high"]:
            found.append(
                f"{split}/fresh: random actions got {theirs['return']['value']:.1f}, here "
                f"{ours['return']['value']:.1f}: these are other tasks or other trials"
            )
    return found
