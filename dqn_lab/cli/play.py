"""`play`: a run's policy plays in a window or in the terminal."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dqn_lab.cli._labels import task
from dqn_lab.cli._outcome import one_line_errors
from dqn_lab.cli._parser import Parser, natural, positive
from dqn_lab.cli._policy import Policy, add_policy, open_policy, seeds

if TYPE_CHECKING:
    from dqn_lab.film import Picture

REST = 0.8  # seconds of pause after an episode
TEXT_FPS = 4  # in a terminal


class Closed(Exception):  # noqa: N818 (nothing went wrong)
    """The user closed the window."""


@one_line_errors
def main(argv: list[str]) -> int:
    """Shows greedy episodes; returns the exit code."""
    args = _parser().parse_args(argv)
    try:
        _play(args)
    except Closed:
        return 0
    except KeyboardInterrupt:
        print()
        return 0
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m dqn_lab play",
        description="Opens a window and shows the greedy episodes that `evaluate` plays with a run's policy, one after "
        "another, until you close it or press q or Esc. FrozenLake, CliffWalking and Taxi are drawn in the terminal.",
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="a run's directory, as `train` prints it")
    add_policy(parser)
    parser.add_argument("--episodes", type=positive, metavar="N", help="number of episodes (default: until closed)")
    parser.add_argument("--seed", type=natural, metavar="N", help="seed of the episodes (default: the run's own)")
    parser.add_argument("--fps", type=positive, metavar="N", help="frames per second (default: the environment's own)")
    return parser


def _play(args: argparse.Namespace) -> None:
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    policy = open_policy(args.run, args.policy, args.trust)
    from dqn_lab import film

    if "ansi" in film.render_modes(policy.experiment.make_env):
        _in_terminal(args, policy)
        return
    record = f"python -m dqn_lab record {args.run}{' --trust' if args.trust else ''}"
    window = Window(f"{task(policy.config)}, {args.policy} policy, step {policy.step:,}", record)
    try:
        stage = film.open_stage(policy.experiment.make_env)
        fps = args.fps or film.frames_per_second(stage)
        for seed in _seeds(args, policy):
            for shot in film.shoot(policy.experiment.agent.greedy, stage, seed):
                window.show(film.labelled(shot), fps)
            print(f"return {shot.score:g}, {shot.step:,} steps, seed {seed}", flush=True)
            window.rest(REST)
    finally:
        window.close()


def _seeds(args: argparse.Namespace, policy: Policy) -> Iterator[int]:
    """Returns the seeds of the episodes that `evaluate` plays, repeated forever without `--episodes`."""
    if args.episodes is not None:
        return iter(seeds(policy, args.episodes, args.seed))
    return itertools.cycle(seeds(policy, 1000, args.seed))


class Window:
    """A window that shows pictures.

    Args:
        title: the window's title.
        record: the command that the error names if there is no display.

    Raises:
        ValueError: there is no display, or pygame is missing.
    """

    def __init__(self, title: str, record: str) -> None:
        from dqn_lab.film import DISPLAYS, EXTRA

        try:
            import pygame
        except ImportError as error:
            raise ValueError(f"a window needs an extra: {EXTRA} ({error})") from error
        self.pygame: Any = pygame
        none = sys.platform == "linux" and not any(map(os.environ.get, DISPLAYS))  # SDL would draw without a screen
        try:
            if not none:
                pygame.display.init()
        except pygame.error:
            none = True
        if none:
            raise ValueError(f"no display for a window; to record a video instead: {record}")
        self.title = title
        self.screen: Any = None
        self.due = time.perf_counter()

    def show(self, picture: Picture, fps: float) -> None:
        """Shows a picture when it is due.

        Raises:
            Closed: the user closed the window.
        """
        pygame, (height, width) = self.pygame, picture.shape[:2]
        if self.screen is None:
            pygame.display.set_caption(self.title)
            self.screen = pygame.display.set_mode((width, height))
        surface = pygame.image.frombuffer(picture.tobytes(), (width, height), "RGB")
        self.screen.blit(surface, (0, 0))
        pygame.display.flip()
        self.due = max(self.due + 1 / fps, time.perf_counter() - 0.1)
        self.rest(self.due - time.perf_counter())

    def rest(self, seconds: float) -> None:
        """Waits, unless the user closes the window.

        Raises:
            Closed: the user closed the window.
        """
        until = time.perf_counter() + seconds
        while True:
            for event in self.pygame.event.get():
                keys = (self.pygame.K_ESCAPE, self.pygame.K_q)
                if event.type == self.pygame.QUIT or (event.type == self.pygame.KEYDOWN and event.key in keys):
                    raise Closed
            if (left := until - time.perf_counter()) <= 0:
                return
            time.sleep(min(0.02, left))

    def close(self) -> None:
        """Closes the window."""
        self.pygame.display.quit()


def _in_terminal(args: argparse.Namespace, policy: Policy) -> None:
    """Draws episodes as text, redrawn in place on a terminal."""
    from dqn_lab import film
    from dqn_lab.evaluate import watch

    stage, fps, live = film.open_stage(policy.experiment.make_env, "ansi"), args.fps or TEXT_FPS, sys.stdout.isatty()
    if not live and args.episodes is None:
        args.episodes = 1  # an endless sequence would fill the file
    for seed in _seeds(args, policy):
        score, lines = 0.0, 0
        for step, moment in enumerate(watch(policy.experiment.agent.greedy, stage, seed)):
            score += moment.reward
            drawn: Any = stage.render()
            text = f"{str(drawn).rstrip()}\n\nreturn {score:g}   step {step:,}"
            print(f"\x1b[{lines}F\x1b[J{text}" if live and lines else text, flush=True)
            lines = len(text.splitlines())
            if live:
                time.sleep(1 / fps if moment.action is not None else REST)
        print()
