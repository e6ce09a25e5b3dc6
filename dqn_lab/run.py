"""One run, from its first file to its last: train, evaluate, record."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import torch

from dqn_lab.checkpoint import load_policy, save_policy, write_atomically
from dqn_lab.evaluate import evaluate, summarize
from dqn_lab.schedule import Progress
from dqn_lab.train import Experiment, train
from dqn_lab.types import ConfigError, Row, Table, TrainingError

_log = logging.getLogger(__name__)
LAST = 100  # training episodes in the mean of the last ones


class Display(Protocol):
    """What a person sees of a run while it goes on."""

    def step(self, progress: Progress) -> None: ...
    def episode(self, row: Row, progress: Progress) -> None: ...
    def evaluation(self, row: Row, label: str) -> None: ...


class Run:
    """Carries an experiment out in a directory of its own.

    Args:
        experiment: what to run.
        directory: holds no run yet; made where missing.
        about: plain values for `run.json`: versions, command and the like.

    Raises:
        ConfigError: the directory holds a run already.
    """

    display: Display

    def __init__(self, experiment: Experiment, directory: Path, about: dict[str, Any]) -> None:
        self.experiment, self.directory = experiment, directory
        self.columns = experiment.columns()
        self.progress = Progress()
        self.started = self.measured = time.perf_counter()
        self.measured_step = 0
        self.num_evaluations = 0
        self.best: dict[str, Any] | None = None
        self.returns: deque[float] = deque(maxlen=LAST)
        self.record: dict[str, Any] = {
            "status": "running",
            "seed": experiment.config["seed"],
            "engine": experiment.engine,
            "warnings": experiment.warnings,
            **about,
            "config": experiment.config,
        }
        directory.mkdir(parents=True, exist_ok=True)
        try:
            (directory / "run.json").touch(exist_ok=False)  # whoever makes it owns the directory
        except FileExistsError as error:
            raise ConfigError(f"{directory}: holds a run already") from error
        self._save_record()

    def execute(self, display: Display) -> dict[str, Any]:
        """Trains, evaluates the final policy, and closes the books whatever happens.

        Args:
            display: shows a person how it goes.

        Returns:
            what `run.json` says.

        Raises:
            KeyboardInterrupt: the run was interrupted; its status says so.
            Exception: the run failed; its status says so, and what was logged is kept.
        """
        self.display = display
        status = "failed"
        try:
            torch.set_num_threads(self.experiment.config["num_threads"])
            self.started = self.measured = time.perf_counter()
            for logger in self.experiment.loggers:
                logger.open(self.directory, self.record["config"], self.columns)
                self.record.update(logger.info())
            self._save_record()
            self.measured = time.perf_counter()  # the speed of training leaves the loggers' start out
            train(self.experiment, self)
            self._save_policy("final")
            self._final_scores()
            status = "completed"
        except KeyboardInterrupt:
            status = "interrupted"
            if "scores" not in self.record:  # otherwise the final policy is saved, and another may be loaded
                self._save_policy("final")
            raise
        except Exception as error:
            self.record["error"] = _one_line(error)
            _log.info("failed at %s", self.progress, exc_info=error)
            raise
        finally:
            self._close(status)
        return self.record

    def step(self, progress: Progress) -> None:
        """Follows the loop."""
        self.progress = progress
        self.display.step(progress)

    def episode(self, row: Row, progress: Progress) -> None:
        """Records an ended training episode."""
        self._write("episodes", row)
        now = time.perf_counter()
        rate = (progress.step - self.measured_step) / max(now - self.measured, 1e-9)
        timing = {"seconds": now - self.started, "steps_per_second": rate}
        self._write("timing", {"episode": row["episode"], "step": progress.step, **timing})
        self.measured, self.measured_step = now, progress.step
        self.returns.append(float(row["return"] or 0.0))
        self.display.episode(row, progress)

    def evaluate(self, progress: Progress) -> None:
        """Evaluates the policy as it is, and keeps it if it is the best so far."""
        if self.experiment.spent(progress):
            return  # the final evaluation follows at once
        row = self._evaluate(str(self.num_evaluations), self.experiment.num_episodes, "greedy")
        self.num_evaluations += 1
        if self.best is None or row["return_mean"] > self.best["return_mean"]:
            self.best = {"step": progress.step, "return_mean": row["return_mean"]}
            self._save_policy("best")

    def _final_scores(self) -> None:
        """Scores the final policy, the primary result, and the selected one on fresh episodes."""
        num_episodes = self.experiment.final_num_episodes
        scores: dict[str, Any] = {}
        self.record["scores"] = scores
        scores["final"] = self._evaluate("final", num_episodes, "final policy")
        if self.returns:
            scores["last_100"] = sum(self.returns) / len(self.returns)
        if self.best is None:
            self._save_policy("best")
        else:
            with self._best_policy():
                selected = self._evaluate("selected", num_episodes, "selected policy", log=False)
            scores["selected"] = {**selected, "step": self.best["step"]}

    def _evaluate(self, name: str, num_episodes: int, label: str, log: bool = True) -> dict[str, Any]:
        began = time.perf_counter()
        rng = self.experiment.streams(f"evaluation {name}")
        try:
            row = summarize(list(evaluate(self.experiment.agent.greedy, self.experiment.make_env, rng, num_episodes)))
        except Exception as error:
            where = f"the evaluation at episode {self.progress.episode}, step {self.progress.step} failed"
            raise TrainingError(f"{where}: {type(error).__name__}: {error}") from error
        row = {"step": self.progress.step, "episode": self.progress.episode, **row}
        self.measured += time.perf_counter() - began  # the speed of training leaves evaluation out
        if log:
            self._write("evaluations", row)
            self.display.evaluation(row, label)
        return row

    @contextlib.contextmanager
    def _best_policy(self) -> Iterator[None]:
        network = self.experiment.agent.engine.online
        final = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        try:
            load_policy(self.directory / "checkpoint" / "best.pt", network)
            yield
        finally:
            network.load_state_dict(final)

    def _save_policy(self, name: str) -> None:
        path = self.directory / "checkpoint" / f"{name}.pt"
        save_policy(path, self.experiment.agent.engine.online, {"policy": name, **self.progress._asdict()})

    def _write(self, table: Table, row: Row) -> None:
        unknown = row.keys() - set(self.columns[table])
        if unknown:
            raise ValueError(f"{table}: no column {', '.join(sorted(unknown))}; declared: {self.columns[table]}")
        for logger in self.experiment.loggers:
            logger.write(table, row)

    def _close(self, status: str) -> None:
        self.record["status"] = status
        self.record["wall_seconds"] = round(time.perf_counter() - self.started, 3)
        self.record["progress"] = self.progress._asdict()
        final = self.record.get("scores", {}).get("final", {})
        self._save_record()  # first of all, because closing a logger may take its time, or a second Ctrl-C
        for logger in self.experiment.loggers:
            try:
                logger.close(status, final)
            except Exception as error:  # the record must still be written
                _log.warning("closing %s: %s", type(logger).__name__, _one_line(error))

    def _save_record(self) -> None:
        path = self.directory / "run.json"
        text = json.dumps(_jsonable(self.record), indent=2, ensure_ascii=False).encode() + b"\n"
        try:
            write_atomically(path, lambda file: file.write(text))
        except OSError:  # a full disk has no room for a second file, but the one there has the room it had
            with path.open("r+b") as file:
                file.write(text)
                file.truncate()


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, TrainingError) else f"{type(error).__name__}: {text}"


def _jsonable(value: Any) -> Any:
    """Replaces what JSON has no word for: infinities and not-a-number become null."""
    if isinstance(value, dict):
        return {key: _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_record(directory: Path) -> dict[str, Any]:
    """Reads a run's `run.json`.

    Raises:
        ValueError: the directory is no run, or its record is damaged.
    """
    path = directory / "run.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{directory}: no run here (there is no readable run.json)") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: damaged: {error}") from error
    if not isinstance(record, dict) or not isinstance(record.get("config"), dict) or "status" not in record:
        raise ValueError(f"{path}: not the record of a dqn_lab run")
    return record
