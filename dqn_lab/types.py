"""The data that the parts exchange, and the contract of each part; optional behaviour is in `hooks.py`.

Letters in shape comments, here and everywhere: `B` batch, `A` actions, `K` outputs per action (1 for an expected
value; atoms or quantiles for a distribution), `O` an observation's own shape, `n` steps of an n-step window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dqn_lab.errors import ConfigError as ConfigError
from dqn_lab.errors import StateError as StateError
from dqn_lab.errors import TrainingError as TrainingError
from dqn_lab.errors import one_line as one_line

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dqn_lab.schedule import Progress

T = TypeVar("T")
Array = NDArray[Any]
Row = Mapping[str, float | int | None]  # a value per column
Table = Literal["episodes", "evaluations", "timing"]
Draw = Callable[[], float]  # draws the next uniform number in [0, 1) from a stream
Purpose = Literal["acting", "online", "selector", "target"]  # of a forward pass


class Transition(NamedTuple, Generic[T]):
    """A batch of transitions. The loss needs nothing else: it never sees γ, n or how an episode ended."""

    obs: T  # [B, *O]
    action: T  # [B], int64
    reward: T  # [B], the discounted sum over a window of k ≤ n steps
    next_obs: T  # [B, *O], k steps later
    discount: T  # [B], γᵏ, or 0 where the episode terminated


class Batch:
    """What a buffer samples: transitions, importance weights (None: all equal), and where they are stored.

    Args:
        memory: the stored transitions, [N, …] each; the batch itself if `rows` is None.
        weights: importance weights, [B].
        indices: [B], by which the buffer identifies the transitions.
        rows: [B], their rows in the memory, where an engine may read them without making a copy.
    """

    __slots__ = ("_transition", "indices", "memory", "rows", "weights")

    def __init__(
        self,
        memory: Transition[Array],
        weights: Array | None,
        indices: NDArray[np.int64],
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        self.memory, self.weights, self.indices = memory, weights, indices
        self.rows = np.arange(len(indices)) if rows is None else rows
        self._transition = memory if rows is None else None

    @property
    def transition(self) -> Transition[Array]:
        """The transitions, [B, …] each, copied from the memory on first use."""
        if self._transition is None:
            self._transition = Transition(*[array.take(self.rows, axis=0) for array in self.memory])
        return self._transition


class Bootstrapped(NamedTuple):
    """A bootstrap's result: how to estimate the value of the next state."""

    probabilities: Tensor  # [B, A], over the next actions
    shift: Tensor  # [B, A], added to the value of each next action
    bonus: Tensor  # [B], added to the reward


class Loss(NamedTuple):
    """The loss, Q-value and priority of each transition in a batch."""

    loss: Tensor  # [B]
    q_value: Tensor  # [B], expected Q(s, a) of the action taken
    priority: Tensor  # [B], what prioritised replay ranks by, ≥ 0


class NetworkNoise(NamedTuple, Generic[T]):
    """The noise for one forward pass of a network with the hook `DrawsNoise`."""

    shared: T | None = None  # [D], one draw for the whole batch
    rows: T | None = None  # [B, M], a draw for each row of the batch


class Noise(NamedTuple):
    """All random numbers of one update, drawn outside it, so that every engine sees the same draws."""

    minibatches: Sequence[NDArray[np.int64]] | None = None  # rows of each gradient step; None: one step over all rows
    online: NetworkNoise[Any] | None = None  # for the online network at s
    selector: NetworkNoise[Any] | None = None  # for the online network at s′
    target: NetworkNoise[Any] | None = None  # for the target network, at s′ and at s


class Update(NamedTuple):
    """The result of one call of an engine's update."""

    loss: float  # averaged over the batch
    q_value: float  # averaged over the batch
    priorities: Array  # [B]
    num_updates: int  # gradient steps taken


class Stride(NamedTuple):
    """What happened between two points of a run."""

    before: Progress
    after: Progress
    episodes: Sequence[Row]  # a row for each episode that ended


class Choice(NamedTuple):
    """The component that is built in place of one with the hook `Chooses`."""

    name: str
    reason: str
    rejected: Mapping[str, str]  # each other name, and why it was not chosen


class Kernel(NamedTuple):
    """A component in compiled code, for a compiled rollout. It shares the component's state or works on a copy."""

    functions: tuple[Any, ...]  # made by `_numba.kernel`: the group's compiled contract, in its order
    state: tuple[Any, ...]  # arrays and numbers; the last argument of each function
    enter: Callable[[Progress, Progress], None]  # called before a stride between these points: updates `state`
    leave: Callable[[], None]  # called after the stride: updates the component


class QValues(Protocol):
    """Q-values at both ends of a batch, each computed on first use. Gradients do not flow through them."""

    @property
    def epsilon(self) -> float | Tensor: ...  # the ε-greedy policy's current ε, a number or []; 0 for other policies
    @property
    def online_next(self) -> Tensor: ...  # [B, A]
    @property
    def target_next(self) -> Tensor: ...  # [B, A]
    @property
    def target_obs(self) -> Tensor: ...  # [B, A]


