"""What a run prints at its beginning and its end, apart from its progress."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from dqn_lab.cli import say
from dqn_lab.cli._text import fitting, number_of, returns_text, score_text, to_copy
from dqn_lab.cli._trust import trusting

if TYPE_CHECKING:
    from dqn_lab.train import Experiment


def _why_not(train: dict[str, Any], num_steps: int) -> str:
    """Says why a run made no update."""
    if num_steps < train["learning_starts"]:
        return f"learning begins after train.learning_starts={train['learning_starts']} steps"
    return f"the buffer was never ready for a batch of train.batch_size={train['batch_size']}"


def early_end(record: dict[str, Any]) -> str:
    """Says that a run ended by its episodes before its steps, and how to avoid that; else returns nothing."""
    steps, episodes = record["config"]["steps"], record["config"]["episodes"]
    if steps is None or episodes is None or record["progress"]["step"] >= steps:
        return ""
    return f"episodes={episodes} ended the run before steps={steps:,}; episodes=null removes that limit"


def show_summary(record: dict[str, Any], directory: str, seconds: float, compiling: float = 0.0) -> None:
    """Prints the results, where the files are, and what to type next.

    Args:
        record: the run's `run.json`.
        directory: the run's directory, as a person would type it.
        seconds: how long the run took.
        compiling: the seconds of these that were spent compiling.
    """
    from dqn_lab.run import LAST  # imports torch, as a run has already

    progress, scores = record["progress"], record["scores"]
    done = {"episode": progress["episode"], "step": progress["step"], "update": progress["updates"]}
    counts = ", ".join(number_of(number, unit) for unit, number in done.items())
    compiled = f", {compiling:,.0f} s of them compiling" if compiling >= 1 else ""
    lines = [("trained", f"{counts} in {seconds:,.0f} s{compiled}")]
    if ended := early_end(record):
        lines.append(("", ended))
    if "last_100" in scores:
        played = number_of(min(LAST, progress["episode"]), "episode")
        lines.append(("training", f"mean return of the last {played} {score_text(scores['last_100'])}, exploring"))
    lines.append(("greedy", f"{_mean(scores['final'])}, final policy"))
    if "selected" in scores and scores["selected"]["step"] != progress["step"]:  # else it is the final policy
        lines.append(("", f"{_mean(scores['selected'])}, policy of step {scores['selected']['step']:,}, selected"))
    if not progress["updates"]:
        lines.append(("", f"nothing was learned: {_why_not(record['config']['train'], progress['step'])}"))
    trust = trusting(record["config"])
    place = shlex.quote(directory)
    shown = [fitting(f"{label:<9} {text}", 10) for label, text in lines]
    shown += [to_copy("files", directory), to_copy("next", place, "python -m dqn_lab report")]
    say("\n" + "\n".join([*shown, to_copy("", f"{place}{trust}", "python -m dqn_lab evaluate")]))


def engine_note(experiment: Experiment) -> str:
    """Returns a line if the fused engine cannot run this configuration and the display shows such notes; else nothing.

    There is no line if torch is as fast, as for wide layers.
    """
    from dqn_lab.engine.fused import support  # imports torch, as an experiment has already

    engine = experiment.choices["engine"]
    if "fused" not in engine.rejected or experiment.config["display"] in ("none", "notebook"):
        return ""
    refused = support.refusals(support.configured(experiment.config))
    why = "; nor ".join(line.removeprefix("does not run ") for line in refused)
    fused = "fused, which is many times faster for small networks, does not run"
    return why and fitting(f"engine={engine.name}, because {fused} {why}", 2)


def _mean(score: dict[str, Any]) -> str:
    return returns_text(score, "fresh episode")
