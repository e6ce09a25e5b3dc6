"""Named random streams: one generator per purpose, derived from the seed and the *name*.

A stream does not depend on which others exist or when they were made, so adding a logger, an evaluation or a component
changes no draw of the others. Nothing in the package uses a global generator.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dqn_lab.types import Kernel

if TYPE_CHECKING:
    import torch

    from dqn_lab.schedule import Progress

BLOCK = 512  # uniform numbers drawn together


def seed_sequence(seed: int, name: str) -> np.random.SeedSequence:
    """Derives the seed of the stream `name`."""
    digest = hashlib.sha256(name.encode()).digest()
    return np.random.SeedSequence([seed, int.from_bytes(digest[:8], "little")])


def torch_generator(seed: int, name: str) -> torch.Generator:
    """Makes a torch generator (CPU) for the stream `name`."""
    import torch

    state = int(seed_sequence(seed, name).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(state % 2**63)


class Streams:
    """The numpy generators of one run, made on first use.

    Args:
        seed: the run's seed, at least 0.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._generators: dict[str, np.random.Generator] = {}

    def __call__(self, name: str) -> np.random.Generator:
        """Returns the run's generator of this name, the same one each time."""
        if name not in self._generators:
            self._generators[name] = self.fresh(name)
        return self._generators[name]

    def fresh(self, name: str) -> np.random.Generator:
        """Returns a new generator of this name in its initial state, without storing it."""
        return np.random.default_rng(seed_sequence(self.seed, name))

    def state_dict(self) -> dict[str, Any]:
        """Returns the state of every generator drawn from so far."""
        return {name: rng.bit_generator.state for name, rng in self._generators.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores every generator's state, or its initial state if it did not exist when the state was saved."""
        for name in self._generators.keys() | state.keys():
            self(name).bit_generator.state = state.get(name, self.fresh(name).bit_generator.state)


class Uniforms:
    """A stream of uniform numbers in [0, 1).

    They are drawn in blocks (each used from its end), because drawing one number takes as long as drawing a hundred.

    Args:
        generator: draws them.
    """

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator
        self._left: list[float] = []

    def __call__(self) -> float:
        """Returns the next number."""
        if not self._left:
            self._left = self._generator.random(BLOCK).tolist()
        return self._left.pop()

    def kernel(self) -> Kernel:
        """Returns the stream for compiled code: `_function.next_uniform` takes the state."""
        from dqn_lab._function import source_of_draws

        block, left = np.zeros(BLOCK), np.zeros(1, np.int64)

        def enter(before: Progress, after: Progress) -> None:
            left[0] = len(self._left)
            block[: left[0]] = self._left

        def leave() -> None:
            self._left = block[: left[0]].tolist()

        return Kernel((), (block, left, source_of_draws(self._generator)), enter, leave)

    def state_dict(self) -> dict[str, Any]:
        """Returns the numbers drawn but not yet used; the generator's own state is saved with its `Streams`."""
        return {"left": np.array(self._left)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._left = state["left"].tolist()
