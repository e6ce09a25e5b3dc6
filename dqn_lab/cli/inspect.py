"""`inspect`: a page that shows what a run's policy has learned."""

from __future__ import annotations

import argparse
from pathlib import Path

from dqn_lab.cli import status
from dqn_lab.cli._about import command
from dqn_lab.cli._labels import labels, one_task
from dqn_lab.cli._outcome import one_line_errors, writing
from dqn_lab.cli._parser import Parser, natural, positive
from dqn_lab.cli._policy import add_policy, open_policy, seeds
from dqn_lab.cli._runs import find_runs
from dqn_lab.cli._text import to_copy

MOST = 8  # policies shown side by side


@one_line_errors
def main(argv: list[str]) -> int:
    """Writes the page; returns the exit code."""
    args = _parser().parse_args(argv)
    with writing(args.out):
        _show(_inspect(args), args.open)
    return 0


def _show(page: Path, in_browser: bool) -> None:
    status()
    print(to_copy("page", str(page)))
    if in_browser:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m dqn_lab inspect",
        description="Writes a page that shows what a policy has learned: Q-values along an episode and the actual "
        "return, the value function and the greedy policy over two dimensions or on the map, distributions, "
        "features. Several runs of one task are shown side by side.",
    )
    parser.add_argument(
        "runs", metavar="RUN", nargs="+", type=Path, help="a run's directory, or one with runs below it"
    )
    add_policy(parser)
    parser.add_argument(
        "--dims", nargs="+", default=[], metavar="DIM",
        help="two dimensions of the observation, by name or number, or all (default: the environment's own)",
    )  # fmt: skip
    parser.add_argument(
        "--episodes", type=positive, default=10, metavar="N", help="number of greedy episodes (default: 10)"
    )
    parser.add_argument("--seed", type=natural, metavar="N", help="seed of the episodes (default: the run's own)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: inspect/ in the first RUN)")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    return parser


def _inspect(args: argparse.Namespace) -> Path:
    status("playing episodes, drawing figures")
    runs = find_runs(args.runs, MOST)
    policies = [open_policy(run, args.policy, args.trust) for run in runs]
    configs = [policy.config for policy in policies]
    env = one_task(configs)
    import numpy as np

    from dqn_lab import insight
    from dqn_lab.analysis.inspect.page import write_inspection

    experiments = [policy.experiment for policy in policies]
    spaces = [insight.observation_space(one) for one in experiments]
    if any(space != spaces[0] for space in spaces):
        names = ", ".join(map(str, runs))
        raise ValueError(f"{names}: have different observations; name runs with the same settings of env")
    pairs = insight.choose_pairs(experiments[0], args.dims)
    numbers = [seeds(policy, args.episodes, args.seed) for policy in policies]
    walks = [insight.play_walks(*each) for each in zip(experiments, numbers, strict=True)]
    regions = [insight.find_region(one, played, args.seed or 0) for one, played in zip(experiments, walks, strict=True)]
    ends = [region for region in regions if region is not None]
    region = None
    if ends:  # the same plane for all policies, so that they can be compared
        region = np.min([low for low, _ in ends], axis=0), np.max([high for _, high in ends], axis=0)
    named = labels(configs, runs) if len(runs) > 1 else [f"{args.policy} policy"]
    insights = [
        insight.look_into(
            policy.experiment, label=label, task=env, policy=args.policy, step=policy.step, walks=played,
            pairs=pairs, region=region,
        )
        for policy, label, played in zip(policies, named, walks, strict=True)
    ]  # fmt: skip
    return write_inspection(insights, args.out or runs[0] / "inspect", command())
