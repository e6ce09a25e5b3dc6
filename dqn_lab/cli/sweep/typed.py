"""The overrides typed after a question's name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from dqn_lab._nearest import nearest
from dqn_lab.cli import _overrides
from dqn_lab.cli._overrides import parse_seeds
from dqn_lab.cli._translations import OF_A_QUESTION, of_a_question
from dqn_lab.errors import ConfigError
from dqn_lab.records import override_key
from dqn_lab.settings import DisplayName


@dataclass(frozen=True, kw_only=True)
class Typed:
    """The overrides typed after a question's name.

    Args:
        launch: Hydra's own, which decide how jobs are launched.
        base: those for every run.
        seeds: seeds that replace the question's, or None.
        shows: whether to show the progress; a job's own display is never shown.
    """

    launch: list[str]
    base: list[str]
    seeds: list[int] | None
    shows: bool = True


def read_typed(overrides: list[str]) -> Typed:
    """Sorts the overrides typed after a question's name.

    Raises:
        ConfigError: one line for each override that cannot be read.
    """
    launch, base, seeds, problems, shows = [], [], None, [], True
    for text in overrides:
        key = override_key(text)
        try:
            if key == "seed":
                seeds = parse_seeds(text.partition("=")[2])
            elif key == "display":
                shows = _display(text) != "none"
            elif key in OF_A_QUESTION:
                problems.append(f"{text}: {of_a_question(key, text.partition('=')[2])}")
            elif key == "hydra.sweep.dir":
                problems.append(f"{text}: a sweep's directory is set with --dir")
            elif _overrides.is_hydras(key):
                _overrides.is_sweep(text)
                launch.append(text)
            else:
                base.append(_single(text))
        except ConfigError as error:
            problems += [problem.replace("seeds=", "seed=", 1) for problem in error.problems]
    if problems:
        raise ConfigError(*problems)
    if not any(override_key(text) == "hydra/launcher" for text in launch):
        launch.insert(0, "hydra/launcher=joblib")
    return Typed(launch=launch, base=base, seeds=seeds, shows=shows)


def _display(text: str) -> str:
    """Reads a display's name; a sweep shows its table, or nothing."""
    name, choices = text.partition("=")[2].strip(_overrides.QUOTES), get_args(DisplayName)
    if name not in choices:
        raise ConfigError(f"{text}: no such choice; {nearest(name, choices)}")
    return name


def _single(text: str) -> str:
    """Checks that an override has one value."""
    text = _overrides.adding(text)
    if _overrides.is_sweep(text):
        raise ConfigError(f"{text}: several values belong in the question's file; for a grid use `train -m`")
    return text
