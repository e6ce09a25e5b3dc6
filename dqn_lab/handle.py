"""`Run`: what Python sees of a run's directory."""

from __future__ import annotations

import functools
import os
import warnings
from typing import TYPE_CHECKING, Any

from dqn_lab._arguments import flag
from dqn_lab._paths import policy_path, to_read
from dqn_lab.cli._policy import Policy, open_policy
from dqn_lab.cli._runs import check_run
from dqn_lab.cli._text import returns_text, shown
from dqn_lab.cli._workplace import in_pythons_words
from dqn_lab.records import read_record
from dqn_lab.types import Array, ConfigError, Table

if TYPE_CHECKING:
    import pandas as pd


class Run(os.PathLike[str]):
    """A run's directory: its record, its tables, and its policy. Two are equal if their directories are.

    Args:
        directory: the directory of a finished, interrupted or running run.
        trust: whether to import code from outside dqn_lab that the run's configuration names.

    Raises:
        ConfigError: the directory contains no run, also later, if it is removed.
    """

    def __init__(self, directory: str | os.PathLike[str], trust: bool = False) -> None:
        if not isinstance(directory, (str, os.PathLike)):
            raise ConfigError(f"directory: must be a run's, as text or a path, not {type(directory).__name__}")
        if isinstance(directory, str) and directory.startswith("Run("):
            raise ConfigError("directory: is a run that was turned into text; give the run itself, or run.directory")
        place = to_read(directory)
        self.directory, self.trust = place.absolute(), flag("trust", trust)
        self._policies: dict[str, tuple[int | None, Policy]] = {}  # those opened, and when their files were written
        with in_pythons_words():
            check_run(place)
            read_record(self.directory)

    @property
    def record(self) -> dict[str, Any]:
        """The content of `run.json`, as it is now."""
        with in_pythons_words():
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
        """The greedy returns of the `final` and the `selected` policy, and `last_100`; empty until they are known.

        The selected policy is the one with the best evaluation, the final policy's included; its returns are those of
        fresh episodes. `last_100` is the mean return of the last 100 training episodes.
        """
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
        import pandas as pd

        from dqn_lab.analysis.tables import NoRow, Unreadable, read_csv

        path = self.directory / f"{name}.csv"
        try:
            frame: pd.DataFrame = read_csv(path, name).to_pandas()
        except FileNotFoundError as error:
            loggers = [part["name"] for part in self.config["logger"].values()]
            why = "it was moved or deleted" if "csv" in loggers else "the run did not use the csv logger"
            raise ConfigError(f"{path}: no such file; {why}") from error
        except Unreadable as error:
            if not (isinstance(error, NoRow) and self.status == "completed"):
                raise ConfigError(f"{path}: {error}") from error
            frame = pd.DataFrame(columns=error.columns, dtype=float)
        return frame

    def policy(self, obs: Any, policy: str = "final") -> int:
        """Returns a policy's greedy action at an observation: [*O], or as the environment returns it.

        Args:
            obs: the observation.
            policy: as for `evaluate`: `final`, `best`, or one saved during training, `step_…`.

        Raises:
            ConfigError: `obs` is not a valid observation, or the run has no such policy.
        """
        with in_pythons_words():
            return int(self._opened(policy).q_values(obs).argmax())

    def q_values(self, obs: Any, policy: str = "final") -> Array:
        """Returns a policy's Q-values [A] at an observation; the arguments are those of `policy`."""
        with in_pythons_words():
            return self._opened(policy).q_values(obs)

    def _opened(self, name: str) -> Policy:
        """Opens a policy, unless it is open and its file has not changed since: a resumed run replaces it."""
        path = policy_path(self.directory, name)
        stamp = path.stat().st_mtime_ns if path.is_file() else None
        known = self._policies.get(name)
        if known is None or known[0] != stamp:
            tell = functools.partial(warnings.warn, category=UserWarning, stacklevel=4)  # at the caller's own line
            known = self._policies[name] = stamp, open_policy(self.directory, name, self.trust, tell)
        return known[1]

    def __fspath__(self) -> str:
        return str(self.directory)

    def __eq__(self, other: object) -> bool:
        return self.directory == other.directory if isinstance(other, Run) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.directory)

    def __repr__(self) -> str:
        place = shown(self.directory)
        try:
            final = self.scores.get("final")
            score = f", final return {returns_text(final)}" if final else ""
            return f"Run({place!r}: {self.status}{score})"
        except (AttributeError, KeyError, TypeError, ValueError):  # it was removed or damaged; a repr must not raise
            return f"Run({place!r}: cannot be read)"

    def _repr_html_(self) -> str:
        from dqn_lab.analysis.report.notebook import run_html

        return run_html(self.directory, repr(self))
