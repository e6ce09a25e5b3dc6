"""Custom buffers."""

from __future__ import annotations

import numpy as np

from dqn_lab.buffer.prioritized import Prioritized
from dqn_lab.buffer.uniform import Uniform
from dqn_lab.types import Batch


class Same(Uniform):
    """Changes nothing."""


class Weighted(Uniform):
    """Prefers newer transitions, and weights those that it draws."""

    def sample(self, draws):
        indices = (draws**0.5 * len(self)).astype(np.int64)
        return Batch(self.ring.arrays, (1 - draws / 2).astype(np.float32), indices, indices)


class Copying(Weighted):
    """Draws the same batches, as copies with double-precision weights."""

    def sample(self, draws):
        batch = super().sample(draws)
        return Batch(batch.transition, batch.weights.astype(np.float64), batch.indices)


class Forgetful(Prioritized):
    """Ignores priorities."""

    def _put(self, indices, masses):
        super()._put(indices, np.ones_like(masses))
