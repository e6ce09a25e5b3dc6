"""What a run keeps on disk to be played and to be continued: its policies, and its whole state."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from dqn_lab import statefile
from dqn_lab.records import CHECKPOINT, saved_states
from dqn_lab.statefile import Rows, SavedRows, rows_of
from dqn_lab.types import StateError

_log = logging.getLogger(__name__)
POLICY, STATE, REPLAY = "policy 2", "state 1", "replay 1"  # kinds of files, with their versions
MANY = 32  # files of replay that a state may be spread over


def policy_path(directory: Path, name: str) -> Path:
    """Returns where a run keeps a policy: the `final` one, or the `best`."""
    return directory / CHECKPOINT / f"{name}.safetensors"


def save_policy(path: Path, network: torch.nn.Module, about: Mapping[str, Any]) -> None:
    """Writes a network's parameters, and plain values that say where they come from."""
    statefile.save(path, POLICY, {"about": dict(about), "network": network.state_dict()})


def kept_name(step: int) -> str:
    """Returns what a policy that is kept on the way is called."""
    return f"step_{step}"


def policy_names(directory: Path) -> list[str]:
    """Lists the policies that a run has saved: those kept on the way in the order of their steps, then the others."""
    found = {path.stem for path in (directory / CHECKPOINT).glob("*.safetensors")}
    kept = {int(match[1]): match[0] for name in found if (match := re.fullmatch(r"step_(\d+)", name))}
    return [*(kept[step] for step in sorted(kept)), *(name for name in ("best", "final") if name in found)]


def load_policy(path: Path, network: torch.nn.Module) -> dict[str, Any]:
    """Reads parameters into a network of the same shape.

    Returns:
        the plain values saved beside them.

    Raises:
        ValueError: the file is missing, damaged, not ours, or of another network.
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
        raise ValueError(f"{path}: does not say which step it is of")
    return about


class Checkpoints:
    """The whole states of one run: the newest few, each in a file called after its step.

    The rows of a replay are written once. A checkpoint adds a file of those that are new, and refers to the files
    before it that still hold something; when those have become many, it writes every row again into one.

    Args:
        directory: the run's.
        keep: how many states, at least 1.
    """

    def __init__(self, directory: Path, keep: int) -> None:
        self.directory, self.folder, self.keep = directory, directory / CHECKPOINT, keep
        self._replay: list[dict[str, Any]] = []  # the files of the last state: name, digest, and where the rows end
        self._needed: dict[Path, set[str]] = {}  # the names of those files, for each state

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Writes a state; those before it that are one too many are removed.

        Raises:
            StateError: it holds something that cannot be saved.
            OSError: it could not be written; the states before it are as they were.
        """
        replay = self._save_rows(step, dict(rows_of(state)))
        path = self.folder / f"{step:012d}.safetensors"
        statefile.save(path, STATE, {**state, "replay": replay})
        self._replay, self._needed[path] = replay, {file["name"] for file in replay}
        self._remove_old(path)

    def _save_rows(self, step: int, rings: Mapping[str, Rows]) -> list[dict[str, Any]]:
        """Writes the rows that are new; returns the files that together hold all of them."""
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
        """Removes states that are too many or of a future that was given up, and rows that no state refers to."""
        states = [path for path in saved_states(self.directory) if path <= newest]
        kept = states[-self.keep :]
        for path in set(saved_states(self.directory)) - set(kept):
            path.unlink(missing_ok=True)
            self._needed.pop(path, None)
        needed = set[str]().union(*(self._needed.get(path, set()) for path in kept))
        for path in self.folder.glob("replay-*.safetensors"):
            if path.name not in needed:
                path.unlink(missing_ok=True)

    def load(self) -> Iterator[dict[str, Any]]:
        """Yields the states that are whole, the newest first; a warning names each one that is not."""
        for part in self.folder.glob(".*.part"):
            part.unlink(missing_ok=True)  # of a process that died as it wrote
        for path in reversed(saved_states(self.directory)):
            try:
                state, _ = statefile.load(path, STATE)
                self._needed[path] = {str(file["name"]) for file in state["replay"]}
                self._load_rows(dict(rows_of(state)), state["replay"])
            except (ValueError, KeyError, TypeError, StateError) as error:
                _log.warning("%s; the checkpoint before it is tried", error)
                continue
            self._replay = state.pop("replay")
            yield state

    def _load_rows(self, rings: Mapping[str, SavedRows], replay: list[dict[str, Any]]) -> None:
        for file in replay:
            path = self.folder / Path(file["name"]).name
            found, digest = statefile.load(path, REPLAY)
            if digest != file["digest"]:
                raise ValueError(f"{path}: is of another checkpoint")
            for key, pieces in found.items():
                rings[key].pieces += [(int(at), rows) for at, rows in pieces]