@runtime_checkable
class Stateful(Protocol):
    """Anything that a run must save to continue later. Other components need it only if they change during a run."""

    # A state contains only arrays, tensors, `statefile.Rows` and plain values. It is valid until its owner changes.
    def state_dict(self) -> dict[str, Any]: ...  # all that changes during a run; {} if nothing does
    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...  # restores it


class Value(Protocol):
    """How a return is represented per action, and with it the loss."""

    @property
    def num_outputs(self) -> int: ...  # K
    def q_values(self, outputs: Tensor) -> Tensor:
        """Reduces outputs [..., A, K] to expected values [..., A]."""
        ...

    def target(
        self, transition: Transition[Tensor], outputs: Tensor, bootstrap: Bootstrapped, current: Callable[[], Tensor]
    ) -> Tensor:
        """Builds the target [B, …] from the target network's outputs at s′ [B, A, K].

        `current()` returns the online network's outputs at s before the update, [B, A, K], for values that need them.
        """
        ...

    def loss(self, outputs: Tensor, action: Tensor, target: Tensor, noise: NetworkNoise[Tensor] | None) -> Loss:
        """Compares outputs at s [B, A, K] with a target; `noise` is the online network's."""
        ...


class Bootstrap(Protocol):
    """How the next state's value is estimated."""

    def __call__(self, q_values: QValues, action: Tensor) -> Bootstrapped:
        """Estimates the values of a batch's next states; the actions taken are [B]."""
        ...


class Buffer(Stateful, Protocol):
    """What is stored and how it is sampled. It owns γ, n and the unfinished windows."""

    def append(
        self, env_index: int, obs: Any, action: int, reward: float, next_obs: Any, terminated: bool, truncated: bool
    ) -> None: ...  # stores one step
    def ready(self, batch_size: int) -> bool: ...  # whether a batch can be drawn
    def sample(self, draws: NDArray[np.float64]) -> Batch:
        """Draws a batch from uniform numbers in [0, 1), [B]."""
        ...

    def update_priorities(self, indices: NDArray[np.int64], priorities: Array) -> None: ...  # after each update, [B]


class Optimizer(Protocol):
    """How a gradient becomes a step: a description from which an engine builds the optimiser."""

    lr: Callable[[Progress], float]  # the learning rate: a method lr(progress), or schedule.Constant(1e-3)
    max_grad_value: float | None  # first, each element of the gradient is clipped to ± this
    max_grad_norm: float | None  # then, the gradient's norm is clipped to this

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer: ...  # for all of them


class Target(Protocol):
    """How the target network follows the online one."""

    has_network: bool  # if False, the online network is its own target network

    def follow(self, online: Sequence[Tensor], target: Sequence[Tensor], before: Progress, after: Progress) -> None: ...


class Exploration(Protocol):
    """How the agent explores. Its columns are part of every episode's row."""

    columns: tuple[str, ...]  # what `report` returns

    def select(self, q_values: Callable[[], Array], draw: Draw, env_index: int, progress: Progress) -> int:
        """Chooses an action in an environment; computes the Q-values [A] only when it needs them."""
        ...

    def end_episode(self, env_index: int) -> None:
        """Called when an environment's episode has ended."""
        ...

    def report(self, progress: Progress) -> dict[str, float]:
        """Returns a number per column.

        For an episode's row it is called at the episode's end, before `end_episode`, with the progress at its start.
        The display may call it at any time.
        """
        ...


class Engine(Stateful, Protocol):
    """How an update is executed."""

    online: torch.nn.Module
    target: torch.nn.Module
    value: Value
    bootstrap: Bootstrap
    parameters: tuple[Sequence[Tensor], Sequence[Tensor]]  # of the online and the target network, for `Target.follow`

    def q_values(self, obs: Array, noise: NetworkNoise[Array] | None = None) -> Array:
        """Returns the online network's expected values [B, A] at observations [B, *O]; no row depends on another."""
        ...

    def update(self, batch: Batch, noise: Noise, lr: float | None = None, epsilon: float = 0.0) -> Update:
        """Learns from a batch, with this learning rate if given; `epsilon` is the policy's."""
        ...


class Diagnostics(Stateful, Protocol):
    """What is measured during learning. Its columns come last in every episode's row; it must not change the run."""

    columns: tuple[str, ...]

    def observe(self, obs: Any, reward: float, ended: bool) -> None: ...  # every step, before its updates
    def before_update(self, batch: Batch, noise: Noise, epsilon: float) -> None: ...
    def after_update(self) -> None: ...
    def report(self, progress: Progress) -> Mapping[str, float | None]: ...


class Rollout(Stateful, Protocol):
    """How experience is gathered. It owns the environment, the agent, and everything that changes during a run."""

    progress: Progress

    def advance(self, until: Progress) -> Stride:
        """Acts, observes and learns for at least one step, at most until the first that reaches `until` in a unit."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Logger(Protocol):
    """Where metrics go. A table's columns are fixed when it is opened."""

    def open(self, directory: Path, config: Mapping[str, Any], columns: Mapping[Table, Sequence[str]]) -> None: ...
    def write(self, table: Table, row: Row) -> None: ...  # adds a row; some columns may be missing
    def close(self, status: str, summary: Row) -> None: ...  # once, with the run's status and final scores
    def info(self) -> dict[str, Any]:
        """Returns what `run.json` should say about this logger."""
        ...
