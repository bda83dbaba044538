"""What can be evaluated, and in which ways it can be handicapped."""

import dataclasses
from typing import Any, Protocol

import jax


class Policy(Protocol):
    """What can be evaluated.

    If the policy is a pytree (a `flax.struct` dataclass, say), its arrays are arguments of
    the compiled programs and two policies of one structure share them. If not, it is a
    constant of them, and every call of `run_trials` or `evaluate` compiles its own.
    """

    def init_carry(self, n: int) -> Any:
        """An empty memory for `n` environments."""
        ...

    def act(
        self, carry: Any, obs: jax.Array, reset: jax.Array, key: jax.Array
    ) -> tuple[Any, jax.Array]:
        """Actions `[n, action_size]` for `obs [n, observation_size]`.

        Where `reset [n]` holds, the memory is emptied *before* `obs` is read.
        """
        ...


@dataclasses.dataclass(frozen=True)
class RandomPolicy:
    """Uniform in the action box: the zero of the normalised score."""

    action_size: int

    def init_carry(self, n: int) -> tuple[()]:
        return ()

    def act(self, carry, obs, reset, key):
        shape = (obs.shape[0], self.action_size)
        return carry, jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)


@dataclasses.dataclass(frozen=True)
class Control:
    """A way to run a policy without something that it may need.

    Attributes:
        name: its id in results. How it is shown: `metaenvs.evaluation.looks`.
        wipe_every_step: empty its memory before every step.
        wipe_every_episode: empty its memory before every episode.
        redraw_every_episode: every episode is the first of another trial of the same
            task (a new projection, new dynamics where they are drawn), of which only
            the memory is not told: what it has found out is wrong.
        random: act as `RandomPolicy` instead.
    """

    name: str
    wipe_every_step: bool = False
    wipe_every_episode: bool = False
    redraw_every_episode: bool = False
    random: bool = False


AGENT = Control("agent")
WIPED_EVERY_STEP = Control("carry wiped every step", wipe_every_step=True)
WIPED_EVERY_EPISODE = Control("carry wiped every episode", wipe_every_episode=True)
REDRAWN_EVERY_EPISODE = Control("projection redrawn every episode", redraw_every_episode=True)
RANDOM = Control("random", random=True)
