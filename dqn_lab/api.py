"""Runs from Python, with the command line's names: `train`, `resume`, `verify`, `load` and `evaluate`.

Where a command prints an error, a function raises a `ConfigError` with the same text. Hydra's global state is restored.
"""

from __future__ import annotations

import functools
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dqn_lab.cli import _interrupt, _jobs, _overrides
from dqn_lab.cli import verify as verifying
from dqn_lab.cli._compose import compose_config
from dqn_lab.cli._display import engine_note, make_display
from dqn_lab.cli._plain import say
from dqn_lab.cli._policies import open_policy
from dqn_lab.cli._runs import check_run
from dqn_lab.cli._text import returns_text, shown
from dqn_lab.cli._workplace import ends_explained, in_pythons_words, log_file, workplace
from dqn_lab.cli.evaluate import Policy, play
from dqn_lab.cli.resume import begin_again, imports_of, prepare
from dqn_lab.cli.train import make_directory
from dqn_lab.records import read_record
from dqn_lab.types import Array, ConfigError, Table

if TYPE_CHECKING:
    import pandas as pd

    from dqn_lab.cli.verify import Verification


class Run(os.PathLike[str]):
    """A run's directory: its record, its tables, and its policy.

    Args:
        directory: the directory of a finished, interrupted or running run.
        trust: whether to import code from outside dqn_lab that the run's configuration names.

    Raises:
        ConfigError: the directory contains no run.
    """

    def __init__(self, directory: str | os.PathLike[str], trust: bool = False) -> None:
        if not isinstance(directory, (str, os.PathLike)):
            raise ConfigError(f"directory: must be a run's, as text or a path, not {type(directory).__name__}")
        self.directory, self.trust = Path(directory).absolute(), trust
        with in_pythons_words():
            check_run(Path(directory))
            read_record(self.directory)

    @property
    def record(self) -> dict[str, Any]:
        """The content of `run.json`, as it is now."""
        return read_record(self.directory)

    @property
    def status(self) -> str:
        """`running`, `completed`, `interrupted` or `failed`."""
        return str(self.record["status"])

    @property
    def config(self) -> dict[str, Any]:
        """The whole configuration, with all defaults filled in."""
        return dict(self.record["config"])

    @property
    def scores(self) -> dict[str, Any]:
        """The greedy returns of the `final` and the `selected` policy, and `last_100`; empty until they are known."""
        return dict(self.record.get("scores") or {})

    @property
    def episodes(self) -> pd.DataFrame:
        """`episodes.csv`: one row per training episode."""
        return self._table("episodes")

    @property
    def evaluations(self) -> pd.DataFrame:
        """`evaluations.csv`: one row per evaluation of the greedy policy."""
        return self._table("evaluations")

    def _table(self, name: Table) -> pd.DataFrame:
        from dqn_lab.analysis.tables import Unreadable, read_csv

        path = self.directory / f"{name}.csv"
        try:
            frame: pd.DataFrame = read_csv(path, name).to_pandas()
        except FileNotFoundError as error:
            raise ConfigError(f"{path}: no such file; the run did not use the csv logger") from error
        except Unreadable as error:
            raise ConfigError(f"{path}: {error}") from error
        return frame

    def policy(self, obs: Any) -> int:
        """Returns the final policy's greedy action at an observation: [*O], or as the environment returns it.

        Raises:
            ConfigError: `obs` is not a valid observation, or the run has no policy.
        """
        return int(self.q_values(obs).argmax())

    def q_values(self, obs: Any) -> Array:
        """Returns the final policy's Q-values [A] at an observation, in either form that `policy` takes."""
        with in_pythons_words():
            return self._final.q_values(obs)

    @functools.cached_property
    def _final(self) -> Policy:
        with in_pythons_words():
            return open_policy(self.directory, "final", self.trust)

    def __fspath__(self) -> str:
        return str(self.directory)

    def __repr__(self) -> str:
        final = self.scores.get("final")
        score = f", final return {returns_text(final)}" if final else ""
        return f"Run({shown(self.directory)!r}: {self.status}{score})"

    def _repr_html_(self) -> str:
        from dqn_lab.analysis.report.notebook import run_html

        return run_html(self.directory, repr(self))


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

    >>> run = train("logger=csv", episodes=3, display="none", directory=tmp / "first")
    >>> run.status, len(run.episodes)
    ('completed', 3)
    >>> train("netwrok=mlp64")
    Traceback (most recent call last):
    dqn_lab.errors.ConfigError: netwrok=mlp64: no such key; did you mean network? choices: seed, ...
    """
    words = [_overrides.adding(text) for text in _overrides.spell(overrides, keys)]
    called = [*map(repr, overrides), *(f"{key}={value!r}" for key, value in keys.items())]
    with in_pythons_words(), workplace(f"dqn_lab.train({', '.join(called)})", config_dir):
        with _interrupt.before("the run began"):
            config = compose_config(words)
            experiment = _jobs.prepare(config)
        for line in experiment.warnings:
            warnings.warn(line, UserWarning, stacklevel=2)
        if note := engine_note(experiment):
            say(note)
        path = make_directory(Path(directory or config.hydra.run.dir), bump=directory is None)
        with log_file(path / "train.log", terminal=True), ends_explained(experiment, path):
            show = functools.partial(make_display, config.display)
            _jobs.as_hydras_job(config, path, lambda: _jobs.carry_out(experiment, path, show), own_logging=False)
    return Run(path, trust=True)


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

    >>> run = train("logger=csv", episodes=2, display="none", directory=tmp / "third")
    >>> len(resume(run, episodes=5).episodes)
    5
    """
    run = run if isinstance(run, Run) else load(run, trust)
    words = _overrides.spell(overrides, keys)
    called = [repr(str(run.directory)), *map(repr, words)]
    trust = trust or run.trust
    with in_pythons_words(), workplace(f"dqn_lab.resume({', '.join(called)})", imports_of(run.directory, trust)):
        with _interrupt.before("the run continued"):
            experiment = prepare(run.directory, words, trust)
        for warning in [*experiment.warnings, *begin_again(run.directory)]:
            warnings.warn(warning, UserWarning, stacklevel=2)
        with log_file(run.directory / "train.log", terminal=True), ends_explained(experiment, run.directory):
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

    >>> load(tmp / "nowhere")
    Traceback (most recent call last):
    dqn_lab.errors.ConfigError: ...nowhere: no such directory...
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

    >>> run = train("logger=csv", episodes=2, display="none", directory=tmp / "second")
    >>> evaluate(run, episodes=5)["episode"].tolist()
    [0, 1, 2, 3, 4]
    """
    import pandas as pd

    if episodes < 1:
        raise ConfigError(f"episodes={episodes}: must be at least 1")
    run = run if isinstance(run, Run) else load(run, trust)
    with in_pythons_words():
        loaded = open_policy(run.directory, policy, run.trust or trust)
    rows = enumerate(play(loaded, episodes, seed))
    return pd.DataFrame(((n, *row) for n, row in rows), columns=["episode", "seed", "return", "length"])


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

    >>> verify(train("logger=csv", episodes=2, display="none", directory=tmp / "fourth"))
    verified: 2 rows of episodes.csv and 1 row of evaluations.csv are the same, byte for byte
    """
    run = run if isinstance(run, Run) else load(run, trust)
    trust = trust or run.trust
    with in_pythons_words(), workplace(f"dqn_lab.verify({str(run.directory)!r})", imports_of(run.directory, trust)):
        return verifying.verify(run.directory, evaluate=evaluate, trust=trust, display=display)
