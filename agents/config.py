"""Typed settings of a training run, and their way to disk and back."""

import dataclasses
import hashlib
import json
import types
import typing
from typing import Any

Settings = typing.TypeVar("Settings", bound="TrainConfig | ModelConfig | PPOConfig")


def _later(default: Any) -> Any:
    """A setting that is younger than published runs: no part of a fingerprint at its default."""
    return dataclasses.field(default=default, metadata={"later": True})


@dataclasses.dataclass(frozen=True)
class MemoryOptions:
    """Settings that only some sequence models have.

    None leaves a setting as the model has it; one that the chosen model lacks is refused.
    """

    state_size: int | None = None
    """S5: complex states per layer, after conjugate symmetry. Its own: width / 2."""
    blocks: int | None = None
    """S5: number of independent HiPPO systems the states start as."""
    discretisation: str | None = None
    """S5: zoh or bilinear."""
    gate: str | None = None
    """S5: half, full or none."""
    norm: str | None = None
    """S5: LayerNorm before a layer (pre) or after it (post)."""
    scan: str | None = None
    """S5, RG-LRU: how the recurrence is computed: sequential, associative, chunked or auto."""
    heads: int | None = None
    """Transformer: attention heads."""
    context: int | None = None
    """Transformer: elements of a sequence that a layer can look back on."""
    horizon: float | None = None
    """GRU, LSTM: untrained units remember for 1 to so many steps."""

    def memory_options(self) -> dict[str, Any]:
        """The settings that are given, by name."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(MemoryOptions)}
        return {name: value for name, value in values.items() if value is not None}


@dataclasses.dataclass(frozen=True)
class ModelConfig(MemoryOptions):
    """The network."""

    memory: str = "s5"
    """The sequence model: s5, gru, lstm, transformer, rglru or mlp (which has no memory)."""
    layers: int = 2
    """Layers of the sequence model."""
    width: int = 64
    """Features between layers."""
    params: int | None = None
    """About how many parameters the sequence model is to have. Sets the width: to compare
    memories of equal size, give each the same number."""
    encoder: tuple[int, ...] = (64,)
    """Widths of the dense layers before the memory."""
    head: tuple[int, ...] = (64,)
    """Widths of the dense layers of policy and value after the memory."""
    separate_value: bool = False
    """Give the value an encoder and a memory of its own."""
    normalise_observations: bool = False
    """Bring observations to mean 0 and variance 1, by what was seen so far in training."""
    lag: bool = _later(False)
    """Show the network the previous observation beside the present one."""
    correlations: bool = _later(False)
    """Show the network products of what the trial has shown so far: of observations with each
    other and of actions with the changes they caused (`agents.learner.correlations`)."""
    identification: bool = _later(False)
    """Beside the correlations, a linear model of the trial's dynamics that is fitted as the trial
    goes on (`agents.learner.identification`)."""
    local_model: bool = _later(False)
    """Beside that model, one of the present surroundings (`agents.learner.local_model`), and the
    inner products of the directions by both."""


@dataclasses.dataclass(frozen=True)
class PPOConfig:
    """Proximal policy optimisation."""

    learning_rate: float = 1.5e-3
    """Of Adam."""
    schedule: str = "linear"
    """Of the learning rate over the run: constant, linear (to zero) or cosine."""
    warmup: float = 0.0
    """Part of the run in which the learning rate rises from zero, before the schedule."""
    gamma: float = 0.99
    """Discount of a step."""
    gae_lambda: float = 0.95
    """Of generalised advantage estimation: 0 trusts the value, 1 the returns."""
    stop_at_termination: bool = False
    """Count no reward beyond an episode that its task terminates, though the trial goes on.
    For tasks that pay for survival: else the next episode makes up for the one that failed."""
    clip: float = 0.2
    """How far an update may change an action's probability: the ratio is held in 1 ± clip."""
    value_coef: float = 0.5
    """Weight of the value's loss."""
    entropy_coef: float = 0.0
    """Weight of the policy's entropy: keeps it exploring."""
    max_grad_norm: float = 0.5
    """Longer gradients are shortened to it."""
    epochs: int = 4
    """Times that an update learns from each rollout."""
    minibatches: int = 4
    """Each holds as many sequences of the rollout; divides envs."""
    bptt: int | None = None
    """Steps through which gradients flow: sequences are cut into segments of so many steps,
    which start from the memories that acting had there. By default whole rollouts."""
    normalise_rewards: bool = False
    """Divide rewards by the spread of their discounted sums so far in training."""
    reward_scale: float = 0.05
    """Rewards are multiplied by it before returns are formed, so that values are near 1."""
    scale_values: bool = _later(False)
    """Learn the value in units of each task's own spread of returns, so that tasks that pay
    little are told apart as well as those that pay much (`agents.learner.moments.TaskScale`)."""
    privileged_critic: bool = _later(False)
    """Show the value, and only it, what the agent has to find out: the task, its true
    observation, the action's projection and the time (`agents.learner.privileged`)."""
    reconstruction_coef: float = _later(0.0)
    """Weight of the squared error with which the memory reconstructs what is privileged."""
    guidance_coef: float = _later(0.0)
    """Weight at first of the squared error between the policy's mean and what an expert of the
    task would do behind the trial's projection (`agents.learner.guidance`)."""
    guidance_until: float = _later(0.5)
    """Part of the run over which that weight falls, linearly, to zero."""
    target_kl: float | None = _later(None)
    """The learning rate is lowered after updates that change the policy by more than this, and
    raised again, up to the schedule's, after those that change it by less. None: never."""
    entropy_floor: float | None = _later(None)
    """A policy's entropy below this costs `entropy_floor_coef` times what is missing, in every
    state. None: nothing."""
    entropy_floor_coef: float = _later(0.03)


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """A training run."""

    preset: str = "demo"
    """Named settings that the others below start from."""
    env: str = "RandomProjection-Lite-v0"
    """Id of the environment; `metaenvs list` shows all. Suites train on their training tasks."""
    env_params: dict[str, int | float] = dataclasses.field(default_factory=dict)
    """Names and values of the environment's parameters to change: memory_length 128."""
    episodes_per_trial: int | None = None
    """Episodes of a trial; by default the suite's own."""
    projection: str | None = None
    """Family of the projections: orthogonal, gaussian, free, permutation, sparse or identity;
    by default the suite's own."""
    observe: tuple[str, ...] = ("action", "reward", "done")
    """What of the step before is observed besides: some of action, reward, done."""
    hold: int = _later(1)
    """For how many environment steps the agent holds an action. Memory and learning see one
    element for each decision; its rewards are summed."""
    init_from: str | None = _later(None)
    """The agent whose parameters training starts from: the folder of a run, or the name of one
    that comes with the package. None: random ones."""
    seed: int = 0
    """Of all that is random in the run."""
    steps: int = 10_000_000
    """Environment steps, all environments together; `hold` of them to a decision."""
    envs: int = 64
    """Environments side by side."""
    trials_per_rollout: int = 1
    """Length of a rollout in whole trials, where trials have a fixed length."""
    rollout_steps: int | None = None
    """Length of a rollout in steps, where trials have no fixed length."""
    checkpoint_every: int = 10
    """Updates between checkpoints."""
    checkpoint_minutes: float = 30.0
    """A checkpoint is also written when the last one is older than this."""
    keep_checkpoints: int = 3
    """How many of the last ones are kept, besides the one of the highest return."""
    model: ModelConfig = ModelConfig()
    ppo: PPOConfig = PPOConfig()

    def __post_init__(self):
        for field, least in (
            ("steps", 1),
            ("envs", 1),
            ("trials_per_rollout", 1),
            ("checkpoint_every", 1),
            ("keep_checkpoints", 2),  # should the last one be damaged
            ("hold", 1),
        ):
            if getattr(self, field) < least:
                raise ValueError(f"{field} must be at least {least}, got {getattr(self, field)}")
        if self.rollout_steps is not None and self.rollout_steps < 1:
            raise ValueError(f"rollout_steps must be at least 1, got {self.rollout_steps}")
        if not self.checkpoint_minutes > 0:
            raise ValueError(f"checkpoint_minutes must be above 0, got {self.checkpoint_minutes}")
        if self.ppo.minibatches < 1 or self.envs % self.ppo.minibatches:
            raise ValueError(
                f"envs={self.envs} must be a multiple of ppo.minibatches={self.ppo.minibatches}"
            )


