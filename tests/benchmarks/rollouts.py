"""Compares the compiled rollout with the Python one, byte for byte, over random compositions, and prints what differs.

    python tests/benchmarks/rollouts.py --compositions 500
    python tests/benchmarks/rollouts.py --environments 1e7

The second prints, for each compiled environment, how often a step from a random state differs from Gymnasium's.
"""

import argparse
import struct
import sys
from pathlib import Path

import gymnasium
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

STATES = {  # uniform between these bounds, or a number of states
    "CartPole-v1": ([-2.4, -4, -0.21, -4], [2.4, 4, 0.21, 4]),
    "Acrobot-v1": ([-np.pi, -np.pi, -4 * np.pi, -9 * np.pi], [np.pi, np.pi, 4 * np.pi, 9 * np.pi]),
    "MountainCar-v0": ([-1.2, -0.07], [0.6, 0.07]),
    "FrozenLake-v1": 16, "CliffWalking-v1": 48, "Taxi-v4": 500,
}  # fmt: skip
BLOCK = 10_000  # states drawn at once


def compositions(number):
    """Runs compositions in both rollouts; returns how many differ."""
    from dqn_lab.build import validate
    from dqn_lab.cli import _compose
    from tests.rollout.compositions import at_random
    from tests.rollout.test_compiled import compare

    def configure(*overrides):
        with _compose.composer():
            return validate(_compose.plain(_compose.compose_config(list(overrides))))

    differ = 0
    for seed in range(1000, 1000 + number):
        try:
            compare(configure, at_random(seed))
        except AssertionError as error:
            differ += 1
            print(f"{' '.join(at_random(seed))}: {str(error).splitlines()[0]}", flush=True)
        if seed % 50 == 49:
            print(f"{seed - 999} of {number} compositions", file=sys.stderr, flush=True)
    print(f"{number} compositions, {differ} of which differ in a row or in the state", flush=True)
    return differ


def environments(number):
    """Steps both implementations from random states; returns how many of all steps differ."""
    from dqn_lab.env import compiled

    print(f"{'environment':<16} {'steps':>10} {'differ':>8} {'largest difference, ulp':>24}")
    differ = 0
    for name, limits in STATES.items():
        ours, theirs = compiled.find_class(name)(), gymnasium.make(name, disable_env_checker=True).unwrapped
        rng, different, largest = np.random.default_rng(0), 0, 0
        ours.reset(seed=0), theirs.reset(seed=0)
        for done in range(0, number, BLOCK):
            states, actions = draw(limits, theirs.action_space.n, rng)
            for state, action in zip(states[: number - done], actions, strict=False):
                put(ours, theirs, state)
                one, other = ours.step(action)[:4], theirs.step(action)[:4]
                if not (same_bits(one[0], other[0]) and one[1:] == other[1:]):
                    different += 1
                    largest = max(largest, distance(one[0], other[0]))
        print(f"{name:<16} {number:>10,} {different:>8,} {largest:>24}", flush=True)
        differ += different
    return differ


def draw(limits, num_actions, rng):
    """Returns a block of random states, and an action for each."""
    one = isinstance(limits, int)
    states = rng.integers(limits, size=BLOCK).tolist() if one else rng.uniform(*limits, (BLOCK, len(limits[0])))
    return states, rng.integers(num_actions, size=BLOCK).tolist()


def put(ours, theirs, state):
    """Puts both in the same state; their generators continue in step."""
    if isinstance(state, int):
        theirs.s = ours.state[0] = state
        return
    theirs.state, theirs.steps_beyond_terminated = state, None
    ours.state[: len(state)] = state


def same_bits(one, other):
    return one == other if isinstance(one, int) else (one.dtype, one.tobytes()) == (other.dtype, other.tobytes())


def distance(one, other):
    """Returns how many float32 numbers lie between two values, as the maximum over all components."""
    order = [[struct.unpack("<i", struct.pack("<f", x))[0] for x in np.ravel(numbers)] for numbers in (one, other)]
    return max(abs(a - b) for a, b in zip(*order, strict=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compositions", type=int, default=0, metavar="N")
    parser.add_argument("--environments", type=float, default=0, metavar="STEPS")
    args = parser.parse_args()
    differ = compositions(args.compositions) if args.compositions else 0
    differ += environments(int(args.environments)) if args.environments else 0
    sys.exit(differ > 0)


if __name__ == "__main__":
    main()
