from __future__ import annotations

from collections.abc import Callable

import pytest
import torch


@pytest.fixture
def walk(make) -> Callable[..., list[float]]:
    """Returns a function that computes the path of a weight from 1, under the given gradients."""

    def steps(name: str, gradients: list[float], **configuration: object) -> list[float]:
        weight = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
        optimizer, path = make("optimizer", name, **configuration).build([weight]), []
        for gradient in gradients:
            weight.grad = torch.tensor([gradient], dtype=torch.float64)
            optimizer.step()
            path.append(weight.item())
        return path

    return steps
