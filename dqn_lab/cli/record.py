"""`record`: greedy episodes of a run's policy as a video, optionally several side by side."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dqn_lab.cli import status
from dqn_lab.cli._labels import labels, one_task, task
from dqn_lab.cli._outcome import one_line_errors, writing
from dqn_lab.cli._parser import Parser, natural, positive
from dqn_lab.cli._policy import Policy, add_policy, open_policy, seeds
from dqn_lab.cli._runs import find_runs

if TYPE_CHECKING:
    from dqn_lab.film import Picture, Shot

MOST = 16  # episodes shown side by side
TILES = 3  # policies of one run shown side by side
GRID_WIDTH = 1200  # pixels


@one_line_errors
def main(argv: list[str]) -> int:
    """Records greedy episodes; returns the exit code."""
    args = _parser().parse_args(argv)
    with writing(args.out):
        _record(args)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m dqn_lab record",
        description="Records the greedy episodes that `evaluate` plays with a run's policy, as an mp4 or a GIF. --grid "
        "shows several side by side: of several runs, of one run's policies before, during and after training (kept "
        "by evaluation.keep_policies=true), or of one policy from several seeds (--episodes).",
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="a run's directory; several with --grid")
    add_policy(parser)
    parser.add_argument("--episodes", type=positive, default=1, metavar="N", help="number of episodes (default: 1)")
    parser.add_argument("--seed", type=natural, metavar="N", help="seed of the episodes (default: the run's own)")
    parser.add_argument("--grid", action="store_true", help="show episodes side by side")
    parser.add_argument(
        "--tiles", type=positive, metavar="N", help=f"number of policies of one run in a grid (default: {TILES})"
    )
    parser.add_argument("--gif", action="store_true", help="write a GIF")
    parser.add_argument("--fps", type=positive, metavar="N", help="frames per second (default: the environment's own)")
    parser.add_argument(
        "--width",
        type=positive,
        metavar="N",
        help=f"maximum width in pixels (of a grid: {GRID_WIDTH} by default)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE",
        help="a new .mp4 or .gif file (default: a file in RUN/videos/, replacing an older one)",
    )  # fmt: skip
    return parser


@dataclass(frozen=True)
class Tile:
    """An episode to record."""

    label: str
    policy: Policy
    number: int = 0  # the episode's index among those that `evaluate` plays


def _record(args: argparse.Namespace) -> None:
    if args.out and args.out.exists():
        raise ValueError(f"--out {args.out}: exists already")
    suffix = args.out.suffix if args.out else ".gif" if args.gif else ".mp4"
    if args.gif and suffix != ".gif":
        raise ValueError(f"--gif, --out {args.out}: must end in .gif")
    runs = find_runs(args.runs, MOST) if args.grid else args.runs
    _check_grid(args, len(runs))
    status("playing and recording")
    from dqn_lab.video import check_writer, write_video

    check_writer(suffix)
    tiles = _tiles(args, runs)
    name = f"{args.policy}{'-grid' if args.grid else ''}{suffix}"
    out = args.out or (runs[0] / "videos" / name if len(runs) == 1 else Path(name))
    if not args.out and len(runs) > 1 and out.exists():
        raise ValueError(f"{out}: exists already; name another with --out")
    reached: dict[int, Shot] = {}
    pictures, fps = _pictures(args, tiles, reached)
    count = write_video(out, pictures, args.fps or fps, args.width or (GRID_WIDTH if args.grid else None))
    status()
    for number, tile in enumerate(tiles):
        end = reached[number]
        print(f"{tile.label or task(tile.policy.config)}: return {end.score:g}, {end.step:,} steps")
    print(f"video     {out} ({count:,} frames)")


def _check_grid(args: argparse.Namespace, num_runs: int) -> None:
    """Refuses what would be ignored: options of another kind of grid, or of a grid where there is none."""
    several = args.episodes > 1
    if not args.grid and num_runs > 1:
        raise ValueError(f"{num_runs} runs: --grid shows several side by side")
    if args.grid and args.episodes > MOST:
        raise ValueError(f"--episodes {args.episodes}: at most {MOST} fit side by side")
    if args.grid and several and num_runs > 1:
        raise ValueError(f"--episodes {args.episodes}: a grid of several runs shows one episode of each")
    if args.tiles is not None and (not args.grid or several or num_runs > 1):
        raise ValueError(f"--tiles {args.tiles}: only a grid of one run's policies has a number of tiles")
    if args.grid and not several and num_runs == 1 and args.policy != "final":
        raise ValueError(
            f"--policy {args.policy}: a grid of one run shows policies from before training to after it; "
            "for one policy, add --episodes"
        )


def _tiles(args: argparse.Namespace, runs: Sequence[Path]) -> list[Tile]:
    """Chooses what to record: runs, one run's policies, or episodes of one policy."""
    if len(runs) > 1:
        policies = [open_policy(run, args.policy, args.trust) for run in runs]
        configs = [policy.config for policy in policies]
        one_task(configs)
        return [Tile(label, policy) for label, policy in zip(labels(configs, runs), policies, strict=True)]
    (run,) = runs
    if not args.grid or args.episodes > 1:
        policy = open_policy(run, args.policy, args.trust)
        label = f"{args.policy} policy, step {policy.step:,}"
        one = args.episodes == 1
        return [Tile(label if one else f"{label}, episode {number}", policy, number) for number in range(args.episodes)]
    return _policies(run, args.tiles or TILES, args.trust)


def _policies(run: Path, number: int, trust: bool) -> list[Tile]:
    """Chooses evenly spaced policies of one run, from before training to after it."""
    from dqn_lab._paths import policy_names

    final = open_policy(run, "final", trust)
    names = [name for name in policy_names(run) if name.startswith("step_") and name != f"step_{final.step}"]
    if not names:
        raise ValueError(
            f"{run}: saved no policies during training; train with evaluation.keep_policies=true, or show several "
            "--episodes or runs"
        )
    number = min(number, len(names) + 1, MOST)
    chosen = dict.fromkeys(names[i * len(names) // max(1, number - 1)] for i in range(number - 1))
    tiles = []
    for name in chosen:
        policy = open_policy(run, name, trust)
        tiles.append(Tile("before training" if policy.step == 0 else f"after {policy.step:,} steps", policy))
    return [*tiles, Tile(f"after {final.step:,} steps, trained", final)]


def _pictures(
    args: argparse.Namespace, tiles: Sequence[Tile], reached: dict[int, Shot]
) -> tuple[Iterator[Picture], int]:
    """Opens the environments; returns an iterator over the frames, and the frames per second."""
    from dqn_lab import film

    stages = [film.open_stage(tiles[0].policy.experiment.make_env)]
    if args.grid:
        stages += [film.open_stage(tile.policy.experiment.make_env) for tile in tiles[1:]]

    def shots(number: int) -> Iterator[Shot]:
        tile = tiles[number]
        seed = seeds(tile.policy, max(args.episodes, MOST), args.seed)[tile.number]
        stage = stages[number if args.grid else 0]
        for shot in film.shoot(tile.policy.experiment.agent.greedy, stage, seed):
            reached[number] = shot
            yield shot

    films = [shots(number) for number in range(len(tiles))]
    fps = film.frames_per_second(stages[0])
    if args.grid:
        return film.side_by_side(films, [tile.label for tile in tiles]), fps
    return (film.labelled(shot, tile.label) for tile, each in zip(tiles, films, strict=True) for shot in each), fps
