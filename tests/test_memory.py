"""The available memory, and what does not fit into it."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.spaces import Box

from dqn_lab import _memory
from dqn_lab.buffer._ring import Ring
from dqn_lab.buffer.prioritized import Prioritized
from dqn_lab.types import ConfigError

GB = 10**9
SPACE = Box(-1, 1, (4,))


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Fakes a machine's memory and the files of its control groups."""

    def make(memory, membership="", **limits):
        monkeypatch.setattr(_memory.os, "sysconf", {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": memory}.__getitem__)
        monkeypatch.setattr(_memory, "CGROUPS", tmp_path)
        monkeypatch.setattr(_memory, "MEMBERSHIP", tmp_path / "membership")
        (tmp_path / "membership").write_text(membership)
        for path, limit in limits.items():
            place = tmp_path / path.replace("__", "/").replace("_", ".", 1)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(f"{limit}\n")

    return make


def test_without_control_groups_the_machines_memory_is_available(machine):
    machine(8 * GB)
    assert _memory.available() == 8 * GB


@pytest.mark.parametrize(("limits", "expected"), [
    ({"memory_max": "max"}, 8), ({"memory_max": 2 * GB}, 2), ({"memory_max": 99 * GB}, 8),
    ({"memory_max": "max", "job__memory_max": 5 * GB}, 5),
    ({"job__memory_max": 5 * GB, "job__step__memory_max": GB}, 1),
])  # fmt: skip
def test_the_least_limit_of_a_control_group_and_those_above_it_counts(machine, limits, expected):
    machine(8 * GB, "0::/job/step\n", **limits)
    assert _memory.available() == expected * GB


def test_older_control_groups_count_too(machine):
    machine(8 * GB, "5:cpu:/\n4:memory:/docker/abc\n", memory__memory_limit_in_bytes=3 * GB)
    assert _memory.available() == 3 * GB


def test_parallel_runs_share_the_memory(machine):
    machine(8 * GB)
    assert _memory.check_memory(3 * GB) is None
    with _memory.shared_by(3):
        assert _memory.check_memory(3 * GB) == "needs 3.0 GB per run, 9.0 GB for 3 at a time, this machine has 8.0 GB"
    assert _memory.check_memory(9 * GB) == "needs 9.0 GB, this machine has 8.0 GB"


def test_a_replay_counts_its_priorities(machine):
    """A transition of four float32 takes 48 bytes; each tree of priorities adds 10."""
    machine(50_000)
    Ring(SPACE, 1_000)
    with pytest.raises(ValueError, match=r"^capacity=1000: needs 0.0 GB, .*; at most 862 transitions"):
        Prioritized(SPACE, 0.99, 1, capacity=1_000)
    with pytest.raises(ValueError, match=r"at most 735 transitions"):
        Prioritized(SPACE, 0.99, 1, capacity=1_000, normalize="buffer")


def test_trees_take_no_more_than_is_counted():
    for capacity in (1_000, 65_537, 300_000):
        buffer = Prioritized(SPACE, 0.99, 1, capacity=capacity)
        assert buffer.masses.nodes.nbytes <= 10 * capacity


@pytest.mark.parametrize(("name", "space", "configuration", "message"), [
    ("mlp", SPACE, {"hidden": [10**9, 10**9]}, r"^network.hidden=\[1000000000, 1000000000\]: training "),
    ("mlp", SPACE, {"hidden": [8] * 10, "noisy": True}, r"^network.hidden="),
    ("nature_cnn", Box(0, 255, (4, 4000, 4000), np.uint8), {}, r"^network=nature_cnn: images of shape \(4, 4000,"),
    ("minatar_cnn", Box(0, 255, (300, 300, 3), np.uint8), {"dueling": True}, r"^network=minatar_cnn: images of shape"),
], ids=str)  # fmt: skip
def test_a_network_too_large_is_refused_before_it_is_made(make, machine, name, space, configuration, message):
    """Nothing is allocated: the sizes are computed."""
    machine(10_000)
    with pytest.raises(ConfigError, match=message) as caught:
        make("network", name, space, 2, 1, None, **configuration)
    assert "\n" not in str(caught.value)
