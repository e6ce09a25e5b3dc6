"""Atari 2600 games, preprocessed as for the deep Q-network."""

from __future__ import annotations

from typing import Annotated, Any

import gymnasium
from annotated_types import Ge, Gt, Le
from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation

from dqn_lab.env.gymnasium import Gymnasium, ReturnBounds
from dqn_lab.registry import register


@register("env", "atari")
class Atari:
    """Makes a game of the Arcade Learning Environment, preprocessed by Gymnasium's own wrappers.

    Frames are grey, `screen_size` pixels wide and high, each the maximum of the last two that the machine drew. An
    observation is the last `frame_stack` frames, uint8 [frame_stack, screen_size, screen_size]; at the start of an
    episode the first frame is repeated (Mnih et al. 2015, https://doi.org/10.1038/nature14236). Sticky actions make
    the game random, and a lost life does not end an episode (Machado et al. 2018, "Revisiting the Arcade Learning
    Environment", https://arxiv.org/abs/1709.06009). Rewards are the game's own;
    `train.max_reward` clips them for learning.

    Needs `pip install "dqn-lab[atari]"`.

    Args:
        id: the game's id, `ALE/…-v5`.
        frame_skip: frames for which each action is repeated.
        frame_stack: frames observed together.
        screen_size: the side of a frame, in pixels.
        noop_max: the largest number of no-op actions at an episode's start, drawn at random; Mnih's 30, or 0 for none.
        repeat_action_probability: probability that a frame repeats the previous action; Machado's ¼, or Mnih's 0.
        max_frames: frames after which an episode is truncated; the default is half an hour of play.
        truncation_terminates: as for other environments.
        return_bounds: as for other environments.

    Raises:
        ValueError: there is no such game, or the extra is not installed.
    """

    def __init__(
        self,
        *,
        id: str = "ALE/Breakout-v5",
        frame_skip: Annotated[int, Gt(0)] = 4,
        frame_stack: Annotated[int, Gt(0)] = 4,
        screen_size: Annotated[int, Gt(0)] = 84,
        noop_max: Annotated[int, Ge(0)] = 0,
        repeat_action_probability: Annotated[float, Ge(0), Le(1)] = 0.25,
        max_frames: Annotated[int, Gt(0)] = 108_000,
        truncation_terminates: bool = False,
        return_bounds: ReturnBounds = None,
    ) -> None:
        if not id.startswith("ALE/"):
            raise ValueError(f"id={id}: must be a game of the Arcade Learning Environment, such as ALE/Breakout-v5")
        self.frame_skip, self.frame_stack = frame_skip, frame_stack
        self.screen_size, self.noop_max = screen_size, noop_max
        self.game = Gymnasium(
            id=id,
            truncation_terminates=truncation_terminates,
            return_bounds=return_bounds,
            kwargs={
                "frameskip": 1,  # the wrapper skips, because it needs the last two frames
                "repeat_action_probability": repeat_action_probability,
                "max_num_frames_per_episode": max_frames,
            },
        )

    def make(self, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
        """Makes a fresh environment.

        Args:
            render_mode: Gymnasium's render mode; None for none.
        """
        frames = AtariPreprocessing(
            self.game.make(render_mode), self.noop_max, self.frame_skip, self.screen_size, grayscale_obs=True
        )
        return FrameStackObservation(frames, self.frame_stack)
