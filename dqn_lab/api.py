"""Runs from Python, with the command line's names: `train`, `resume`, `verify`, `load` and `evaluate`.

Where a command prints an error, a function raises a `ConfigError` with the same text. Hydra's global state is restored.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dqn_lab._arguments import flag, to_write, whole
from dqn_lab.cli import _interrupt, _jobs, _overrides, say
from dqn_lab.cli import verify as verifying
from dqn_lab.cli._compose import compose_config
from dqn_lab.cli._continue import begin_again, imports_of, prepare
from dqn_lab.cli._display import make_display
from dqn_lab.cli._policy import open_policy, play
from dqn_lab.cli._runs import make_directory, names_a_directory
from dqn_lab.cli._summary import early_end, engine_note
from dqn_lab.cli._workplace import ends_explained, in_pythons_words, log_file, workplace
from dqn_lab.errors import ConfigError
from dqn_lab.handle import Run
from dqn_lab.records import override_key

if TYPE_CHECKING:
    import pandas as pd

    from dqn_lab.cli.verify import Verification


def train(
    *overrides: str,
    directory: str | os.PathLike[str] | None = None,
    config_dir: str | os.PathLike[str] | None = None,
    **keys: Any,
) -> Run:
    """Trains a DQN, as `python -m dqn_lab train` does.

    Args:
        overrides: as on the command line: `"network=mlp64"`, `"target.interval=10"`.
        directory: where to write; by default a new one below `outputs/`.
        config_dir: a directory with custom options and components, as `--config-dir` on the command line.
        keys: plain keys: `steps=20_000`, `seed=3`.

    Returns:
        the finished run.

    Raises:
        ConfigError: one line per problem; nothing was written.
        TrainingError: the environment or a component raised, or a loss was not finite; what was recorded is kept.

    >>> run = train("logger=csv", episodes=3, display="none", directory="first")
    >>> run.status, len(run.episodes)
    ('completed', 3)
    >>> train("netwrok=mlp64")
    Traceback (most recent call last):
    dqn_lab.errors.ConfigError: netwrok=mlp64: no such key; did you mean network? choices: seed, ...
    """
    words = [_overrides.adding(text) for text in _overrides.spell(overrides, keys)]
    called = [*map(repr, overrides), *(f"{key}={value!r}" for key, value in keys.items())]
    place = _directory(directory, words)
    with in_pythons_words(), workplace(f"dqn_lab.train({', '.join(called)})", config_dir):
        with _interrupt.before("the run began"):
            config = compose_config(words)
            experiment = _jobs.prepare(config)
        for line in experiment.warnings:
            warnings.warn(line, UserWarning, stacklevel=2)
        if note := engine_note(experiment):
            say(note)
        path = make_directory(place or Path(config.hydra.run.dir), bump=place is None and not names_a_directory(words))
        with log_file(path / "train.log"), ends_explained(experiment, path):
            show = functools.partial(make_display, config.display)
            _jobs.as_hydras_job(config, path, lambda: _jobs.carry_out(experiment, path, show), own_logging=False)
    run = Run(path, trust=True)
    if "episodes" not in map(override_key, words) and (ended := early_end(run.record)):
        warnings.warn(ended, UserWarning, stacklevel=2)
    return run


def _directory(directory: str | os.PathLike[str] | None, words: Sequence[str]) -> Path | None:
    """Returns the directory that a call names; refuses a second name among the overrides."""
    if directory is None:
        return None
    if twice := [text for text in words if override_key(text) == "hydra.run.dir"]:
        raise ConfigError(f"{twice[0]}: leave it out; directory= names the directory")
    return to_write("directory", directory)


def resume(
    run: Run | str | os.PathLike[str],
    *overrides: str,
    trust: bool = False,
    **keys: Any,
) -> Run:
    """Continues a run where it stopped, as `python -m dqn_lab resume` does.

    Args:
        run: the run, or its directory.
        overrides: of keys that do not affect what has already run: `"evaluation.interval=10"`.
        trust: whether to import code from outside dqn_lab that the run's configuration names.
        keys: plain keys: `steps=200_000` extends a completed run.

    Returns:
        the finished run.

    Raises:
        ConfigError: there is no checkpoint to continue from, or an override affects what has already run.
        TrainingError: the environment or a component raised, or a loss was not finite; what was recorded is kept.

    >>> run = train("logger=csv", episodes=2, display="none", directory="third")
    >>> len(resume(run, episodes=5).episodes)
    5
    """
    run = run if isinstance(run, Run) else load(run, trust)
    words = _overrides.spell(overrides, keys)
    called = [repr(str(run.directory)), *map(repr, words)]
    trust = flag("trust", trust) or run.trust
    with in_pythons_words(), workplace(f"dqn_lab.resume({', '.join(called)})", imports_of(run.directory, trust)):
        with _interrupt.before("the run continued"):
            experiment = prepare(run.directory, words, trust)
        for warning in [*experiment.warnings, *begin_again(run.directory)]:
            warnings.warn(warning, UserWarning, stacklevel=2)
        with log_file(run.directory / "train.log"), ends_explained(experiment, run.directory):
            show = functools.partial(make_display, experiment.config["display"])
            _jobs.carry_out(experiment, run.directory, show)
    return Run(run.directory, trust)


def load(directory: str | os.PathLike[str], trust: bool = False) -> Run:
    """Opens a finished, interrupted or running run.

    Args:
        directory: the run's directory.
        trust: whether to import code from outside dqn_lab that the run's configuration names, to use its policy.

    Raises:
        ConfigError: the directory contains no run.

    >>> load("nowhere")
    Traceback (most recent call last):
    dqn_lab.errors.ConfigError: nowhere: no such directory...
    """
    return Run(directory, trust)


def evaluate(
    run: Run | str | os.PathLike[str],
    *,
    episodes: int = 100,
    policy: str = "final",
    seed: int | None = None,
    trust: bool = False,
) -> pd.DataFrame:
    """Plays greedy episodes with a run's policy, as `python -m dqn_lab evaluate` does.

    Args:
        run: the run, or its directory.
        episodes: the number of episodes, at least 1.
        policy: the `final` one, the `best` by evaluations during training, or one saved during training, `step_…`.
        seed: the seed of the episodes; None for the run's own.
        trust: whether to import code from outside dqn_lab that the run's configuration names.

    Returns:
        one row per episode: `episode`, `seed`, `return`, `length`.

    Raises:
        ConfigError: there is no run, or no such policy.

    >>> run = train("logger=csv", episodes=2, display="none", directory="second")
    >>> evaluate(run, episodes=5)["episode"].tolist()
    [0, 1, 2, 3, 4]
    """
    import pandas as pd

    episodes, seed = whole("episodes", episodes, 1), None if seed is None else whole("seed", seed, 0)
    run = run if isinstance(run, Run) else load(run, trust)
    with in_pythons_words(), _interrupt.before("the episodes were played"):
        tell = functools.partial(warnings.warn, category=UserWarning, stacklevel=3)
        loaded = open_policy(run.directory, str(policy), flag("trust", trust) or run.trust, tell)
        rows = [(number, *row) for number, row in enumerate(play(loaded, episodes, seed))]
    return pd.DataFrame(rows, columns=["episode", "seed", "return", "length"])


def verify(
    run: Run | str | os.PathLike[str], *, evaluate: bool = False, display: str = "none", trust: bool = False
) -> Verification:
    """Runs a completed run again and compares every byte of its results, as `python -m dqn_lab verify` does.

    Args:
        run: the run, or its directory.
        evaluate: whether to only play the final policy's episodes again and compare the score.
        display: how to show progress: `"auto"` is useful for a long run.
        trust: whether to import code from outside dqn_lab that the run's configuration names.

    Returns:
        an object that is true if nothing differs, and prints what was compared and what differs.

    Raises:
        ConfigError: there is no run, or it is not completed.

    >>> verify(train("logger=csv", episodes=2, display="none", directory="fourth"))
    verified: 2 rows of episodes.csv and 1 row of evaluations.csv are the same, byte for byte
    """
    run = run if isinstance(run, Run) else load(run, trust)
    trust, evaluate = flag("trust", trust) or run.trust, flag("evaluate", evaluate)
    with in_pythons_words(), workplace(f"dqn_lab.verify({str(run.directory)!r})", imports_of(run.directory, trust)):
        return verifying.verify(run.directory, evaluate=evaluate, trust=trust, display=display)
