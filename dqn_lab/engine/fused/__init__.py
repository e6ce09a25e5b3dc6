"""A whole update in one call of compiled code: multilayer perceptrons on the CPU."""

from dqn_lab.engine.fused.engine import FusedEngine

__all__ = ["FusedEngine"]
