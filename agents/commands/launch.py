"""Runs of an experiment as jobs of their own: on this machine or a SLURM cluster, by submitit."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from agents.failures import RunError
from agents.runs import experiment
from agents.runs.experiment import Experiment, Member

LONGEST = 7 * 24 * 60
"""Minutes after which a local job ends, unless another limit is given."""


@dataclasses.dataclass(frozen=True)
class Job:
    """Trains and evaluates some runs of a list, each from where it stands.

    Attributes:
        file: the list.
        out: the experiment's folder.
        members: which runs, in the order of work.
    """

    file: Path
    out: Path
    members: tuple[Member, ...]

    def __call__(self) -> bool:
        """Whether all are done."""
        from agents.commands.training import given_for

        listed = experiment.read(self.file)
        return experiment.walk(listed, self.out, print, given_for, self.members)

    def checkpoint(self) -> Any:
        """What submitit puts into the queue again when the job is preempted or at its limit.

        The same job: its runs go on from their last checkpoints.
        """
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    __submitit_checkpoint__ = checkpoint  # submitit calls it so from 2.0 on


def submit(
    listed: Experiment,
    file: Path,
    out: Path,
    cluster: Literal["local", "slurm"],
    parallel: int,
    settings: Mapping[str, Any],
) -> list[Any]:
    """Jobs, of submitit, that train and evaluate all that is still lacking in `out`.

    Args:
        listed: what `file` lists; each job reads the file again, where it runs.
        cluster: on this machine as many jobs as `parallel`, which share the runs; on SLURM an
            array of a job for each run, of which `parallel` are active at a time.
        settings: of submitit's `AutoExecutor`, such as timeout_min or slurm_partition.

    Raises:
        RunError: without submitit or without SLURM, or if a run was started with other settings.
        ValueError: if `parallel` is not positive, or submitit refuses a setting.
    """
    if parallel < 1:
        raise ValueError(f"parallel must be at least 1, got {parallel}")
    experiment.check_folders(listed, out)
    members = experiment.unfinished(listed, out)
    try:
        import submitit
    except ImportError as error:
        raise RunError(f'jobs need submitit: pip install "metaenvs[cluster]" ({error})') from error
    count = min(parallel, len(members)) if cluster == "local" else len(members)
    file, out = file.resolve(), out.resolve()
    jobs = [Job(file, out, tuple(members[i::count])) for i in range(count)]
    if not jobs:
        return []
    usual: dict[str, Any] = {"slurm_array_parallelism": parallel}
    if cluster == "local":
        usual["timeout_min"] = LONGEST
    try:
        executor = submitit.AutoExecutor(out / "jobs", cluster)
        executor.update_parameters(name=file.stem, **{**usual, **settings})
    except (NameError, AssertionError, TypeError, ValueError) as error:
        raise ValueError(f"submitit refuses a setting of --job: {error}") from error
    except RuntimeError as error:
        raise RunError(f"no jobs on {cluster}: {error}") from error
    with executor.batch():
        return [executor.submit(job) for job in jobs]


def wait(job: Any) -> str | None:
    """What went wrong in a job, when it has ended; None: nothing."""
    from submitit.core.utils import UncompletedJobError

    try:
        return (
            None if job.result() else f"job {job.job_id} has left runs undone: {job.paths.stdout}"
        )
    except UncompletedJobError:
        return f"job {job.job_id} failed: {job.paths.stderr} says why"
