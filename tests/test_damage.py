"""Damaged, truncated, foreign or hostile files: one line each, no code is run, no traceback, and the run continues."""

import json
import logging
import random
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from dqn_lab import statefile
from dqn_lab.build import build
from dqn_lab.checkpoint import POLICY, REPLAY, STATE
from dqn_lab.cli._quiet import Quiet
from dqn_lab.interrupt import Interrupted
from dqn_lab.records import read_record, saved_states
from dqn_lab.run import Run
from dqn_lab.types import StateError

SHORT = ("logger=csv", "episodes=null", "steps=160", "train.learning_starts=64", "evaluation.interval=50",
         "evaluation.unit=steps", "evaluation.num_episodes=1", "evaluation.final_num_episodes=1",
         "checkpoint.interval=60", "checkpoint.unit=steps")  # fmt: skip
KINDS = {"000000000160": STATE, "replay-000000000160": REPLAY, "final": POLICY, "best": POLICY}


@pytest.fixture(scope="module")
def whole(configure, tmp_path_factory):
    """Returns the files of a completed run, by name."""
    directory = tmp_path_factory.mktemp("damage") / "run"
    Run(build(configure(*SHORT)), directory, {"host": "here"}).execute(Quiet())
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.fixture
def run(whole, tmp_path):
    """Copies the run to a new directory and returns that."""
    directory = tmp_path / "run"
    (directory / "checkpoint").mkdir(parents=True)
    for name, content in whole.items():
        (directory / name).write_bytes(content)
    return directory


def checkpoint(directory: Path, name: str) -> Path:
    return directory / "checkpoint" / f"{name}.safetensors"


def refused(path: Path, kind: str) -> bool:
    try:
        statefile.load(path, kind)
    except ValueError as error:
        return str(error).startswith(f"{path}: ") and "\n" not in str(error)
    return False


@pytest.mark.parametrize("name", KINDS)
def test_a_file_that_was_cut_is_refused(run, name):
    path = checkpoint(run, name)
    content = path.read_bytes()
    for percent in range(0, 100, 5):
        path.write_bytes(content[: len(content) * percent // 100])
        assert refused(path, KINDS[name]), percent


@pytest.mark.parametrize("name", KINDS)
def test_a_file_with_one_flipped_bit_is_refused(run, name):
    path, rng = checkpoint(run, name), random.Random(name)
    content = path.read_bytes()
    for _ in range(200):
        at, bit = rng.randrange(len(content)), rng.randrange(8)
        path.write_bytes(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
        assert refused(path, KINDS[name]), (at, bit)


def header(**tensors: object) -> bytes:
    text = json.dumps({"__metadata__": {"kind": STATE, "state": "{}", "digest": ""}, **tensors}).encode()
    return struct.pack("<Q", len(text)) + text


def tensor(shape: list[int], end: int) -> dict[str, object]:
    return {"dtype": "F64", "shape": shape, "data_offsets": [0, end]}


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 2**62) + b"{}",
        struct.pack("<Q", 90_000_000) + b"{}",
        header(a=tensor([2**40], 2**43)),
        header(a=tensor([2**62], 8)) + bytes(8),
        header(a=tensor([2**32, 2**32], 0)),
        header(a=tensor([0, 2**60], 0)),
        b"[" * 100_000,
    ],
)
def test_a_header_that_claims_more_than_there_is_allocates_nothing(tmp_path, content):
    path = tmp_path / "state.safetensors"
    path.write_bytes(content)
    tracemalloc.start()
    assert refused(path, STATE)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 50_000, '{"$rows": Infinity}', '{"$rows": "x"}', '{"$array": [1]}', '{"$array": "1"}',
     '{"$pairs": 3}', '{"$pairs": [[1]]}', '{"$pairs": [[[], 1]]}', '{"$tensor": "0", "dtype": "bfloat16"}',
     "1" * 10_000, "", "nul"],
)  # fmt: skip
def test_values_that_no_state_has_are_refused_though_their_digest_is_right(tmp_path, text):
    path, arrays = tmp_path / "state.safetensors", {"0": np.zeros((), np.uint8)}
    digest = statefile._digest(STATE, text, arrays)
    save_file(arrays, path, metadata={"kind": STATE, "state": text, "digest": digest})
    assert refused(path, STATE)


