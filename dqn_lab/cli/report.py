"""`report`: a page that answers a sweep's question."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dqn_lab.cli import fail, status, warn
from dqn_lab.cli._outcome import one_line_errors
from dqn_lab.cli._parser import Parser, directory
from dqn_lab.cli._policy import open_policy, seeds
from dqn_lab.cli._runs import check_results
from dqn_lab.cli._text import fitting, to_copy
from dqn_lab.errors import ConfigError

SECONDS, WIDTH = 10, 320  # maximum length, and width in pixels, of a variant's video


@one_line_errors
def main(argv: list[str]) -> int:
    """Writes the report and prints the answer; returns the exit code."""
    args = _parser().parse_args(argv)
    if not args.paths and not any(Path(variant).is_dir() for variant in args.compare or ()):
        return fail("PATH: missing; name a sweep's directory (see --help)")
    return write(
        *args.paths, out=args.out, show=args.open, metric=args.metric, control=args.control, threshold=args.threshold,
        against=args.against, compare=tuple(args.compare) if args.compare else None,
        shoot=shooter(args.trust) if args.videos else None,
    )  # fmt: skip


def write(
    *paths: Path,
    out: Path | None = None,
    show: bool = False,
    shoot: Callable[[Path], bytes] | None = None,
    **options: Any,
) -> int:
    """Writes a report and prints its answer; returns the exit code."""
    status("reading results, drawing figures")
    from dqn_lab.analysis.places import places_of
    from dqn_lab.analysis.report.question import Options  # pandas is slow to import, and --help should be fast
    from dqn_lab.analysis.report.write import write_report
    from dqn_lab.analysis.shipped import shipped_question

    if shipped_question(places_of(paths)) is None:
        check_results(*paths)
    report = write_report(*paths, out=out, options=Options(**options), shoot=shoot)
    status()
    for label, text in report.lines():
        print(fitting(f"{label:<10}{text}", 10))
    print(to_copy("report", str(report.index)))
    if show:
        import webbrowser

        webbrowser.open(report.index.resolve().as_uri())
    return 0


def shooter(trust: bool, tell: Callable[[str], None] = warn) -> Callable[[Path], bytes]:
    """Returns a function that records the start of the first episode that `evaluate` plays with a run.

    Args:
        trust: as for `open_policy`.
        tell: as for `open_policy`.
    """

    def shoot(run: Path) -> bytes:
        from dqn_lab import film, video

        try:
            video.check_writer(".mp4")
            policy = open_policy(run, "final", trust, tell)
            with contextlib.closing(film.open_stage(policy.experiment.make_env)) as stage:
                fps = film.frames_per_second(stage)
                (seed,) = seeds(policy, 1, None)
                shots = film.shoot(policy.experiment.agent.greedy, stage, seed)
                pictures = itertools.islice(map(film.labelled, shots), SECONDS * fps)
                with tempfile.TemporaryDirectory() as scratch:
                    path = Path(scratch) / "clip.mp4"
                    video.write_video(path, pictures, fps, WIDTH)
                    return path.read_bytes()
        except ValueError as error:
            raise ConfigError(f"--videos: {error}") from error

    return shoot


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m dqn_lab report",
        description="Writes a page that answers a sweep's question: index.html, which needs only a browser, and "
        "its figures and tables as files. Several paths are compared with one another.",
    )
    add = parser.add_argument
    add(
        "paths",
        metavar="PATH",
        nargs="*",
        type=Path,
        help="a sweep's directory, any directory with runs below it, or a question whose results are included",
    )
    add(
        "--out",
        type=directory,
        metavar="DIR",
        help="where to write (default: report/ in the first PATH; of a question, outputs/answers/NAME)",
    )
    add("--metric", metavar="M", help="what to compare (default: the sweep's own, else final_return)")
    add("--control", metavar="V", help="the variant to compare the others with (default: the sweep's own)")
    add(
        "--threshold",
        type=_finite,
        metavar="X",
        help="a run succeeds if its return is at least X (default: the environment's threshold)",
    )
    add("--compare", nargs=2, metavar=("A", "B"), help="compare B with A only: variants, or sweeps of one variant")
    add(
        "--against",
        type=Path,
        metavar="REFERENCE",
        help="compare with stored results: another report's tables/runs.csv, or a CSV or JSON file with a seed and the "
        "metric per run",
    )
    add("--videos", action="store_true", help="show ten seconds of each variant's median run")
    add("--trust", action="store_true", help="with --videos: allow importing the runs' code from outside dqn_lab")
    add("--open", action="store_true", help="open the page in the browser")
    return parser


def _finite(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text}: must be a finite number")
    return value
