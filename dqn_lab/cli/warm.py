"""`warm`: compiles the kernels in advance."""

from __future__ import annotations

import logging
import time

from dqn_lab.cli import fail
from dqn_lab.cli._outcome import one_line_errors
from dqn_lab.cli._parser import Parser
from dqn_lab.cli._text import to_copy

EACH = (
    "logger=csv", "rollout=compiled", "env.implementation=compiled", "env.max_episode_steps=20",
    "train.learning_starts=8", "train.batch_size=8",
)  # fmt: skip
TABULAR = ("network=table", "engine=torch", "rollout=python")
NOISY = ("network.noisy=true", "exploration=none")
COMPOSITIONS: dict[str, tuple[str, ...]] = {  # together they need every kernel
    "the default": (),
    "n-step returns, Boltzmann exploration, Polyak averaging": (
        "buffer.n_step=3", "exploration=boltzmann", "target=polyak",
    ),
    "prioritized replay, ez-greedy exploration": ("buffer=prioritized", "exploration=ez_greedy"),
    "no replay, no target network": ("buffer=none", "target=none"),
    "noisy layers": NOISY,
    "categorical values": ("value=categorical",),
    "categorical values, noisy layers, prioritized replay": ("value=categorical", "buffer=prioritized", *NOISY),
    "quantile values": ("value=quantile",),
    "quantile values, noisy layers": ("value=quantile", *NOISY),
    "implicit quantile values": ("value=implicit_quantile",),
    "implicit quantile values, noisy layers": ("value=implicit_quantile", *NOISY),
    "acrobot": ("env=acrobot",),
    "mountain_car": ("env=mountain_car",),
    "toy text": ("env=frozen_lake",),
    "toy text, prioritized replay": ("env=frozen_lake", "buffer=prioritized"),
    "toy text, a table": ("env=frozen_lake", *TABULAR),
}  # fmt: skip


@one_line_errors
def main(argv: list[str]) -> int:
    """Compiles whatever is not on disk yet, and prints a line for each composition; returns the exit code."""
    description = "Compiles all kernels of the fused engine and the compiled rollout, and caches them on disk."
    Parser(prog="python -m dqn_lab warm", description=description).parse_args(argv)
    from dqn_lab import _numba  # numba is imported when there is something to compile

    directory = _numba.cache_directory()
    if directory is None:
        return fail("found no directory to keep compiled kernels in; set NUMBA_CACHE_DIR to one", code=1)
    logging.getLogger("dqn_lab").setLevel(logging.ERROR)
    print(to_copy("kernels", str(directory)))
    for number, (name, overrides) in enumerate(COMPOSITIONS.items(), 1):
        print(f"{number:>2}/{len(COMPOSITIONS)}  {name} …", end="", flush=True)
        started = time.perf_counter()
        _run(overrides)
        print(f" {time.perf_counter() - started:.1f} s", flush=True)
    return 0


def _run(overrides: tuple[str, ...]) -> None:
    """Takes some steps, learns from them, and evaluates the policy."""
    import numpy as np

    from dqn_lab.build import build, validate
    from dqn_lab.cli import _compose
    from dqn_lab.evaluate import evaluate
    from dqn_lab.schedule import NEVER

    with _compose.composer():
        experiment = build(validate(_compose.plain(_compose.compose_config([*EACH, *overrides]))))
    while experiment.rollout.progress.step < 40:
        experiment.rollout.advance(NEVER._replace(step=40))
    agent = experiment.agent
    list(evaluate(agent.greedy, experiment.make_env, np.random.default_rng(0), 2, agent.engine))
    experiment.rollout.close()
