"""A run's own settings, apart from those of its components: their types, ranges and defaults."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict

from dqn_lab.schedule import Unit

Count = Annotated[int, Gt(0)]
DisplayName = Literal["auto", "bar", "lines", "notebook", "none"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Learning(_Strict):
    """When the agent learns, and from how many transitions; the `train` keys."""

    batch_size: Annotated[int, Gt(0), Le(100_000)] = 64
    minibatch_size: Count | None = None
    max_reward: Annotated[float, Gt(0)] | None = None
    learning_starts: Annotated[int, Ge(0)] = 64
    interval: Count = 1
    num_updates: Annotated[int, Gt(0), Le(100_000)] = 1


class Evaluation(_Strict):
    """When and on how many episodes the policy is evaluated; the `evaluation` keys."""

    interval: Count | None = 50
    unit: Unit = "episodes"
    num_episodes: Annotated[int, Gt(0), Le(1_000_000)] = 10
    final_num_episodes: Annotated[int, Gt(0), Le(1_000_000)] = 100
    max_steps: Count | None = 100_000
    video: bool = False
    keep_policies: bool | Count = False


class Checkpointing(_Strict):
    """When a run's state is saved, so that it can be continued; the `checkpoint` keys."""

    interval: Count | None = 60
    unit: Literal["seconds"] | Unit = "seconds"
    keep: Count = 2


class RunValues(_Strict):
    """A run's own settings, apart from those of its components."""

    seed: Annotated[int, Ge(0)] = 0
    episodes: Count | None = 500
    steps: Count | None = None
    discount: Annotated[float, Ge(0), Le(1)] = 0.99
    device: str = "cpu"
    num_threads: Annotated[int, Gt(0), Le(256)] = 1
    display: DisplayName = "auto"
    train: Learning = Learning()
    evaluation: Evaluation = Evaluation()
    checkpoint: Checkpointing = Checkpointing()
