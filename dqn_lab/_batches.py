"""Checks, in a trial, every field of a batch that a custom buffer returns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from gymnasium import Space

from dqn_lab.types import Array, Batch, Transition

NUMBERS, INTEGERS, REALS = "biuf", "iu", "f"  # kinds of numpy's types
NAMES = {NUMBERS: "numbers", INTEGERS: "integers", REALS: "floating-point numbers"}


def batch_problem(batch: Batch, space: Space[Any], num_actions: int) -> str | None:
    """Returns what is wrong with a batch, or None if it is valid.

    Args:
        batch: what `sample` returned.
        space: the observations'.
        num_actions: A.
    """
    return next(_problems(batch, space, num_actions), None)


def never_appended(batch: Batch, appended: Iterable[tuple[Array, int]]) -> int:
    """Counts a batch's transitions whose observation and action were never appended together.

    Args:
        batch: a valid batch.
        appended: every observation and action so far.
    """
    obs, actions, *_ = batch.transition
    known = {(np.asarray(one, obs.dtype).tobytes(), action) for one, action in appended}
    return sum((one.tobytes(), int(action)) not in known for one, action in zip(obs, actions, strict=True))


def _problems(batch: Batch, space: Space[Any], num_actions: int) -> Iterator[str]:
    """Yields each problem; a later check relies on the earlier ones."""
    memory: Any = batch.memory
    if not isinstance(memory, Transition):
        yield f"its memory is {type(memory).__qualname__}, must be a Transition"
    size = len(batch.indices)
    for name in ("indices", "rows"):
        yield from _of_array(name, getattr(batch, name), (size,), INTEGERS)
    if batch.weights is not None:
        yield from _of_array("weights", batch.weights, (size,), REALS)
        if batch.weights.min() < 0:
            yield f"its weights go down to {batch.weights.min():.4g}, must be at least 0"
    stored = len(memory.obs)
    for name, values in memory._asdict().items():
        yield from _of_array(name, values, (stored, *_shapes(space)[name]), _kind(name), is_stored=True)
    if (low := batch.rows.min()) < 0 or (high := batch.rows.max()) >= stored:
        yield f"its rows contain {low if low < 0 else high}, must be from 0 to {stored - 1}"
    for name, values in batch.transition._asdict().items():
        yield from _of_array(name, values, (size, *_shapes(space)[name]), _kind(name))
    for name, most in (("action", num_actions - 1), ("discount", 1)):
        values = getattr(batch.transition, name)
        if values.min() < 0 or values.max() > most:
            wrong = values[(values < 0) | (values > most)][0]
            yield f"its {name} contains {wrong:g}, must be from 0 to {most}"


def _shapes(space: Space[Any]) -> dict[str, tuple[int, ...]]:
    """Returns the shape of each field of a transition, without the batch's dimension."""
    return {"obs": space.shape or (), "action": (), "reward": (), "next_obs": space.shape or (), "discount": ()}


def _kind(name: str) -> str:
    return {"action": INTEGERS, "discount": REALS}.get(name, NUMBERS)


def _of_array(name: str, found: Any, shape: tuple[int, ...], kinds: str, is_stored: bool = False) -> Iterator[str]:
    """Yields why a field is no array of a shape and a kind of type, or that it is not finite, unless it is stored.

    A replay memory has rows that were never written.
    """
    if not isinstance(found, np.ndarray):
        yield f"its {name} is {type(found).__module__}.{type(found).__qualname__}, must be a numpy array"
    elif found.shape != shape:
        yield f"its {name} has shape {found.shape}, must be {shape}"
    elif found.dtype.kind not in kinds:
        yield f"its {name} has type {found.dtype}, must be {NAMES[kinds]}"
    elif not is_stored and found.dtype.kind == "f" and not np.isfinite(found).all():
        yield f"its {name} contains {found[~np.isfinite(found)][0]}, must be finite"
