"""When things are due, and values that change with progress: pure functions of a run's progress."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, Protocol, runtime_checkable

from annotated_types import Ge, Gt
from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

Unit = Literal["episodes", "steps", "updates"]


class Progress(NamedTuple):
    """A run's progress, in completed environment steps, episodes and gradient steps."""

    step: int = 0
    episode: int = 0
    updates: int = 0

    def count(self, unit: Unit) -> int:
        """Returns the completed number of `unit`."""
        return self[_POSITION[unit]]


# makes a Progress without NamedTuple's slow constructor, because loops make two per step
progress_of: Callable[[tuple[int, int, int]], Progress] = functools.partial(tuple.__new__, Progress)

_POSITION: dict[Unit, int] = {"steps": 0, "episodes": 1, "updates": 2}
_FIELDS = Progress._fields
NEVER = Progress(sys.maxsize, sys.maxsize, sys.maxsize)  # beyond any run
_LARGEST = 2**62  # in compiled code, whose integers have 64 bits; also beyond any run


class Every:
    """Says when something is due: when completed units reach `first`, `first + interval`, and so on.

    Args:
        interval: units between two occasions, at least 1.
        unit: what is counted.
        first: completed units at the first occasion; `interval` if None.
    """

    def __init__(self, interval: int, unit: Unit, first: int | None = None) -> None:
        self.interval, self.unit = interval, unit
        self.first = interval if first is None else first
        self._position = _POSITION[unit]

    @property
    def numbers(self) -> tuple[int, int, int]:
        """The same for compiled code: the interval, the first occasion, and the index of `unit` in a `Progress`."""
        return min(self.interval, _LARGEST), min(self.first, _LARGEST), self._position

    def due(self, before: Progress, after: Progress) -> bool:
        """Returns whether an occasion lies in (before, after]."""
        start, end = before[self._position] - self.first, after[self._position] - self.first
        return end >= 0 and end // self.interval > start // self.interval

    def count(self, before: Progress, after: Progress) -> int:
        """Returns how many occasions lie in (before, after]."""
        start, end = before[self._position] - self.first, after[self._position] - self.first
        return max(0, end // self.interval + 1) - max(0, start // self.interval + 1)

    def next(self, progress: Progress) -> Progress:
        """Returns the point of the next occasion after `progress`; the units that are not counted are as in `NEVER`."""
        passed = progress[self._position] - self.first
        units = self.first + max(0, passed // self.interval + 1) * self.interval
        return NEVER._replace(**{_FIELDS[self._position]: units})


def updates_at_once(config: Mapping[str, Any]) -> int:
    """Returns how many gradient steps a validated configuration takes on each occasion to learn."""
    train = config["train"]
    if config["buffer"]["name"] == "none":
        return 1
    minibatches = -(-train["batch_size"] // (train["minibatch_size"] or train["batch_size"]))
    at_once: int = minibatches * train["num_updates"]
    return at_once


def updates_in(config: Mapping[str, Any], num_steps: int) -> int:
    """Returns how many gradient steps a validated configuration takes in some environment steps.

    With n-step windows it may take fewer, because the first batch is complete later.
    """
    train = config["train"]
    batch_size = 1 if config["buffer"]["name"] == "none" else train["batch_size"]
    learning = Every(train["interval"], "steps", first=train["learning_starts"])
    return learning.count(Progress(batch_size - 1), Progress(num_steps)) * updates_at_once(config)


@dataclass(frozen=True, slots=True)
class Constant:
    """Stays at one value."""

    value: float

    def __call__(self, progress: Progress) -> float:
        return self.value


@dataclass(frozen=True, slots=True)
class Linear:
    """Changes linearly from `start` to `end` over `duration` units, then stays at `end`."""

    start: float
    end: float
    duration: int
    unit: Unit

    def __call__(self, progress: Progress) -> float:
        done = progress.count(self.unit)
        if done >= self.duration:
            return self.end
        return self.start + (self.end - self.start) * done / self.duration


@dataclass(frozen=True, slots=True)
class Exponential:
    """Multiplies `start` by `decay` once per unit, down to `end`.

    With `clamp` the value never falls below `end`; without it, multiplication continues while the value is above `end`,
    so that the last value may lie below it (the notebook's rule).
    """

    start: float
    end: float
    decay: float
    unit: Unit
    clamp: bool = True

    def __call__(self, progress: Progress) -> float:
        value = self.start * self.decay ** progress.count(self.unit)
        if value > self.end:
            return value
        if self.clamp or self.end <= 0 or self.start <= self.end:
            return self.end
        products = math.floor(math.log(self.end / self.start) / math.log(self.decay))
        while (value := self.start * self.decay**products) > self.end:
            products += 1  # once, or twice because of rounding
        return value


@with_config(ConfigDict(extra="forbid"))
class Ramp(TypedDict):
    """A linear schedule as written in a configuration: `{start: 1e-3, end: 0, duration: 50_000, unit: steps}`."""

    start: Annotated[float, Gt(0)]
    end: Annotated[float, Ge(0)]
    duration: Annotated[int, Gt(0)]
    unit: Unit


Rate = Annotated[float, Gt(0)] | Ramp


def rate(value: Rate) -> Callable[[Progress], float]:
    """Turns a configured rate, a number or a ramp, into a function of progress."""
    return Linear(**value) if isinstance(value, dict) else Constant(value)


def rises(value: object) -> bool:
    """Returns whether a configured rate is a ramp that ends above its start."""
    return isinstance(value, dict) and value["end"] > value["start"]


@runtime_checkable
class Counted(Protocol):
    """A schedule that depends on one unit of progress."""

    unit: Unit


class UncountedError(TypeError):
    """Nobody knows how often a schedule changes, so it cannot become a table."""


REACH = 4095  # units between the first and the last value of a `Tabulated`'s table


class Tabulated:
    """A schedule as a table, for compiled code: its values at consecutive counts of its unit.

    Args:
        schedule: a `Constant`, or `Counted`.

    Raises:
        UncountedError: it is neither.
    """

    def __init__(self, schedule: Callable[[Progress], float]) -> None:
        import numpy as np  # imported late, because a mistyped command does not need it

        if not isinstance(schedule, (Constant, Counted)):
            raise UncountedError("its schedule does not say its unit")
        self.schedule = schedule
        component: object = schedule
        self.position = _POSITION[component.unit] if isinstance(component, Counted) else None
        self.values = np.full(1 if self.position is None else REACH + 1, schedule(Progress()))
        self.start = np.array([self.position or 0, -len(self.values)])  # the unit's index, the first count in the table

    def cover(self, before: Progress, after: Progress) -> None:
        """Makes the table cover two points, at most `REACH` apart, and all between them."""
        position = self.position
        if position is None:
            return
        assert after[position] - before[position] <= REACH
        first, last = int(self.start[1]), int(self.start[1]) + len(self.values) - 1
        if not first <= before[position] <= after[position] <= last:
            self.start[1] = before[position]
            for i in range(len(self.values)):
                point = [*before]
                point[position] += i
                self.values[i] = self.schedule(Progress(*point))
