"""Finds out whose code draws from the global random generators, which a run's seed does not control."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

import numpy as np
import torch


def _numpys() -> tuple[bytes, int]:
    state: Any = np.random.get_state(legacy=False)  # noqa: NPY002
    return state["state"]["key"].tobytes(), state["state"]["pos"]


def _torchs() -> bytes:
    return torch.random.get_rng_state().numpy().tobytes()


GENERATORS: Mapping[str, Callable[[], Any]] = {  # each returns a state that every draw changes
    "random": random.getstate,
    "np.random": _numpys,
    "torch's global generator": _torchs,
}


class GlobalDraws:
    """A context that checks for draws whenever a function of given modules is called or returns.

    Args:
        modules: the names of the modules whose functions are suspected.
    """

    def __init__(self, modules: set[str]) -> None:
        self.modules = modules
        # module, generator, and the class whose method drew, in order
        self.found: dict[tuple[str, str, type], None] = {}
        self._active: list[FrameType] = []
        self._states: list[Any] = []

    def __enter__(self) -> GlobalDraws:
        self._states = _states()
        self._before = sys.getprofile()
        sys.setprofile(self._watch)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(self._before)

    def _watch(self, frame: FrameType, event: str, _: object) -> None:
        if event not in ("call", "return") or frame.f_globals.get("__name__") not in self.modules:
            return
        states = _states()
        if self._active and states != self._states:
            drawing = self._active[-1]
            for name, before, after in zip(GENERATORS, self._states, states, strict=True):
                if before != after:
                    module, owner = str(drawing.f_globals["__name__"]), type(drawing.f_locals.get("self"))
                    self.found[module, name, owner] = None
        self._states = states
        if event == "call":
            self._active.append(frame)
        elif self._active:
            self._active.pop()


def _states() -> list[Any]:
    return [state() for state in GENERATORS.values()]
