"""Times prioritised replay: drawing a batch of 64, learning its priorities, and storing a transition.

python tests/benchmarks/replay.py
"""

import statistics
import time

import numpy as np
from gymnasium.spaces import Box

from dqn_lab.buffer.prioritized import Prioritized

BATCHES, ROUNDS, BATCH_SIZE = 500, 10, 64


def cost(function, arguments):
    """Times calls one after another; returns microseconds per call."""
    started = time.perf_counter()
    for argument in arguments:
        function(*argument)
    return (time.perf_counter() - started) / len(arguments) * 1e6


def main():
    rng = np.random.default_rng(0)
    obs = np.zeros(4, np.float32)
    print(f"{'transitions':>12} {'sample + update, µs':>20} {'lowest – highest':>18} {'store, µs':>10}")
    for capacity in (1_000, 50_000, 1_000_000):
        buffer = Prioritized(Box(-1, 1, (4,)), 0.99, 1, capacity=capacity)
        buffer.ring.size = capacity
        buffer.masses.fill(rng.random(capacity))
        draws = rng.random((BATCHES, BATCH_SIZE))
        priorities = rng.random((BATCHES, BATCH_SIZE)).astype(np.float32)

        def learn(drawn, judged, buffer=buffer):
            buffer.update_priorities(buffer.sample(drawn).indices, judged)

        both = [cost(learn, list(zip(draws, priorities, strict=True))) for _ in range(ROUNDS)]
        store = [cost(buffer.append, [(0, obs, 1, 1.0, obs, False, False)] * BATCHES) for _ in range(ROUNDS)]
        spread = f"{min(both):.1f} – {max(both):.1f}"
        print(f"{capacity:>12,} {statistics.median(both):>20.1f} {spread:>18} {statistics.median(store):>10.1f}")


if __name__ == "__main__":
    main()
