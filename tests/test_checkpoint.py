from __future__ import annotations

import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from safetensors.numpy import save_file
from torch import nn

from dqn_lab import statefile
from dqn_lab._atomic import write_atomically
from dqn_lab.buffer._ring import Ring
from dqn_lab.checkpoint import POLICY, Checkpoints, load_policy, save_policy

ABOUT = {"policy": "best", "step": 120, "episode": 3, "return_mean": 9.5, "nothing": None}


def network(seed=0, width=3):
    layer = nn.Linear(2, width)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(seed))
    return nn.Sequential(layer, nn.BatchNorm1d(width))


@pytest.fixture
def saved(tmp_path) -> Path:
    save_policy(tmp_path / "best.safetensors", network(), ABOUT)
    return tmp_path / "best.safetensors"


def test_a_policy_is_read_back_bit_for_bit(saved):
    other = network(seed=1)
    assert load_policy(saved, other) == ABOUT
    for name, tensor in network().state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)


def test_missing_directories_are_made(tmp_path):
    save_policy(tmp_path / "a" / "b" / "best.safetensors", network(), ABOUT)
    assert load_policy(tmp_path / "a" / "b" / "best.safetensors", network(seed=1)) == ABOUT


def test_saving_again_replaces_the_file_and_leaves_no_other(saved):
    save_policy(saved, network(seed=5), {"step": 7})
    assert load_policy(saved, network()) == {"step": 7}
    assert list(saved.parent.iterdir()) == [saved]


def test_a_write_that_fails_leaves_the_file_as_it_was(saved):
    before = saved.read_bytes()

    def fail(file):
        file.write(b"half of ")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(saved, fail)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_the_old_file_is_whole_until_the_new_one_takes_its_place(saved):
    before = saved.read_bytes()
    with saved.open("rb") as reader:
        write_atomically(saved, lambda file: file.write(b"new" if saved.read_bytes() == before else b"torn"))
        assert reader.read() == before
    assert saved.read_bytes() == b"new"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "no such file"),
        (lambda path: path.write_bytes(b""), "damaged, or not a file"),
        (lambda path: path.write_bytes(b"garbage" * 40), "damaged, or not a file"),
        (lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), "damaged, or not a file"),
        (lambda path: torch.save([1, 2], path), "damaged, or not a file"),
        (lambda path: save_file({"a": np.zeros(2)}, path), "not a policy 2 of dqn_lab"),
        (lambda path: statefile.save(path, "state 1", {}), "not a policy 2 of dqn_lab"),
        (lambda path: save_policy(path, network(width=4), {}), "holds another network"),
        (lambda path: save_policy(path, nn.Linear(2, 3), {}), "holds another network"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_by_name(saved, damage, message):
    damage(saved)
    with pytest.raises(ValueError, match=rf"best\.safetensors: {message}"):
        load_policy(saved, network())


@pytest.mark.parametrize("state", [{}, {"about": {"step": 1}}, {"network": {}, "about": 3}, [1], None])
def test_a_policy_that_lacks_a_part_is_refused(saved, state):
    statefile.save(saved, POLICY, state)
    with pytest.raises(ValueError, match=r"best\.safetensors: "):
        load_policy(saved, network())


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def write_pickle(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content, protocol=2))


@pytest.mark.parametrize("write", [torch.save, write_pickle])
def test_reading_a_file_runs_no_code_from_it(tmp_path, write):
    sprung = tmp_path / "sprung"
    write({"format": "dqn_lab policy 1", "about": Trap(sprung)}, tmp_path / "best.safetensors")
    with pytest.raises(ValueError, match="damaged, or not a file"):
        load_policy(tmp_path / "best.safetensors", network())
    assert not sprung.exists()


def test_no_global_randomness_is_used(saved, check_global_randomness):
    other = network(seed=1)
    with check_global_randomness():
        load_policy(saved, other)
        save_policy(saved, other, ABOUT)


def test_restoring_a_replay_allocates_no_second_one(tmp_path):
    """The rows are copied from the files into the ring, 10 MB, which a run has already allocated."""
    ring, restored = (Ring(Box(0, 255, (1000,), np.uint8), 5000) for _ in range(2))
    checkpoints = Checkpoints(tmp_path, keep=1)
    for step in range(1, 7001):
        ring.append(np.full(1000, step % 256), step, 0.5, np.full(1000, (step + 1) % 256), 0.9)
        if step % 1000 == 0:
            checkpoints.save(step, {"ring": ring.state_dict()})
    tracemalloc.start()
    try:
        Checkpoints(tmp_path, keep=1).restore(lambda state: restored.load_state_dict(state["ring"]))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert all(np.array_equal(*pair) for pair in zip(ring.arrays, restored.arrays, strict=True))
    assert peak < ring.nbytes / 10


def test_what_is_read_may_be_changed(tmp_path):
    written = {"array": np.arange(3), "tensor": torch.ones(2), "empty": np.zeros((0, 2)), "number": np.array(True)}
    statefile.save(tmp_path / "state", "kind", written)
    found, _ = statefile.load(tmp_path / "state", "kind")
    found["array"] += 1
    found["tensor"] += 1
    assert (found["array"].tolist(), found["tensor"].tolist()) == ([1, 2, 3], [2, 2])
    assert (found["empty"].shape, found["number"].item(), found["number"].shape) == ((0, 2), True, ())
    assert np.array_equal(statefile.load(tmp_path / "state", "kind")[0]["array"], np.arange(3))
