"""Files on disk: policies, which can be played, and whole states, from which a run can be resumed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from dqn_lab import statefile
from dqn_lab._atomic import remove_parts
from dqn_lab._outside import located
from dqn_lab.records import CHECKPOINT, saved_states
from dqn_lab.statefile import Rows, SavedRows, rows_of
from dqn_lab.types import StateError

_log = logging.getLogger(__name__)
POLICY, STATE, REPLAY = "policy 2", "state 1", "replay 1"  # kinds of files, with their versions
MANY = 32  # a state that refers to this many replay files is rewritten into one


def save_policy(path: Path, network: torch.nn.Module, about: Mapping[str, Any]) -> None:
    """Writes a network's parameters, and plain values that describe them."""
    statefile.save(path, POLICY, {"about": dict(about), "network": network.state_dict()})


def kept_name(step: int) -> str:
    """Returns the name of a policy that was saved during training."""
    return f"step_{step}"


def load_policy(path: Path, network: torch.nn.Module) -> dict[str, Any]:
    """Reads parameters into a network of the same shape.

    Returns:
        the plain values saved with them.

    Raises:
        ValueError: the file is missing, damaged, not a policy of dqn_lab, or of another network.
    """
    state, _ = statefile.load(path, POLICY)
    if not isinstance(state, dict) or not {"network", "about"} <= state.keys():
        raise ValueError(f"{path}: not a policy of dqn_lab")
    try:
        network.load_state_dict(state["network"])
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: holds another network than this run's configuration describes") from error
    about: dict[str, Any] = state["about"]
    if not isinstance(about, dict) or not isinstance(about.get("step"), int):
        raise ValueError(f"{path}: does not say at which step it was saved")
    return about


class Checkpoints:
    """The newest whole states of one run, each in a file named after its step.

    Each row of a replay buffer is written once: a checkpoint adds a file with the new rows, and refers to the earlier
    files that still hold stored rows. When there are too many of these, it writes all rows again into one file.

    Args:
        directory: the run's directory.
        keep: how many states, at least 1.
    """

    def __init__(self, directory: Path, keep: int) -> None:
        self.directory, self.folder, self.keep = directory, directory / CHECKPOINT, keep
        self._replay: list[dict[str, Any]] = []  # the last state's files: name, digest, where its rows end
        self._needed: dict[Path, set[str]] = {}  # the names of these files for each known state
        self._refused: set[Path] = set()  # states that could not be loaded

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Writes a state, and removes the oldest beyond `keep`.

        Raises:
            StateError: it holds something that cannot be saved.
            OSError: it could not be written; the earlier states are unchanged.
        """
        replay = self._save_rows(step, dict(rows_of(state)))
        path = self.folder / f"{step:012d}.safetensors"
        try:
            statefile.save(path, STATE, {**state, "replay": replay})
        except BaseException:
            for file in replay:
                if file not in self._replay:  # no state refers to it
                    (self.folder / file["name"]).unlink(missing_ok=True)
            raise
        self._replay, self._needed[path] = replay, {file["name"] for file in replay}
        self._refused.discard(path)
        self._remove_old(path)

    def _save_rows(self, step: int, rings: Mapping[str, Rows]) -> list[dict[str, Any]]:
        """Writes the new rows; returns the files that together hold all rows."""
        kept = [file for file in self._replay if any(end > rings[path].first for path, end in file["ends"].items())]
        kept = [] if len(kept) >= MANY else kept
        since = {path: max([0, *(file["ends"].get(path, 0) for file in kept)]) for path in rings}
        new = {path: [*ring.pieces(since[path])] for path, ring in rings.items() if ring.written > since[path]}
        if not new:
            return kept
        name = f"replay-{step:012d}.safetensors"
        digest = statefile.save(self.folder / name, REPLAY, new)
        return [*kept, {"name": name, "digest": digest, "ends": {path: rings[path].written for path in new}}]

    def _remove_old(self, newest: Path) -> None:
        """Removes all but the last `keep` usable states up to `newest`, and replay files that no state refers to."""
        states = [path for path in saved_states(self.directory) if path <= newest and path not in self._refused]
        kept = states[-self.keep :]
        for path in set(saved_states(self.directory)) - set(kept):
            path.unlink(missing_ok=True)
            self._needed.pop(path, None)
        if not self._needed.keys() >= set(kept):
            return  # one was written by an earlier process; its replay files are unknown
        needed = set[str]().union(*(self._needed[path] for path in kept))
        for path in self.folder.glob("replay-*.safetensors"):
            if path.name not in needed:
                path.unlink(missing_ok=True)

    def restore(self, load: Callable[[dict[str, Any]], object]) -> None:
        """Loads the newest undamaged state that fits; a warning says why each newer one was skipped.

        Args:
            load: called with a state; may raise any error if the state does not fit.

        Raises:
            StateError: no state could be loaded.
        """
        remove_parts(self.folder)
        states, reasons = saved_states(self.directory), list[str]()
        for path in reversed(states):
            try:
                load(self._read(path))
                return
            except Exception as error:  # a file written by other code can raise nearly anything
                why = " ".join(str(error).split()) if isinstance(error, ValueError) else located(error)
                reasons.append(why)
                self._refused.add(path)
                if len(reasons) < len(states):
                    where = "" if str(self.folder) in why else f"{path}: "
                    _log.warning("%s%s; trying the checkpoint before it", where, why)
        if not reasons:
            raise StateError("the run has no checkpoint to continue from")
        hint = "; restore the code that the run began with, or start a new run" if "(raised in" in reasons[0] else ""
        raise StateError(f"the run has no checkpoint that can be loaded: {reasons[0]}{hint}")

    def _read(self, path: Path) -> dict[str, Any]:
        state, _ = statefile.load(path, STATE)
        replay = [*state.pop("replay")]
        self._needed[path], self._replay = {str(file["name"]) for file in replay}, replay
        self._load_rows(dict(rows_of(state)), replay)
        found: dict[str, Any] = state
        return found

    def _load_rows(self, rings: Mapping[str, SavedRows], replay: list[dict[str, Any]]) -> None:
        for file in replay:
            path = self.folder / Path(file["name"]).name
            found, digest = statefile.load(path, REPLAY, copy=False)  # a ring may take half of the memory
            if digest != file["digest"]:
                raise ValueError(f"{path}: belongs to another checkpoint")
            for key, pieces in found.items():
                rings[key].pieces += [(int(at), rows) for at, rows in pieces]
