"""S5, the simplified state space layer, with resets.

Layer: Smith et al. 2023, arXiv 2208.04933. Resets: Lu et al. 2023, arXiv 2303.03982, section 4.1.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from agents.sequence_models.base import ResidualBlock, SequenceModel, check_width
from agents.sequence_models.linear import matmul
from agents.sequence_models.scan import choose, linear_recurrence, recurrence_step
from metaenvs import errors

WHOLE_ELEMENTS, PIECE_ELEMENTS = 16_384, 2_048  # steps times batch; see `piece_length`


def hippo_normal(size: int) -> np.ndarray:
    """The normal part of HiPPO-LegS ("HiPPO-N"), [size, size] float64.

    HiPPO-LegS plus the rank-one term p pᵀ with p[n] = sqrt(n + 1/2): -1/2 on the diagonal and
    skew-symmetric off it (Smith et al. 2023).
    """
    half = np.sqrt(np.arange(size) + 0.5)
    skew = np.triu(np.outer(half, half), 1)
    return skew - skew.T - 0.5 * np.eye(size)


def hippo_eigen(state_size: int, blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """Half of the eigensystem of a block-diagonal HiPPO-N matrix: one of each conjugate pair.

    The matrix has `blocks` equal blocks and 2 * state_size rows. Returns its eigenvalues with
    positive imaginary part [state_size], and their orthonormal eigenvectors as the columns of
    V [2 * state_size, state_size]; complex128, NumPy.
    """
    size = 2 * state_size // blocks
    # -i times the skew-symmetric part is Hermitian: eigh gives an orthonormal basis to machine
    # precision, in ascending order, so that the upper half is one of each conjugate pair.
    matrix = hippo_normal(size)
    frequencies, vectors = np.linalg.eigh(-1j * (matrix + 0.5 * np.eye(size)))
    eigenvalues = -0.5 + 1j * frequencies[size // 2 :]
    return np.tile(eigenvalues, blocks), np.kron(np.eye(blocks), vectors[:, size // 2 :])


class DiscreteSSM(NamedTuple):
    """A discretised layer: all that its recurrence needs.

    Complex products are written as real ones on stacked real and imaginary parts; as complex
    matrix products the projections took 4 to 9 times as long on CPU.
    """

    a: jax.Array  # [P] complex, the diagonal state matrix
    b: jax.Array  # [width, 2P], columns: real parts, then imaginary parts
    c: jax.Array  # [2P, width], so that [Re x, Im x] @ c = 2 Re(C x)
    d: jax.Array  # [width], the feed-through

    def project_in(self, u):
        """u [..., width] -> B u [..., P], complex."""
        real, imag = jnp.split(matmul(u, self.b), 2, axis=-1)
        return jax.lax.complex(real, imag)

    def project_out(self, x, u):
        """States x [..., P] and inputs u [..., width] -> 2 Re(C x) + D u, [..., width]."""
        return matmul(jnp.concatenate([x.real, x.imag], axis=-1), self.c) + self.d * u

    def scan(self, state, u, reset, method):
        """u [T, B, width], reset [T, B] -> (state [B, P], y [T, B, width])."""
        x = linear_recurrence(self.a, self.project_in(u), reset, state, method)
        return x[-1], self.project_out(x, u)

    def step(self, state, u, reset):
        """u [B, width], reset [B] -> (state [B, P], y [B, width])."""
        x = recurrence_step(self.a, self.project_in(u), reset, state)
        return x, self.project_out(x, u)


def zero_order_hold(eigenvalues, step):
    """The input held constant over a step: A = exp(ΛΔ), and Λ⁻¹ (A - 1), which B is times."""
    # expm1: ΛΔ may be as small as 5e-4.
    return jnp.exp(eigenvalues * step), jnp.expm1(eigenvalues * step) / eigenvalues


def bilinear(eigenvalues, step):
    """Tustin's rule: A = (1 + ΛΔ/2) / (1 - ΛΔ/2), and Δ / (1 - ΛΔ/2), which B is times."""
    denominator = 1 - eigenvalues * step / 2
    return (1 + eigenvalues * step / 2) / denominator, step / denominator


DISCRETISATIONS = {"zoh": zero_order_hold, "bilinear": bilinear}


