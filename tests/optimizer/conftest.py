from __future__ import annotations

from collections.abc import Callable

import pytest
import torch


@pytest.fixture
def walk(make) -> Callable[..., list[float]]:
    """Returns the path of a weight that starts at 1, under one gradient after another."""

    def steps(name: str, gradients: list[float], **configuration: object) -> list[float]:
        weight = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
        optimizer, path = make("optimizer", name, **configuration).build([weight]), []
        for gradient in gradients:
            weight.grad = torch.tensor([gradient], dtype=torch.float64)
            optimizer.step()
            path.append(weight.item())
        return path

    return steps