def to_json(config: TrainConfig) -> str:
    return json.dumps(dataclasses.asdict(config), indent=2) + "\n"


def from_json(text: str) -> TrainConfig:
    """Inverse of `to_json`.

    Raises:
        ValueError: if a field is unknown. A missing one is younger than the text: it gets
            its default, which has to be what runs did before it came.
    """
    return _from_dict(TrainConfig, json.loads(text))


def _from_dict(cls: type, values: dict[str, Any]) -> Any:
    hints = typing.get_type_hints(cls)
    for name in values:
        if name not in hints:
            raise _unknown(name, hints, cls)
    return cls(**{name: _value(hints[name], value) for name, value in values.items()})


def _unknown(name: str, hints: dict[str, Any], cls: type) -> ValueError:
    from metaenvs import errors  # imports JAX, which the settings alone do not need

    return errors.unknown(name, hints, f"field of {cls.__name__}")


def _value(hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _from_dict(hint, value)
    if typing.get_origin(hint) is tuple and not isinstance(hint, types.UnionType):
        return tuple(value)
    return value


def override(config: Settings, values: dict[str, Any]) -> Settings:
    """`config` with nested `values`, as a TOML file holds them, in place of its own.

    Raises:
        ValueError: unknown field, or a value that is not of its type.
    """
    hints = typing.get_type_hints(type(config))
    new = {}
    for name, value in values.items():
        if name not in hints:
            raise _unknown(name, hints, type(config))
        hint, old = hints[name], getattr(config, name)
        nested = dataclasses.is_dataclass(old)
        if not _fits(dict if nested else hint, value):
            expected = hint.__name__ if isinstance(hint, type) else hint
            raise ValueError(f"{name} is {value!r}, which is not of type {expected}")
        new[name] = override(old, value) if nested else _value(hint, value)
    return dataclasses.replace(config, **new)


def _fits(hint: Any, value: Any) -> bool:
    """Whether a value read from a file can be one of this type."""
    inner = typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        return any(_fits(each, value) for each in inner)
    origin = typing.get_origin(hint) or hint
    if origin is tuple:
        return isinstance(value, list) and all(_fits(inner[0], each) for each in value)
    if origin in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, (int, float) if origin is float else origin)


def fingerprint(config: TrainConfig) -> str:
    """Twelve hexadecimal digits that differ when any setting does.

    Settings that came later than published runs count only where they are not at their
    default, which is what those runs did: so their fingerprints stay.
    """
    text = json.dumps(_without_later_defaults(config), indent=2) + "\n"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _without_later_defaults(config: Any) -> dict[str, Any]:
    values = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if "later" in field.metadata and value == field.default:
            continue
        nested = dataclasses.is_dataclass(value)
        values[field.name] = _without_later_defaults(value) if nested else value
    return values


def flat(config: TrainConfig) -> dict[str, Any]:
    """All settings by their dotted names."""

    def of(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
        out: dict[str, Any] = {}
        for name, value in values.items():
            nested = isinstance(value, dict)
            out |= of(value, f"{prefix}{name}.") if nested else {prefix + name: value}
        return out

    return of(dataclasses.asdict(config))


def differences(a: TrainConfig, b: TrainConfig) -> dict[str, tuple[Any, Any]]:
    """Dotted names of the settings in which `a` and `b` differ, with both values."""
    x, y = flat(a), flat(b)
    names = dict.fromkeys([*x, *y])
    return {n: (x.get(n), y.get(n)) for n in names if x.get(n) != y.get(n)}
