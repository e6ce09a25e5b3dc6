"""Loads runs into pandas frames and computes statistics over them. Never imports torch.

    from dqn_lab.analysis import answer, compare, load_configs, summarize

    configs = load_configs("outputs/sweeps/target_interval")
    print(summarize(configs))
    print(answer(compare(configs, control="target.interval=1")))

`load_configs` returns one row per run, `load_runs` one per episode or evaluation. Every function that takes `scores`
accepts any frame with one row per run. Steps are environment steps.
"""

from dqn_lab.analysis._errors import AnalysisError, NoBounds, NoCurve, SkippedRuns
from dqn_lab.analysis.best import best_variants
from dqn_lab.analysis.curves import area_under_curve, distribution, learning_curves
from dqn_lab.analysis.load import load_configs, load_runs
from dqn_lab.analysis.runs import Sweep, read_sweep
from dqn_lab.analysis.sentence import answer
from dqn_lab.analysis.shipped import load_shipped
from dqn_lab.analysis.statistics import compare, summarize
from dqn_lab.analysis.survival import reached_curves, steps_to_threshold

__all__ = [
    "AnalysisError",
    "NoBounds",
    "NoCurve",
    "SkippedRuns",
    "Sweep",
    "answer",
    "area_under_curve",
    "best_variants",
    "compare",
    "distribution",
    "learning_curves",
    "load_configs",
    "load_runs",
    "load_shipped",
    "reached_curves",
    "read_sweep",
    "steps_to_threshold",
    "summarize",
]
