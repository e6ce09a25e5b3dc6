"""A custom environment, with observations of two kinds."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete


class Corridor(gymnasium.Env):
    """Left or right along a corridor of rooms; the exit is at its right end, and the light flickers."""

    def __init__(self, rooms=8):
        self.rooms = rooms
        self.observation_space = Dict({"room": Discrete(rooms), "light": Box(0, 1, (1,))})
        self.action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.room = 0
        return self._observe(), {}

    def step(self, action):
        self.room = max(0, self.room + (1 if action else -1))
        out = self.room == self.rooms - 1
        return self._observe(), 10.0 if out else -1.0, out, False, {}

    def _observe(self):
        return {"room": self.room, "light": self.np_random.random(1, np.float32)}


gymnasium.register("Corridor-v0", Corridor, max_episode_steps=100)
