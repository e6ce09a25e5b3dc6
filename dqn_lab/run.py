"""One run, from its first file to its last: train, evaluate, record; and go on where it was stopped."""

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
from dqn_lab.checkpoint import Checkpoints
from dqn_lab.hooks import FallsBack
from dqn_lab.interrupt import Interrupted
from dqn_lab.locks import Claim
from dqn_lab.logs import Logs
from dqn_lab.records import MAY_CHANGE, NOT_THE_RUN, RUN, read_record, remove_parts, text_without, write_record
from dqn_lab.schedule import Progress, progress_of
from dqn_lab.scoring import Scoring
from dqn_lab.train import Experiment, train
from dqn_lab.types import ConfigError, Row, StateError, Stride, TrainingError, one_line

_log = logging.getLogger(__name__)
LAST = 100  # training episodes in the mean of the last ones


class Display(Protocol):
    """What a person sees of a run."""

    def start(self) -> None: ...
    def stride(self, stride: Stride) -> None: ...
    def playing(self, played: int, total: int) -> None: ...
    def evaluation(self, row: Row, label: str) -> None: ...


class Run:
    """Carries out an experiment in its own directory.

    Args:
        experiment: what to run.
        directory: holds no run yet; made if missing.
        about: plain values for `run.json`: versions, command and the like.

    Raises:
        ConfigError: the directory holds a run already, or another process has it.
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
        """Prepares to go on with a run from its newest checkpoint; what it recorded after that is cut off.

        Args:
            experiment: the run's own, with what `MAY_CHANGE`.
            directory: the run's.
            about: plain values for `run.json`, as for a new run; its `command` and `started` are kept.

        Raises:
            ConfigError: another process has the directory, or there is no run in it.
            StateError: there is no checkpoint to go on from.
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
        self.positions: dict[str, Any] = {}  # of the loggers, in a run that goes on
        self.checkpoints = Checkpoints(self.directory, experiment.keep or 1)
        self.scoring = Scoring(
            experiment, self.directory, self._tell, self.logs.show_video, lambda *count: self.display.playing(*count)
        )
        self.saved: Progress | None = None  # where the newest checkpoint is
        self.seconds = 0.0  # that the run took before it was resumed
        self.started = self.measured = time.perf_counter()
        self.measured_step = 0
        self.returns: deque[float] = deque(maxlen=LAST)

    def execute(self, display: Display) -> dict[str, Any]:
        """Trains, evaluates the final policy, and completes the record whatever happens.

        Args:
            display: shows a person how it goes.

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
            self._leave(safely=isinstance(error, Interrupted) and error.safe)
            raise
        except (Exception, SystemExit) as error:
            code = error.code if isinstance(error, SystemExit) else None
            ended = TrainingError(f"something in it called exit({code})") if isinstance(error, SystemExit) else error
            self.record["error"] = one_line(ended)
            _log.info("failed at %s", self.progress, exc_info=error)
            raise ended from error
        finally:
            with interrupt.held():
                self._close(status)
        return self.record

    def _begin(self) -> None:
        torch.set_num_threads(self.experiment.config["num_threads"])
        self.started = time.perf_counter() - self.seconds
        self.record.update(self.logs.open(self.directory, self.record["config"], self.positions))
        self._save_record()
        self.scoring.in_the_beginning()
        self.measured = time.perf_counter()  # the speed of training does not include the loggers' start
        self.measured_step = self.progress.step
        self.display.start()

    @property
    def progress(self) -> Progress:
        """How far the run has come."""
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
        """Evaluates the policy as it is."""
        began = time.perf_counter()
        self.scoring.on_the_way()
        self.measured += time.perf_counter() - began  # the speed of training does not include evaluation

    def _tell(self, row: Row, label: str) -> None:
        self.logs.write("evaluations", row)
        self.display.evaluation(row, label)

    def _count(self, played: int, total: int) -> None:
        self.display.playing(played, total)

    def save(self, progress: Progress) -> None:
        """Saves the whole state. One that cannot be saved costs a warning: the run goes on."""
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
            "identity": _past(self.experiment.config),
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
            at = f"episode {self.progress.episode}, step {self.progress.step}"
            raise ConfigError(f"the run has come to {at} already, further than is asked for")
        again = {**about, "from": self.progress._asdict(), "status": old["status"]}
        self.record = {
            **{key: value for key, value in old.items() if key not in ("scores", "error", "wall_seconds")},
            "status": "running",
            **{key: about.get(key) for key in ("host", "pid")},
            "resumed": [*(old.get("resumed") or []), again],
            "rollout": self.experiment.choices["rollout"]._asdict(),
            "config": self.experiment.config,
        }
        self._save_record()
        self.scoring.restore_best()

    def _load(self, state: Mapping[str, Any]) -> None:
        if state["identity"] != _past(self.experiment.config):
            raise StateError("the checkpoint is of another configuration")
        self.experiment.rollout.load_state_dict(state["rollout"])
        self.experiment.due.evaluated = progress_of((*state["evaluated"],))
        self.experiment.due.saved = self.saved = self.progress
        self.scoring.load_state_dict(state["scoring"])
        self.returns = deque(map(float, state["returns"]), maxlen=LAST)
        self.seconds, self.positions = float(state["seconds"]), dict(state["loggers"])

    def _leave(self, safely: bool) -> None:
        """Saves what an interrupted run has come to."""
        self._check_process()
        if "scores" in self.record or not self.claim.holds():
            return  # the final policy is saved, and another may be loaded; or there is nowhere to save it
        try:
            self.scoring.save_policy("final")
        except (OSError, StateError) as error:
            _log.warning("the final policy is not saved: %s", one_line(error))
        if safely and self.saved != self.progress:
            self.save(self.progress)

    def _check_place(self) -> None:
        """Sees that the run still is where it was.

        Raises:
            TrainingError: its directory was removed or renamed.
        """
        self._check_process()
        if not self.claim.holds():
            raise TrainingError(f"{self.directory}: was removed or renamed during the run")

    def _check_process(self) -> None:
        if os.getpid() != self.process:  # the environment forked, and this is the copy
            os._exit(1)

    def _close(self, status: str) -> None:
        self._check_process()
        self.record["status"] = status
        self.record["wall_seconds"] = round(time.perf_counter() - self.started, 3)
        self.record["progress"] = self.progress._asdict()
        engine, chosen = self.experiment.agent.engine, self.record["engine"]
        if isinstance(engine, FallsBack) and engine.fallback is not None:
            rejected = {**chosen["rejected"], chosen["name"]: engine.fallback}
            self.record["engine"] = {"name": "torch", "reason": engine.fallback, "rejected": rejected}
        try:
            if self.claim.holds():
                self._save_record()  # first of all, because closing may take its time, or hang
        finally:
            scores = self.record.get("scores", {})
            interrupt.shut("the environment", self.experiment.rollout.close)
            interrupt.shut("the loggers", lambda: self.logs.close(status, scores.get("final", {})))
            self.claim.release()

    def _save_record(self) -> None:
        write_record(self.directory, self.record)


def _past(config: Mapping[str, Any]) -> str:
    """Writes what a configuration says about the past of a run: all that may not change when it is resumed."""
    return text_without(config, (*NOT_THE_RUN, *MAY_CHANGE))
