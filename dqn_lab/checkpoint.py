"""Policies on disk: written whole or not at all, read without trusting them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

FORMAT = "dqn_lab policy 1"


def write_atomically(path: Path, write: Any) -> None:
    """Replaces `path` by what `write` puts into a binary file, or leaves it as it was.

    Args:
        path: the file to make or replace; its directory is made where missing.
        write: is called with an open binary file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def save_policy(path: Path, network: torch.nn.Module, about: Mapping[str, Any]) -> None:
    """Writes a network's parameters, and plain values that say where they come from."""
    state = {"format": FORMAT, "about": dict(about), "network": network.state_dict()}
    write_atomically(path, lambda file: torch.save(state, file))


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
