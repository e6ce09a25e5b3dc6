"""One run, from its first file to its last: training, evaluation, records, and resuming."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from dqn_lab import interrupt
from dqn_lab._atomic import remove_parts
from dqn_lab._outside import located, noted
from dqn_lab.checkpoint import Checkpoints
from dqn_lab.errors import budget_exceeded
from dqn_lab.hooks import FallsBack
from dqn_lab.locks import Claim
from dqn_lab.logs import Logs
from dqn_lab.records import RUN, read_record, unchangeable, write_record
from dqn_lab.schedule import Progress, progress_of
from dqn_lab.scoring import Scoring
from dqn_lab.train import Experiment, train
from dqn_lab.types import ConfigError, Row, StateError, Stride, TrainingError, one_line

_log = logging.getLogger(__name__)
LAST = 100  # training episodes in the score `last_100`


class Display(Protocol):
    """Shows a run's progress."""

    def start(self) -> None: ...
    def stride(self, stride: Stride) -> None: ...
    def playing(self, played: int, total: int) -> None: ...
    def evaluation(self, row: Row, label: str) -> None: ...


class Run:
    """Carries out an experiment in its own directory.

    Args:
        experiment: the experiment to run.
        directory: contains no run yet; created if missing.
        about: plain values for `run.json`: versions, command and the like.

    Raises:
        ConfigError: the directory already contains a run, or another process is using it.
    """

    display: Display
    record: dict[str, Any]

    def __init__(self, experiment: Experiment, directory: Path, about: Mapping[str, Any]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._prepare(experiment, directory)
        try:
            if (directory / RUN).exists():
                raise ConfigError(f"{directory}: holds a run already")
            self.record = {
                "status": "running",
                "seed": experiment.config["seed"],
                **{group: choice._asdict() for group, choice in experiment.choices.items()},
                "warnings": experiment.warnings,
                **about,
                "config": experiment.config,
            }
            self._save_record()
        except BaseException:
            self.claim.release()
            raise

    @classmethod
    def resume(cls, experiment: Experiment, directory: Path, about: Mapping[str, Any]) -> Run:
        """Prepares to continue a run from its newest checkpoint; leaves its directory unchanged until `execute`.

        Args:
            experiment: the run's experiment, in which only the keys in `MAY_CHANGE` may differ.
            directory: the run's directory.
            about: plain values for `run.json`, as for a new run; its `command` and `started` are kept.

        Raises:
            ConfigError: another process is using the directory, or there is no run in it.
            StateError: there is no checkpoint to continue from.
        """
        run = cls.__new__(cls)
        run._prepare(experiment, directory)
        try:
            run._restore(about)
        except BaseException:
            run.claim.release()
            raise
        return run

    def _prepare(self, experiment: Experiment, directory: Path) -> None:
        self.experiment, self.directory = experiment, directory.absolute()
        self.claim = Claim(directory, "another process is training there")
        self.process = os.getpid()
        remove_parts(self.directory)
        self.logs = Logs(dict(zip(experiment.config["logger"], experiment.loggers, strict=True)), experiment.columns)
        self.positions: dict[str, Any] = {}  # of the loggers, in a resumed run
        self.is_recorded = False  # whether this attempt wrote `run.json`; until then a resumed run is unchanged
        self.checkpoints = Checkpoints(self.directory, experiment.keep or 1)
        self.scoring = Scoring(
            experiment, self.directory, self._publish, self.logs.show_video, lambda *args: self.display.playing(*args)
        )
        self.saved: Progress | None = None  # the newest checkpoint's progress
        self.seconds = 0.0  # that the run took before it was resumed
        self.started = self.measured = time.perf_counter()
        self.measured_step = 0
        self.returns: deque[float] = deque(maxlen=LAST)

    def execute(self, display: Display) -> dict[str, Any]:
        """Trains, evaluates the final policy, and completes the record even if the run fails.

        Args:
            display: shows the run's progress.

        Returns:
            the content of `run.json`.

        Raises:
            KeyboardInterrupt: the run was interrupted; its status says so, and it can be resumed.
            Exception: the run failed; its status says so, and what was logged is kept.
        """
        self.display = display
        with interrupt.listening():
            return self._execute()

    def _execute(self) -> dict[str, Any]:
        status = "failed"
        try:
            self._begin()
            with noted(lambda: self.progress.step):
                train(self.experiment.rollout, self.experiment.due, self)
            self.scoring.save_policy("final")
            if self.saved != self.progress:
                self.save(self.progress)
            self.record["scores"] = {"last_100": sum(self.returns) / len(self.returns)} if self.returns else {}
            self.scoring.in_the_end(self.record["scores"])
            self._check_place()
            status = "completed"
        except KeyboardInterrupt as error:
            status = "interrupted"
            self._leave(safely=isinstance(error, interrupt.Interrupted) and error.safe)
            raise
        except (Exception, SystemExit) as error:
            end = TrainingError(f"code in the run called exit({error.code})") if isinstance(error, SystemExit) else None
            self.record["error"] = located(end or error)
            _log.info("failed at %s", self.progress, exc_info=error)
            if end:
                raise end from error
            raise
        finally:
            with interrupt.held():
                self._close(status)
        return self.record

    def _begin(self) -> None:
        torch.set_num_threads(self.experiment.config["num_threads"])
        self.started = time.perf_counter() - self.seconds
        self._open_logs()
        if not self.is_recorded:
            self.scoring.take_over(was_completed=self.record["resumed"][-1]["status"] == "completed")
        self._save_record()
        self.scoring.in_the_beginning()
        self.measured, self.measured_step = time.perf_counter(), self.progress.step  # excludes the loggers' start
        self.display.start()

    def _open_logs(self) -> None:
        try:
            self.record.update(self.logs.open(self.directory, self.record["config"], self.positions))
        except Exception as error:
            hint = "" if self.is_recorded else "; the run is unchanged, and can be resumed with another logger"
            raise TrainingError(f"{one_line(error)}{hint}") from error

    @property
    def progress(self) -> Progress:
        """The run's progress."""
        return self.experiment.rollout.progress

    def stride(self, stride: Stride) -> None:
        """Records the training episodes that ended in a stride."""
        self._check_place()
        if stride.episodes:
            rate = (stride.after.step - self.measured_step) / max((now := time.perf_counter()) - self.measured, 1e-9)
            resumed, seconds = len(self.record.get("resumed", ())), now - self.started
            self.measured, self.measured_step = now, stride.after.step
        for row in stride.episodes:
            self.logs.write("episodes", row)
            timing = {"seconds": seconds, "steps_per_second": rate, "resumed": resumed}
            self.logs.write("timing", {"episode": row["episode"], "step": row["step"], **timing})
            self.returns.append(float(row["return"] or 0.0))
        self.display.stride(stride)

    def evaluate(self, progress: Progress) -> None:
        """Evaluates the current policy."""
        began = time.perf_counter()
        self.scoring.on_the_way()
        self.measured += time.perf_counter() - began  # the speed of training does not include evaluation

    def _publish(self, row: Row, label: str) -> None:
        self.logs.write("evaluations", row)
        self.display.evaluation(row, label)

    def save(self, progress: Progress) -> None:
        """Saves the whole state; if that fails, logs a warning and continues."""
        if self.experiment.keep is None:
            return
        try:
            with interrupt.held():
                self._check_place()
                self.checkpoints.save(progress.step, self._state())
                self.saved = progress
        except (StateError, OSError) as error:
            _log.warning("no checkpoint at step %s: %s", progress.step, one_line(error))

    def _state(self) -> dict[str, Any]:
        return {
            "identity": unchangeable(self.experiment.config),
            "seconds": time.perf_counter() - self.started,
            "evaluated": list(self.experiment.due.evaluated),
            "scoring": self.scoring.state_dict(),
            "returns": list(self.returns),
            "loggers": self.logs.positions(),
            "rollout": self.experiment.rollout.state_dict(),
        }

    def _restore(self, about: Mapping[str, Any]) -> None:
        old = read_record(self.directory)
        self.checkpoints.restore(self._load)
        if self.experiment.due.exceeded(self.progress):
            raise ConfigError(budget_exceeded(self.directory, self.progress.episode, self.progress.step))
        again = {**about, "from": self.progress._asdict(), **{key: old.get(key) for key in ("status", "scores")}}
        self.record = {
            **{key: value for key, value in old.items() if key not in ("scores", "error", "wall_seconds")},
            "status": "running",
            **{key: about.get(key) for key in ("host", "pid")},
            "resumed": [*(old.get("resumed") or []), again],
            "rollout": self.experiment.choices["rollout"]._asdict(),
            "config": self.experiment.config,
        }

    def _load(self, state: Mapping[str, Any]) -> None:
        if state["identity"] != unchangeable(self.experiment.config):
            raise StateError("the checkpoint belongs to another configuration")
        self.experiment.rollout.load_state_dict(state["rollout"])
        self.experiment.due.evaluated = progress_of((*state["evaluated"],))
        self.experiment.due.saved = self.saved = self.progress
        self.scoring.load_state_dict(state["scoring"])
        self.returns = deque(map(float, state["returns"]), maxlen=LAST)
        self.seconds, self.positions = float(state["seconds"]), dict(state["loggers"])

    def _leave(self, safely: bool) -> None:
        """Saves an interrupted run's policy and, if it stopped at a safe point, its state."""
        self._check_process()
        if "scores" in self.record or not self.is_recorded or not self.claim.holds():
            return  # the final policy is already saved, and another may be loaded; or there is nowhere to save it
        try:
            self.scoring.save_policy("final")
        except (OSError, StateError) as error:
            _log.warning("the final policy is not saved: %s", one_line(error))
        if safely and self.saved != self.progress:
            self.save(self.progress)

    def _check_place(self) -> None:
        """Raises an error if the run's directory was removed or renamed."""
        self._check_process()
        if not self.claim.holds():
            raise TrainingError(f"{self.directory}: was removed or renamed during the run")

    def _check_process(self) -> None:
        if os.getpid() != self.process:  # this is a child process that the environment forked
            os._exit(1)

    def _close(self, status: str) -> None:
        self._check_process()
        self.record["status"] = status
        self.record["wall_seconds"] = round(time.perf_counter() - self.started, 3)
        self.record["progress"] = self.progress._asdict()
        if isinstance(engine := self.experiment.agent.engine, FallsBack) and engine.fallback is not None:
            chosen = {**self.experiment.choices["engine"]._asdict(), **(self.record.get("engine") or {})}
            rejected = {**chosen["rejected"], chosen["name"]: engine.fallback}
            self.record["engine"] = {"name": "torch", "reason": engine.fallback, "rejected": rejected}
        try:
            if self.is_recorded and self.claim.holds():
                self._save_record()  # first, because closing may be slow, or hang
        finally:
            scores = self.record.get("scores", {})
            interrupt.shut("the environment", self.experiment.rollout.close)
            ended = status if self.is_recorded else self.record["resumed"][-1]["status"]
            interrupt.shut("the loggers", lambda: self.logs.close(ended, scores.get("final", {})))
            self.claim.release()

    def _save_record(self) -> None:
        write_record(self.directory, self.record)
        self.is_recorded = True
