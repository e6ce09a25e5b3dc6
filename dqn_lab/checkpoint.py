"""Policies on disk: written whole or not at all, read without trusting them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dqn_lab.records import write_atomically

FORMAT = "dqn_lab policy 1"


def save_policy(path: Path, network: torch.nn.Module, about: Mapping[str, Any]) -> None:
    """Writes a network's parameters, and plain values that say where they come from."""
    state = {"format": FORMAT, "about": dict(about), "network": network.state_dict()}
    write_atomically(path, lambda file: torch.save(state, file))


def kept_name(step: int) -> str:
    """Returns what a policy that is kept on the way is called."""
    return f"step_{step}"


def policy_names(directory: Path) -> list[str]:
    """Lists the policies that a run has saved: those kept on the way in the order of their steps, then the others."""
    found = {path.stem for path in (directory / "checkpoint").glob("*.*") if not path.name.startswith(".")}
    kept = {int(match[1]): match[0] for name in found if (match := re.fullmatch(r"step_(\d+)", name))}
    return [*(kept[step] for step in sorted(kept)), *(name for name in ("best", "final") if name in found)]


def load_policy(path: Path, network: torch.nn.Module) -> dict[str, Any]:
    """Reads parameters into a network of the same shape.

    Returns:
        the plain values saved beside them.

    Raises:
        ValueError: the file is missing, damaged, not ours, or of another network.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such checkpoint")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can raise nearly anything
        raise ValueError(f"{path}: damaged, or not a checkpoint of dqn_lab") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT or not {"network", "about"} <= state.keys():
        raise ValueError(f"{path}: not a checkpoint of dqn_lab")
    try:
        network.load_state_dict(state["network"])
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: holds another network than this run's configuration describes") from error
    about: dict[str, Any] = state["about"]
    if not isinstance(about, dict) or not isinstance(about.get("step"), int):
        raise ValueError(f"{path}: does not say which step it is of")
    return about
