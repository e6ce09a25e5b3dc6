"""One run, from its first file to its last: train, evaluate, record."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import torch

from dqn_lab.checkpoint import kept_name, load_policy, save_policy
from dqn_lab.evaluate import Episode, evaluate, summarize
from dqn_lab.hooks import FallsBack, ShowsVideo
from dqn_lab.records import RUN, write_record
from dqn_lab.schedule import Progress
from dqn_lab.train import Experiment, train
from dqn_lab.types import ConfigError, Row, Stride, Table, TrainingError, one_line

_log = logging.getLogger(__name__)
LAST = 100  # training episodes in the mean of the last ones


class Display(Protocol):
    """What a person sees while a run goes on."""

    def start(self) -> None: ...
    def stride(self, stride: Stride) -> None: ...
    def evaluation(self, row: Row, label: str) -> None: ...


class Run:
    """Carries out an experiment in its own directory.

    Args:
        experiment: what to run.
        directory: holds no run yet; made if missing.
        about: plain values for `run.json`: versions, command and the like.

    Raises:
        ConfigError: the directory holds a run already.
    """

    display: Display

    def __init__(self, experiment: Experiment, directory: Path, about: dict[str, Any]) -> None:
        self.experiment, self.directory = experiment, directory
        self.started = self.measured = time.perf_counter()
        self.measured_step = 0
        self.num_evaluations = 0
        self.best: dict[str, Any] | None = None
        self.returns: deque[float] = deque(maxlen=LAST)
        self.record: dict[str, Any] = {
            "status": "running",
            "seed": experiment.config["seed"],
            **{group: choice._asdict() for group, choice in experiment.choices.items()},
            "warnings": experiment.warnings,
            **about,
            "config": experiment.config,
        }
        directory.mkdir(parents=True, exist_ok=True)
        try:
            (directory / RUN).touch(exist_ok=False)  # whoever makes it owns the directory
        except FileExistsError as error:
            raise ConfigError(f"{directory}: holds a run already") from error
        self._save_record()

    def execute(self, display: Display) -> dict[str, Any]:
        """Trains, evaluates the final policy, and completes the record whatever happens.

        Args:
            display: shows a person how it goes.

        Returns:
            the content of `run.json`.

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
                logger.open(self.directory, self.record["config"], self.experiment.columns)
                self.record.update(logger.info())
            self._save_record()
            self._keep_policy()
            self.measured = time.perf_counter()  # the speed of training does not include the loggers' start
            display.start()
            with contextlib.closing(self.experiment.rollout):
                train(self.experiment.rollout, self.experiment.due, self)
            self._save_policy("final")
            self._final_scores()
            status = "completed"
        except KeyboardInterrupt:
            status = "interrupted"
            if "scores" not in self.record:  # otherwise the final policy is saved, and another may be loaded
                self._save_policy("final")
            raise
        except Exception as error:
            self.record["error"] = one_line(error)
            _log.info("failed at %s", self.progress, exc_info=error)
            raise
        finally:
            self._close(status)
        return self.record

    @property
    def progress(self) -> Progress:
        """How far the run has come."""
        return self.experiment.rollout.progress

    def stride(self, stride: Stride) -> None:
        """Records the training episodes that ended in a stride."""
        for row in stride.episodes:
            self._write("episodes", row)
            now = time.perf_counter()
            rate = (stride.after.step - self.measured_step) / max(now - self.measured, 1e-9)
            timing = {"seconds": now - self.started, "steps_per_second": rate}
            self._write("timing", {"episode": row["episode"], "step": row["step"], **timing})
            self.measured, self.measured_step = now, stride.after.step
            self.returns.append(float(row["return"] or 0.0))
        self.display.stride(stride)

    def evaluate(self, progress: Progress) -> None:
        """Evaluates the policy as it is, and keeps it if it is the best so far."""
        row = self._evaluate(str(self.num_evaluations), self.experiment.num_episodes, "greedy")
        self.num_evaluations += 1
        self._keep_policy()
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
            return
        if scores["final"]["return_mean"] >= self.best["return_mean"]:  # the final policy is a candidate too
            self.best = {"step": self.progress.step, "return_mean": scores["final"]["return_mean"]}
            self._save_policy("best")
        with self._best_policy():
            selected = self._evaluate("selected", num_episodes, "selected policy", log=False)
        scores["selected"] = {**selected, "step": self.best["step"]}

    def _evaluate(self, name: str, num_episodes: int, label: str, log: bool = True) -> dict[str, Any]:
        began = time.perf_counter()
        rng = self.experiment.streams(f"evaluation {name}")
        try:
            episodes = list(evaluate(self.experiment.agent.greedy, self.experiment.make_env, rng, num_episodes))
            row = summarize(episodes)
        except Exception as error:
            where = f"the evaluation at episode {self.progress.episode}, step {self.progress.step} failed"
            raise TrainingError(f"{where}: {type(error).__name__}: {error}") from error
        row = {"step": self.progress.step, "episode": self.progress.episode, **row}
        if log and self.experiment.config["evaluation"]["video"]:
            self._film(name, episodes[0])
        self.measured += time.perf_counter() - began  # the speed of training does not include evaluation
        if log:
            self._write("evaluations", row)
            self.display.evaluation(row, label)
        return row

    def _film(self, name: str, episode: Episode) -> None:
        """Films an evaluation's first episode once more; a film that fails costs a warning, never the run."""
        from dqn_lab import film, video  # imported by those who film

        step = self.progress.step
        path = self.directory / "videos" / f"{'final' if name == 'final' else kept_name(step)}.mp4"
        try:
            with contextlib.closing(film.open_stage(self.experiment.make_env)) as env:
                shots = film.shoot(self.experiment.agent.greedy, env, episode.seed)
                label = f"step {step:,}, greedy"
                video.write_video(path, (film.labelled(shot, label) for shot in shots), film.frames_per_second(env))
            for logger in self.experiment.loggers:
                if isinstance(logger, ShowsVideo):
                    logger.show_video(path, step)
        except Exception as error:
            _log.warning("filming the evaluation at step %d failed: %s", step, one_line(error))

    def _keep_policy(self) -> None:
        """Keeps the policy as it is, before training and after every evaluation, or every so manyth."""
        every = int(self.experiment.config["evaluation"]["keep_policies"])
        if every and self.num_evaluations % every == 0:
            self._save_policy(kept_name(self.progress.step))

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
        columns = self.experiment.columns[table]
        unknown = row.keys() - set(columns)
        if unknown:
            raise ValueError(f"{table}: no column {', '.join(sorted(unknown))}; declared: {columns}")
        for logger in self.experiment.loggers:
            logger.write(table, row)

    def _close(self, status: str) -> None:
        self.record["status"] = status
        self.record["wall_seconds"] = round(time.perf_counter() - self.started, 3)
        self.record["progress"] = self.progress._asdict()
        engine = self.experiment.agent.engine
        if isinstance(engine, FallsBack) and engine.fallback is not None:
            rejected = {**self.record["engine"]["rejected"], self.record["engine"]["name"]: engine.fallback}
            self.record["engine"] = {"name": "torch", "reason": engine.fallback, "rejected": rejected}
        final = self.record.get("scores", {}).get("final", {})
        self._save_record()  # first of all, because closing a logger may take its time, or a second Ctrl-C
        for logger in self.experiment.loggers:
            try:
                logger.close(status, final)
            except Exception as error:  # the record must still be written
                _log.warning("closing %s: %s", type(logger).__name__, one_line(error))

    def _save_record(self) -> None:
        write_record(self.directory, self.record)