def leaves(value, path=()):
    """Yields the path of every value in a state."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    if path:
        yield path


def replaced(value, path, new):
    """Returns a copy of a state with another value at one path."""
    key, *rest = path
    return {**value, key: replaced(value[key], rest, new) if rest else new}


WRONG = (None, "words", -1, 2**70, float("nan"), [], {}, [[]], np.zeros(0), np.zeros((2, 3), np.int8))


def test_a_state_of_wrong_values_is_skipped_or_harmless(configure, run, caplog):
    """If one value of a state with a valid digest is wrong, the run resumes from this state or an earlier one."""
    path, rng = checkpoint(run, "000000000160"), random.Random(0)
    with_rows, _ = statefile.load(path, STATE)
    state = json.loads(json.dumps({"replay": with_rows["replay"]}))
    content, record = path.read_bytes(), (run / "run.json").read_bytes()
    places, fallen_back = [*leaves(with_rows)], 0
    for place in rng.sample(places, min(len(places), 24)):
        changed = replaced({**with_rows, **state}, place, rng.choice(WRONG))
        statefile.save(path, STATE, json_safe(changed))
        experiment, caplog_at = build(configure(*SHORT, "steps=161")), len(caplog.records)
        resumed = Run.resume(experiment, run, {})
        fallen_back += resumed.progress.step == 120
        if resumed.progress.step == 120:
            assert "trying the checkpoint before it" in caplog.records[caplog_at].getMessage()
        resumed.claim.release()
        path.write_bytes(content)
        (run / "run.json").write_bytes(record)
    assert fallen_back > 10


def json_safe(value):
    """Replaces rows read from files by rows that can be saved."""
    if isinstance(value, statefile.SavedRows):
        return statefile.Rows(np.zeros(1), value.written)
    if isinstance(value, dict):
        return {key: json_safe(item) for key, item in value.items()}
    return value


@pytest.mark.parametrize("name", ["000000000160", "replay-000000000160"])
def test_a_run_falls_back_to_the_checkpoint_before_and_ends_with_the_same_rows(configure, run, whole, caplog, name):
    path = checkpoint(run, name)
    path.write_bytes(path.read_bytes()[:-1])
    resumed = Run.resume(build(configure(*SHORT)), run, {})
    assert resumed.progress.step == 120
    with caplog.at_level(logging.WARNING):
        resumed.execute(Quiet())
    assert f"{path}: damaged, or not a file of dqn_lab; trying the checkpoint before it" in caplog.messages
    for name in ("episodes.csv", "evaluations.csv"):
        assert (run / name).read_bytes() == whole[name]


def test_without_a_whole_checkpoint_the_reason_is_reported_and_nothing_changes(configure, run):
    for path in (run / "checkpoint").iterdir():
        path.write_bytes(b"")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(
        StateError, match=r"no checkpoint that can be loaded: .*160\.safetensors: damaged, or not a file"
    ):
        Run.resume(build(configure(*SHORT)), run, {})
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert read_record(run)["status"] == "completed"


def test_a_damaged_state_is_not_kept_instead_of_a_whole_one(configure, run):
    """Otherwise the next damaged state would leave nothing to fall back to."""
    path = checkpoint(run, "000000000160")
    path.write_bytes(path.read_bytes()[:-1])
    resumed = Run.resume(build(configure(*SHORT, "steps=300")), run, {})
    resumed.execute(Quiet())
    for each in saved_states(run):
        statefile.load(each, STATE)
    assert [each.stem for each in saved_states(run)] == ["000000000240", "000000000300"]


def test_rows_that_an_older_state_refers_to_stay(configure, run):
    """A process that resumed from the newest state does not know which rows older states need."""
    again = ("checkpoint.keep=3", "steps=300")
    Run.resume(build(configure(*SHORT, *again)), run, {}).execute(Quiet())
    for step in (300, 240):
        checkpoint(run, f"{step:012d}").write_bytes(b"")
    assert Run.resume(build(configure(*SHORT, *again)), run, {}).progress.step == 180


class Stopped(Quiet):
    """Interrupts a run when it begins."""

    def start(self):
        raise Interrupted(2)


def test_the_best_policy_on_disk_is_the_one_that_the_checkpoint_knows(configure, run):
    """The shorter run's final evaluation may have found a better one, which the longer run never has."""
    path = checkpoint(run, "best")
    expected = statefile.load(path, POLICY)[0]["about"]
    path.unlink()
    with pytest.raises(Interrupted):
        Run.resume(build(configure(*SHORT, "steps=161")), run, {}).execute(Stopped())
    found, state = statefile.load(path, POLICY)[0]["about"], statefile.load(checkpoint(run, "000000000160"), STATE)[0]
    assert [found[name] for name in ("step", "episode", "updates")] == state["scoring"]["best"]["progress"]
    assert found["step"] <= expected["step"]
