"""Optional behaviour of components, beyond their group's contract: each hook is a protocol, recognised by its members.

A component opts in by having the members; nothing has to be imported or inherited.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from dqn_lab.schedule import Progress
from dqn_lab.types import Array, Choice, Kernel, NetworkNoise, Purpose, Transition

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@runtime_checkable
class Checks(Protocol):
    """Any component's class: rejects configurations whose values are incompatible."""

    @staticmethod
    def check(config: Mapping[str, Any]) -> Iterable[str]:
        """Returns a line for each problem, such as `buffer.n_step=9: must be at most 5`.

        Args:
            config: the whole run's configuration: `config["buffer"]["n_step"]`.

        `components` prints the method's docstring as the constraints.
        """
        ...


@runtime_checkable
class Warns(Protocol):
    """Any component's class: warns about configurations that are valid but probably unintended."""

    @staticmethod
    def warn(config: Mapping[str, Any]) -> Iterable[str]:
        """Returns a line for each warning, for the whole run's configuration.

        `components` prints the method's docstring as the warnings.
        """
        ...


@runtime_checkable
class Explains(Protocol):
    """Any component's class: says what it does in a composition, with its own values, for `explain`.

    Without it, `explain` uses the first paragraph of its docstring, with parameters in backquotes replaced by their
    values.
    """

    def explain(self, config: Mapping[str, Any]) -> Mapping[str, str]:
        """Returns lines of the pseudo-code by purpose; θ are the online network's parameters, θ⁻ the target network's.

        Exploration: `act`. Buffer: `store`, `draw`, and `rank` if it has priorities. Bootstrap: `next`, and `bonus` if
        it has one. Value: `target`, `loss`, and `priority`, to which `rank` is set. Optimizer: `step`. Target:
        `follow`. Network: `network`.
        """
        ...


@runtime_checkable
class TakesMemory(Protocol):
    """A buffer that knows its size."""

    @property
    def nbytes(self) -> int: ...  # in bytes, when it is full


@runtime_checkable
class Chooses(Protocol):
    """An engine's or a rollout's class: names the component that is built in its place."""

    def choose(self, config: Mapping[str, Any]) -> Choice: ...


@runtime_checkable
class Reports(Protocol):
    """Any component, and any module of the network: adds columns to every episode's row."""

    columns: tuple[str, ...]

    def report(self, progress: Progress) -> Mapping[str, float | None]:
        """Returns each column's value as of the episode's end (exploration: its start); None leaves the cell empty."""
        ...


@runtime_checkable
class AdaptsNetwork(Protocol):
    """A value that turns the chosen network into the one that the engine runs."""

    def adapt(self, network: torch.nn.Module, generator: torch.Generator) -> torch.nn.Module: ...


@runtime_checkable
class DrawsNoise(Protocol):
    """A network whose forward pass is random: draws the noise beforehand, so that every engine sees the same noise."""

    is_noisy: bool  # whether it draws noise in this configuration

    def draw_noise(self, rng: np.random.Generator, batch_size: int, purpose: Purpose) -> NetworkNoise[Array]:
        """Draws the noise of a forward pass over `batch_size` rows."""
        ...


@runtime_checkable
class HasDistribution(Protocol):
    """A value that represents the distribution of a return, which `inspect` draws."""

    def distribution(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Returns values and their probabilities, [..., A, K] each, of outputs [..., A, K]."""
        ...


@runtime_checkable
class HasFeatures(Protocol):
    """A network of features followed by a head; an implicit quantile value inserts its fractions between the two."""

    def features(self, obs: Tensor, noise: Tensor | None = None) -> Tensor: ...  # [B, *O] to [B, F]


@runtime_checkable
class EpsilonGreedy(Protocol):
    """An exploration whose policy is ε-greedy, and so defined by its ε."""

    def policy_epsilon(self, progress: Progress) -> float: ...


@runtime_checkable
class FollowsEpsilon(Protocol):
    """A bootstrap that uses the policy's current ε, `QValues.epsilon`, which is 0 unless the policy is ε-greedy."""

    follows_epsilon: bool


@runtime_checkable
class ActsFast(Protocol):
    """An engine that computes the Q-values of a single observation, on which an agent acts, faster."""

    def acting(self, obs: Array, noise: NetworkNoise[Array] | None = None) -> Array:
        """Maps one observation [1, *O] to Q-values [1, A], as `q_values` does."""
        ...


@runtime_checkable
class EvaluatesTarget(Protocol):
    """An engine that computes the target network's Q-values faster than the network's module does."""

    def target_q_values(self, obs: Array) -> Array:
        """Maps observations [B, *O] to expected values [B, A], without noise."""
        ...


@runtime_checkable
class FallsBack(Protocol):
    """An engine that may hand over to `torch` during a run."""

    fallback: str | None  # why it did; None if it did not


@runtime_checkable
class ShowsVideo(Protocol):
    """A logger that also logs videos of evaluations."""

    def show_video(self, path: Path, step: int) -> None:
        """Logs an mp4 of the evaluation at a step."""
        ...


@runtime_checkable
class Continues(Protocol):
    """A logger that continues where it stopped when a run is resumed; others start from scratch."""

    def position(self) -> dict[str, Any]:
        """Returns its position as plain values, once everything before that is safely on disk."""
        ...

    def resume(self, position: Mapping[str, Any]) -> None:
        """Called before `open`, which then continues from the position.

        Remove what follows the position when the first row is written, not in `open`: if another logger fails to open,
        the run must stay unchanged.
        """
        ...


@runtime_checkable
class RestorableEnv(Protocol):
    """An environment (unwrapped) that can be saved and restored in mid-episode, including its random generator."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


@runtime_checkable
class HasKernel(Protocol):
    """An exploration, a buffer or a target that a compiled rollout can run.

    A subclass that overrides a method of the contract or a private one, but not `kernel`, is run from Python.
    """

    def kernel(self) -> Kernel: ...


@runtime_checkable
class HasUpdateKernel(Protocol):
    """An engine whose kernels other compiled code can call; `FusedEngine` says how."""

    @property
    def flat(self) -> tuple[Array, Array]: ...  # both networks' parameters

    def q_values_kernel(self, batch_size: int, sources: Array | None = None) -> tuple[Any, ...]: ...
    def update_kernel(self, memory: Transition[Array], batch_size: int, sources: Array) -> tuple[Any, ...]: ...


@runtime_checkable
class SteppedByKernels(Protocol):
    """An environment (unwrapped) that compiled code can step; `env.compiled.base.CompiledEnv` is the base class."""

    kernels: tuple[Any, Any]  # reset(state, draws, obs), step(state, action, draws, obs) -> reward, terminated
    state: Array
    draws: Array
    obs: Array

    def connect(self) -> None:
        """Makes `draws` refer to the environment's current generator."""
        ...


@runtime_checkable
class MeasuresSome(Protocol):
    """Diagnostics that measure only some batches; a compiled rollout runs the steps that lead to the others.

    A subclass that overrides `observe`, `before_update` or `after_update`, but not `skip`, is run from Python.
    """

    @property
    def num_unmeasured(self) -> int: ...  # batches before the next one to be measured

    def begin(self, q_start: Callable[[], float]) -> None:
        """Called before an episode's first step if that is compiled; `q_start` returns max Q at its observation."""
        ...

    def skip(self, rewards: Sequence[float], ended: bool, num_batches: int) -> None:
        """Called after compiled steps of one episode, whose batches are not measured."""
        ...


def noise_source(network: object) -> DrawsNoise | None:
    """Returns the network if it draws noise in this configuration."""
    return network if isinstance(network, DrawsNoise) and network.is_noisy else None