class S5Layer(nn.Module):
    """The parameters of one continuous-time layer, x' = Λ x + B u, y = 2 Re(C x) + D u.

    Fields as in `S5`. Parameters, all real so that optimisers see reals (P = state_size):
    log_decay, frequency [P]    Λ = -exp(log_decay) + i frequency: stable whatever is learned
    log_step [P]                log Δ, one per state, initially log-uniform
    B [2, P, width]             real and imaginary part
    C [2, width, P]             likewise
    D [width]

    B and C start as Vᴴ B' and C' V with real Gaussian B', C': the layer starts as a real system
    whose state matrix is block-diagonal HiPPO-N, in its eigenvectors' coordinates.
    """

    width: int
    state_size: int
    blocks: int
    dt_min: float
    dt_max: float
    discretisation: str = "zoh"

    def setup(self):
        if not 0 < self.dt_min <= self.dt_max:
            raise ValueError(
                f"time steps must have 0 < dt_min <= dt_max, got {self.dt_min} and {self.dt_max}"
            )
        if self.state_size % self.blocks:
            raise ValueError(
                f"state_size {self.state_size} cannot be split into blocks={self.blocks}"
            )
        eigenvalues, vectors = hippo_eigen(self.state_size, self.blocks)
        states = 2 * self.state_size

        def constant(value):
            return lambda key: jnp.asarray(value, jnp.float32)

        def pair(z):
            return jnp.stack([z.real, z.imag])

        def init_b(key):
            dense = jax.random.normal(key, (states, self.width)) / np.sqrt(self.width)
            return pair(jnp.asarray(vectors.conj().T, jnp.complex64) @ dense)

        def init_c(key):
            dense = jax.random.normal(key, (self.width, states)) / np.sqrt(states)
            return pair(dense @ jnp.asarray(vectors, jnp.complex64))

        def init_log_step(key):
            low, high = np.log(self.dt_min), np.log(self.dt_max)
            return jax.random.uniform(key, (self.state_size,), minval=low, maxval=high)

        self.log_decay = self.param("log_decay", constant(np.log(-eigenvalues.real)))
        self.frequency = self.param("frequency", constant(eigenvalues.imag))
        self.log_step = self.param("log_step", init_log_step)
        self.B = self.param("B", init_b)
        self.C = self.param("C", init_c)
        self.D = self.param("D", nn.initializers.normal(1.0), (self.width,))

    def discretise(self) -> DiscreteSSM:
        """The layer in discrete time, by the chosen rule in `DISCRETISATIONS`."""
        rule = errors.lookup(DISCRETISATIONS, self.discretisation, "discretisation")
        eigenvalues = jax.lax.complex(-jnp.exp(self.log_decay), self.frequency)
        a, gain = rule(eigenvalues, jnp.exp(self.log_step))
        b = gain[:, None] * jax.lax.complex(self.B[0], self.B[1])
        return DiscreteSSM(
            a=a,
            b=jnp.concatenate([b.real, b.imag]).T,
            c=2 * jnp.concatenate([self.C[0], -self.C[1]], axis=1).T,
            d=self.D,
        )


def piece_length(length: int, batch: int) -> int:
    """Of how many steps the pieces are in which a sequence [length, batch] is read.

    What all layers make of a piece stays in the processor's cache; for the gradient it is computed
    a second time instead of being kept, so memory does not grow with it. That costs less than the
    traffic it saves once sequences are large (docs/performance.md). Small ones are read whole, and
    so are those whose length has no divisor near the wanted one.
    """
    if length * batch <= WHOLE_ELEMENTS:
        return length
    longest = max(PIECE_ELEMENTS // batch, 1)
    piece = max(n for n in range(1, longest + 1) if length % n == 0)
    return piece if 4 * piece >= longest else length


class S5(SequenceModel):
    """A stack of S5 layers in residual blocks, each with its own LayerNorm and gate.

    width       size D of the input, of the output and of everything between layers
    layers      number of layers
    state_size  P, the number of *complex* states stored and computed per layer; None: half the
                width. Conjugate symmetry doubles them: a layer is a real system of 2 * P states
                (the `ssm_size` of the S5 authors' code counts those, so it is 2 * state_size)
    blocks      the 2 * P states start as `blocks` independent HiPPO-N systems (the S5 paper's J),
                that is, with P / blocks different frequencies; P must be a multiple of blocks.
                More blocks: more channels, each with fewer and slower frequencies
    dt_min/max  range of the initial time steps Δ
    discretisation  a name in `DISCRETISATIONS`: "zoh" or "bilinear"
    gate, norm  see `ResidualBlock`
    scan        see `scan.choose`

    The carry holds one complex array [B, P] per layer.
    """

    layers: int = 4
    state_size: int | None = None
    blocks: int = 1
    dt_min: float = 0.001
    dt_max: float = 0.1
    discretisation: str = "zoh"
    gate: str = "half"
    norm: str = "pre"
    scan: str = "auto"

    @property
    def states(self) -> int:
        """P, the number of complex states per layer."""
        return self.width // 2 if self.state_size is None else self.state_size

    @property
    def width_multiple(self) -> int:
        return 2 * self.blocks if self.state_size is None else 1

    def setup(self):
        self.ssm = [
            S5Layer(
                self.width, self.states, self.blocks, self.dt_min, self.dt_max, self.discretisation
            )
            for _ in range(self.layers)
        ]
        self.residual = [
            ResidualBlock(self.width, self.gate, self.norm) for _ in range(self.layers)
        ]

    def init_carry(self, batch: int) -> tuple[jax.Array, ...]:
        return tuple(jnp.zeros((batch, self.states), jnp.complex64) for _ in range(self.layers))

    def __call__(self, carry, x, reset):
        constants = self.step_constants()

        def read(model, carry, piece):
            x, reset = piece

            def recur(ssm, state, u):
                return ssm.scan(state, u, reset, model.scan)

            return model._stack(recur, constants, carry, x)

        length, batch = reset.shape
        # Scans that are parallel in time want all of it at once.
        parallel = choose(self.scan, length) != "sequential"
        piece = length if parallel else piece_length(length, batch)
        if piece == length:
            return read(self, carry, (x, reset))
        read_all = nn.scan(
            nn.remat(read, prevent_cse=False),
            variable_broadcast="params",
            split_rngs={"params": False},
        )
        pieces = (v.reshape(-1, piece, *v.shape[1:]) for v in (x, reset))
        carry, y = read_all(self, carry, tuple(pieces))
        return carry, y.reshape(x.shape)

    def step_constants(self) -> tuple[DiscreteSSM, ...]:
        """The discretised layers: a tuple of `DiscreteSSM`."""
        return tuple(layer.discretise() for layer in self.ssm)

    def step(self, constants, carry, x, reset):
        def recur(ssm, state, u):
            return ssm.step(state, u, reset)

        return self._stack(recur, constants, carry, x)

    def _stack(self, recur, constants, carry, x):
        check_width(self.width, x)
        states = []
        for block, ssm, state in zip(self.residual, constants, carry, strict=True):
            state, y = recur(ssm, state, block.prepare(x))
            states.append(state)
            x = block.add(x, y)
        return tuple(states), x
