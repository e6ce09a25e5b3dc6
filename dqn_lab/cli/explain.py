"""`explain`: a configuration's algorithm on one screen."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dqn_lab._atomic import write_atomically
from dqn_lab.cli._outcome import one_line_errors, writing
from dqn_lab.cli._parser import Parser
from dqn_lab.cli._runs import check_run
from dqn_lab.cli._text import to_copy
from dqn_lab.cli._trust import add_trust, check_trust
from dqn_lab.errors import ConfigError
from dqn_lab.records import read_record

if TYPE_CHECKING:
    from dqn_lab.explain import Explanation

# each reference's recipe, and the differences that no key can remove: always, and for Atari only
REFERENCES = {
    "Mnih et al. 2015": (
        "experiment=atari/dqn",
        (
            "evaluation is greedy (theirs: ε = 0.05)",
            "exploration=… acts from the first step on (theirs: random actions until learning starts)",
        ),
        (
            "a lost life does not end an episode",
            "evaluation episodes last up to env.max_frames (theirs: five minutes)",
            "an episode begins with its first frame repeated (theirs: with black frames)",
        ),
    ),
    "the notebook": ("experiment=tutorial", (), ()),
}
NARROWEST, WIDEST = 60, 120


@one_line_errors
def main(argv: list[str]) -> int:
    """Explains a run or a configuration; returns the exit code."""
    args = _parser().parse_args(argv)
    from dqn_lab.cli._compose import as_config_error

    if args.html and args.html.exists():
        raise ConfigError(f"--html {args.html}: exists already")
    with as_config_error():
        name, explanation = _explain(args)
    if args.html:
        text = _page(name, explanation).encode()
        with writing(args.html):
            write_atomically(args.html, lambda file: file.write(text))
        print(to_copy("page", str(args.html)))
    else:
        width = max(NARROWEST, min(WIDEST, shutil.get_terminal_size().columns))
        print("\n".join(_screen(explanation, width)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m dqn_lab explain",
        description="Explains the algorithm of a run or a configuration: pseudo-code with its actual values, formulas, "
        "papers, deviations from Mnih et al. 2015 and from the notebook, parameters, memory and engine.",
    )
    parser.add_argument("what", metavar="RUN | KEY=VALUE", nargs="*", help="a run's directory, or overrides of `train`")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write an HTML page instead")
    parser.add_argument("--config-dir", metavar="DIR", help="a directory with your own options and components")
    add_trust(parser)
    return parser


def _is_path(word: str) -> bool:
    """Returns whether a word is a run's directory, whose name may itself contain `=`, rather than an override."""
    key, equals, _ = word.partition("=")
    return not equals or ("/" in key and not key.startswith("hydra/")) or Path(word).is_dir()


def _explain(args: argparse.Namespace) -> tuple[str, Explanation]:
    """Returns a name and the explanation of a run or of overrides, compared with the references."""
    from dqn_lab.build import validate
    from dqn_lab.cli import _compose, _directories
    from dqn_lab.cli._explain import suggest_elsewhere
    from dqn_lab.explain import Reference, explain

    _directories.add_directories(args.config_dir)

    def compose(*overrides: str) -> dict[str, Any]:
        return validate(_compose.plain(_compose.compose_config(list(overrides))))

    others = [word for word in args.what if _is_path(word)]
    run = Path(others[0]) if len(args.what) == len(others) == 1 else None
    if run is None and others:
        raise ConfigError(f"{others[0]}: must be one run's directory, or overrides of the form key=value")
    if run is not None:
        if not run.exists() and (meant := suggest_elsewhere(str(run))):
            raise ConfigError(f"{run}: is not KEY=VALUE; {meant}")
        check_run(run)
        record = read_record(run)
        check_trust(record["config"], record, args.trust)
        config = validate(record["config"])
    with _compose.composer():
        if run is None:
            config = compose(*args.what)
        references = {
            name: Reference(config=compose(recipe), differences=always, differences_in_games=in_games)
            for name, (recipe, always, in_games) in REFERENCES.items()
        }
    return (run.name if run is not None else " ".join(args.what) or "the default run"), explain(config, references)


def _screen(it: Explanation, width: int) -> Iterator[str]:
    """Yields the lines of a terminal's screen."""

    def wrapped(text: str, first: str, rest: str) -> Iterator[str]:
        yield from textwrap.wrap(text, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)

    yield from wrapped(it.title, "", "  ")
    yield ""
    for number, (depth, text) in enumerate(it.steps, start=1):
        indent = " " * (4 + 3 * depth)
        yield from wrapped(text, f"{number:>2}  {indent[4:]}", f"{indent}  ")
    yield "\ncomponents"
    for piece in it.pieces:
        yield from wrapped(f"{piece.group}={piece.name}: {piece.summary}", "  ", "      ")
        for citation in piece.citations:
            yield from wrapped(citation, "      ", "        ")
    for reference, lines in it.deviations.items():
        yield f"\ndeviations from {reference}"
        yield from wrapped("; ".join(lines) or "none", "  ", "  ")
    yield ""
    pad = max(map(len, it.numbers)) + 2
    for name, value in it.numbers.items():
        yield from wrapped(value, f"{name:<{pad}}", " " * pad)


def _page(name: str, it: Explanation) -> str:
    from dqn_lab.analysis.pages import render

    return render(Path(__file__).with_name("explain.html.jinja"), it=it, name=name)
