"""Evaluates a run's policies during training and at its end, and saves the best and the final one."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from dqn_lab._outside import located
from dqn_lab._paths import policy_path
from dqn_lab.checkpoint import kept_name, save_policy
from dqn_lab.evaluate import evaluate, summarize
from dqn_lab.schedule import Progress, progress_of
from dqn_lab.train import Experiment
from dqn_lab.types import Row, TrainingError

_log = logging.getLogger(__name__)


class Scoring:
    """Evaluates and saves the policies of one run.

    Args:
        experiment: the experiment that trains the policy.
        directory: the run's directory.
        tell: called with every row of the evaluations' table and a label for the policy.
        show: called with every video of an evaluation and its step.
        count: called with the number of an evaluation's episodes played so far, and their total.
    """

    def __init__(
        self,
        experiment: Experiment,
        directory: Path,
        tell: Callable[[Row, str], None],
        show: Callable[[Path, int], None],
        count: Callable[[int, int], None],
    ) -> None:
        self.experiment, self.directory = experiment, directory
        self.tell, self.show, self.count = tell, show, count
        self.films, self.keep_every = (experiment.config["evaluation"][key] for key in ("video", "keep_policies"))
        self.num_evaluations = 0
        self.best: dict[str, Any] | None = None  # the best evaluation: its return_mean, network, and progress

    def in_the_beginning(self) -> None:
        """Saves the policy before training, if policies are kept; a resumed run has done so already."""
        if not self._progress.step:
            self._keep()

    def on_the_way(self) -> None:
        """Evaluates the current policy, and keeps it if it is the best so far."""
        row = self._evaluate(str(self.num_evaluations), self.experiment.num_episodes)
        self.tell(row, "greedy")
        self.num_evaluations += 1
        self._keep()
        if self.best is None or _rank(row) > _rank(self.best):
            self._keep_as_best(row)

    def in_the_end(self, scores: dict[str, Any]) -> None:
        """Scores the final policy, the primary result, and the selected one on fresh episodes.

        Args:
            scores: `final` and `selected` are added as they become known.
        """
        num_episodes = self.experiment.final_num_episodes
        scores["final"] = self._evaluate("final", num_episodes)
        self.tell(scores["final"], "final policy")
        if self.best is None:
            self.save_policy("best")
            return
        if _rank(scores["final"]) >= _rank(self.best):  # the final policy is a candidate too
            self._keep_as_best(scores["final"])
        with self._best_policy(self.best):
            selected = self._evaluate("selected", num_episodes)
        at = progress_of((*self.best["progress"],))
        scores["selected"] = {**selected, "step": at.step, "episode": at.episode}

    def save_policy(self, name: str, progress: Progress | None = None) -> None:
        """Saves the network as a policy of the current or an earlier progress."""
        about = {"policy": name, **(progress or self._progress)._asdict()}
        save_policy(policy_path(self.directory, name), self._network, about)

    def take_over(self, was_completed: bool) -> None:
        """Rewrites the policies' files from the restored state, because they may be newer than it.

        Args:
            was_completed: whether the run had ended, so that its final policy is kept under the name of its step.
        """
        if was_completed:
            self.save_policy(kept_name(self._progress.step))
        if self.best is None:
            policy_path(self.directory, "best").unlink(missing_ok=True)
            return
        with self._best_policy(self.best):
            self.save_policy("best", progress_of((*self.best["progress"],)))

    def state_dict(self) -> dict[str, Any]:
        """Returns the number of evaluations, and the best one."""
        return {"num_evaluations": self.num_evaluations, "best": self.best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.num_evaluations, self.best = int(state["num_evaluations"]), state["best"]
        if self.best is not None:
            float(self.best["return_mean"]), progress_of((*self.best["progress"],))
            with self._best_policy(self.best):
                pass  # checks that it fits

    def _evaluate(self, name: str, num_episodes: int) -> dict[str, Any]:
        rng, episodes = self.experiment.streams.fresh(f"evaluation {name}"), []
        try:
            self.count(0, num_episodes)
            agent, make_env = self.experiment.agent, self.experiment.make_env
            for episode in evaluate(agent.greedy, make_env, rng, num_episodes, agent.engine):
                episodes.append(episode)
                self.count(len(episodes), num_episodes)
        except Exception as error:
            where = f"the evaluation at episode {self._progress.episode}, step {self._progress.step} failed"
            raise TrainingError(f"{where}: {located(error)}") from error
        if self.films and name != "selected":
            self._film("final" if name == "final" else kept_name(self._progress.step), episodes[0].seed)
        return {"step": self._progress.step, "episode": self._progress.episode, **summarize(episodes)}

    def _film(self, name: str, seed: int) -> None:
        """Plays an evaluation's first episode again and films it; logs a warning if that fails."""
        from dqn_lab import film, video  # imported late, because they need an extra

        step, path = self._progress.step, self.directory / "videos" / f"{name}.mp4"
        try:
            with contextlib.closing(film.open_stage(self.experiment.make_env)) as env:
                shots = film.shoot(self.experiment.agent.greedy, env, seed)
                pictures = (film.labelled(shot, f"step {step:,}, greedy") for shot in shots)
                video.write_video(path, pictures, film.frames_per_second(env))
            self.show(path, step)
        except Exception as error:
            _log.warning("filming the evaluation at step %d failed: %s", step, located(error))

    def _keep(self) -> None:
        """Saves the current policy before training and at every `keep_every`-th evaluation."""
        if self.keep_every and self.num_evaluations % int(self.keep_every) == 0:
            self.save_policy(kept_name(self._progress.step))

    def _keep_as_best(self, row: Mapping[str, Any]) -> None:
        score, network = row["return_mean"], _copy(self._network)
        self.best = {"return_mean": score, "network": network, "progress": [*self._progress]}
        self.save_policy("best")

    @contextlib.contextmanager
    def _best_policy(self, best: Mapping[str, Any]) -> Iterator[None]:
        final = _copy(self._network)
        try:
            self._network.load_state_dict(best["network"])
            yield
        finally:
            self._network.load_state_dict(final)

    @property
    def _network(self) -> nn.Module:
        return self.experiment.agent.engine.online

    @property
    def _progress(self) -> Progress:
        return self.experiment.rollout.progress


def _copy(network: nn.Module) -> dict[str, Any]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def _rank(row: Mapping[str, Any]) -> float:
    """Returns a row's mean return, −∞ if it is NaN."""
    score = float(row["return_mean"])
    return -math.inf if math.isnan(score) else score
