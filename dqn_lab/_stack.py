"""The space of stacked frames, by which a buffer knows that it can store each frame once."""

from __future__ import annotations

from gymnasium.spaces import Box


class Stack(Box):
    """A space of observations that are the latest frames, [frames, …]: consecutive ones have all but one in common."""
