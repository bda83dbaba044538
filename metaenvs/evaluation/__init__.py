"""The evaluation protocol: fixed trials, run to their end, for any policy.

    result = evaluate(policy, "RandomProjection-v0")
    save(result, path)

A policy is anything with `init_carry` and `act` (see `Policy`); nothing here knows about
the agents of this repository. docs/evaluation.md says how scores are computed.
"""

from metaenvs.evaluation.host import HostPolicy, run_trials_on_host
from metaenvs.evaluation.measure import BACKENDS, Progress, evaluate
from metaenvs.evaluation.policy import (
    AGENT,
    RANDOM,
    REDRAWN_EVERY_EPISODE,
    WIPED_EVERY_EPISODE,
    WIPED_EVERY_STEP,
    Control,
    Policy,
    RandomPolicy,
)
from metaenvs.evaluation.protocol import PROTOCOLS, QUICK, Condition, Protocol
from metaenvs.evaluation.results import (
    SCHEMA,
    Partial,
    check_comparable,
    find,
    load,
    save,
    schema,
    validate,
)
from metaenvs.evaluation.trials import Trials, run_trials

__all__ = [
    "AGENT",
    "BACKENDS",
    "PROTOCOLS",
    "QUICK",
    "RANDOM",
    "REDRAWN_EVERY_EPISODE",
    "SCHEMA",
    "WIPED_EVERY_EPISODE",
    "WIPED_EVERY_STEP",
    "Condition",
    "Control",
    "HostPolicy",
    "Partial",
    "Policy",
    "Progress",
    "Protocol",
    "RandomPolicy",
    "Trials",
    "check_comparable",
    "evaluate",
    "find",
    "load",
    "run_trials",
    "run_trials_on_host",
    "save",
    "schema",
    "validate",
]
