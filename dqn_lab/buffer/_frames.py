"""Transitions whose observations are stacks of frames, each frame stored once."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box
from numpy.typing import NDArray

from dqn_lab._memory import check_memory
from dqn_lab._stack import Stack
from dqn_lab.buffer._ring import Ring
from dqn_lab.statefile import Rows, put
from dqn_lab.types import Array, Batch, Transition

RECENT = 256  # frames that a new one is compared with; an observation shares its frames with those just before it
LARGE = 1024  # bytes from which a frame is worth the search


def make_ring(observation_space: Space[Any], capacity: int, extra: int = 0) -> Ring:
    """Makes a ring buffer, one that stores each frame once if observations are stacks of large frames."""
    _, *frame = observation_space.shape or (0,)
    is_large = math.prod(frame) * np.dtype(observation_space.dtype).itemsize >= LARGE
    kind = FrameRing if isinstance(observation_space, Stack) and is_large else Ring
    return kind(observation_space, capacity, extra)


class FrameRing(Ring):
    """A ring buffer like `Ring`, in which observations are numbers of frames, in the order in which these were stored.

    A frame that equals one of the latest `RECENT` is not stored again, so that a step usually adds a single frame,
    where `Ring` would store two stacks. Reading gives the same arrays.

    Args:
        observation_space: the stacks' shape, [frames, …], and type.
        capacity: the largest number of transitions stored.
        extra: bytes per transition that the buffer needs in addition.

    Raises:
        ValueError: the machine's memory is too small.
    """

    def __init__(self, observation_space: Space[Any], capacity: int, extra: int = 0) -> None:
        count, *shape = observation_space.shape or ()
        dtype = np.dtype(observation_space.dtype)
        room = capacity + capacity // 8 + RECENT  # an episode adds one frame more than it has steps
        frame = math.prod(shape) * dtype.itemsize
        super().__init__(Box(0, np.inf, (count,), np.int64), capacity, extra + -(-frame * room // capacity))
        self.frames: Array = np.zeros((room, *shape), dtype)
        self.num_frames = 0  # ever stored, including overwritten ones
        self.least = 0  # no transition refers to a frame before this one
        self.recent: dict[bytes, int] = {}
        self.keys: deque[bytes] = deque()  # of `recent`, the oldest first

    @property
    def nbytes(self) -> int:
        """Memory of the arrays, in bytes."""
        return super().nbytes + self.frames.nbytes

    def append(self, obs: Any, action: int, reward: float, next_obs: Any, discount: float) -> int:
        """Stores one transition and returns where."""
        numbers, next_numbers = ([self._number(frame) for frame in stack] for stack in (obs, next_obs))
        return super().append(numbers, action, reward, next_numbers, discount)

    def _number(self, frame: Array) -> int:
        """Returns a frame's number; stores the frame if it is new."""
        key = np.asarray(frame, self.frames.dtype).tobytes()
        number = self.recent.get(key)
        if number is None:
            self._make_room()
            number = self.num_frames
            self.frames[number % len(self.frames)] = frame
            self.num_frames += 1
            self._remember(key, number)
        return number

    def _remember(self, key: bytes, number: int) -> None:
        self.recent[key] = number
        self.keys.append(key)
        if len(self.keys) > RECENT:
            del self.recent[self.keys.popleft()]

    def _make_room(self) -> None:
        """Makes sure that the next frame overwrites none to which a transition refers."""
        if self.num_frames - self.least < len(self.frames):
            return
        oldest = self.head if self.written > self.capacity else 0
        newest = max(int(numbers[oldest].max()) for numbers in (self.arrays.obs, self.arrays.next_obs))
        self.least = max(self.least, newest + 1 - RECENT)  # those from it on were compared with no frame before that
        if self.num_frames - self.least >= len(self.frames):
            self._resize(len(self.frames) * 3 // 2)

    def _resize(self, room: int) -> None:
        """Makes more room, which episodes of few steps need: each adds one frame more than it has steps.

        Raises:
            ValueError: the machine's memory is too small.
        """
        if problem := check_memory(super().nbytes + (room + len(self.frames)) * self.frames[0].nbytes):
            raise ValueError(f"buffer.capacity={self.capacity}: short episodes take more memory: {problem}")
        frames = np.zeros((room, *self.frames.shape[1:]), self.frames.dtype)
        put(frames, self._rows().pieces())
        self.frames = frames

    def _rows(self) -> Rows:
        return Rows(self.frames, self.num_frames, self.least)

    def batch(self, indices: NDArray[np.int64], weights: Array | None = None) -> Batch:
        """Returns the transitions at `indices` [B] as a batch."""
        return Batch(self.gather(indices), weights, indices)

    def gather(self, indices: NDArray[np.int64]) -> Transition[Array]:
        """Copies the transitions at `indices` [B]."""
        found, room = super().gather(indices), len(self.frames)
        obs, next_obs = (self.frames.take(numbers % room, axis=0) for numbers in (found.obs, found.next_obs))
        return found._replace(obs=obs, next_obs=next_obs)

    def state_dict(self) -> dict[str, Any]:
        """Returns what is stored, without copying it."""
        return {**super().state_dict(), "frames": self._rows(), "room": len(self.frames)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        super().load_state_dict(state)
        if (room := int(state["room"])) != len(self.frames):
            self.frames = np.zeros((room, *self.frames.shape[1:]), self.frames.dtype)
        state["frames"].copy_to(self.frames)
        self.num_frames, self.least = state["frames"].written, state["frames"].oldest
        self.recent.clear()
        self.keys.clear()
        for number in range(max(0, self.num_frames - RECENT), self.num_frames):
            self._remember(self.frames[number % room].tobytes(), number)
