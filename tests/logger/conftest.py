from __future__ import annotations

import pytest


@pytest.fixture
def columns() -> dict[str, tuple[str, ...]]:
    return {
        "episodes": ("episode", "step", "return", "length", "epsilon", "updates", "loss", "q_value"),
        "evaluations": ("step", "episode", "return_mean", "return_std", "return_min", "return_max", "episodes"),
        "timing": ("episode", "step", "seconds", "steps_per_second"),
    }


@pytest.fixture
def early_row() -> dict[str, float | int | None]:
    """Returns an episode's row from before the first update."""
    row = {"episode": 0, "step": 20, "return": 20.0, "length": 20, "epsilon": 1.0, "updates": 0}
    return {**row, "loss": None, "q_value": None}


@pytest.fixture
def row() -> dict[str, float | int | None]:
    row = {"episode": 1, "step": 52, "return": 32.0, "length": 32, "epsilon": 0.995, "updates": 7}
    return {**row, "loss": 0.1 + 0.2, "q_value": -1e-17}
