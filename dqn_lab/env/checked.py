"""Checks what an environment returns, and reports its mistakes at the step where they happen."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete

from dqn_lab._outside import located, place
from dqn_lab.types import Array, TrainingError

_log = logging.getLogger(__name__)
LARGEST = float(np.finfo(np.float32).max)  # rewards are stored as float32
SHORT = 64  # numbers up to which Python sums an observation faster than numpy
PATIENCE = 5.0  # seconds that closing an environment may take
RETURNS = {"reset": "obs, info", "step": "obs, reward, terminated, truncated, info"}
LONG = 10_000  # steps after which a warning says that an evaluation episode is still running


_hanging: set[type] = set()  # environments whose close has not returned
_outside: set[type] = set()  # environments whose first observation was outside its bounds; one warning for each


class Limit:
    """The time limit of evaluation episodes. It warns once about a long episode, and once about one that it cuts off.

    Args:
        steps: the longest episode; None for no limit.
    """

    def __init__(self, steps: int | None) -> None:
        self.steps = math.inf if steps is None else steps
        self._told: set[bool] = set()

    def reached(self, steps: int) -> bool:
        """Returns whether to cut off an episode that has not ended after this many steps."""
        over = steps >= self.steps
        if (over or steps >= LONG) and over not in self._told:
            self._told.add(over)
            what = "was cut off and its return so far counts" if over else "is still running"
            limit = f"{self.steps:,}" if self.steps < math.inf else "null"
            _log.warning("after %s steps an evaluation episode %s; evaluation.max_steps=%s", f"{steps:,}", what, limit)
        return over


class Checked(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Checks what an environment returns; any mistake becomes a `TrainingError` of one line.

    Every observation is copied, because some environments reuse one array.

    Args:
        env: an environment whose observations are one array or one number.
        limit: truncates episodes that do not end.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], limit: Limit | None = None) -> None:
        super().__init__(env)
        self.limit, self.num_steps = limit, 0
        self._is_first = True
        space = env.observation_space
        self._shape, self._dtype = space.shape or (), np.dtype(space.dtype)
        self._is_short = self._dtype.kind == "f" and len(self._shape) == 1 and self._shape[0] <= SHORT
        self._states: list[range] = []  # the possible values of each number of a state
        if isinstance(space, (Discrete, MultiDiscrete)):
            sizes = np.ravel(space.n if isinstance(space, Discrete) else space.nvec)
            for start, size in zip(np.ravel(space.start).tolist(), sizes.tolist(), strict=True):
                self._states.append(range(start, start + size))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Returns an episode's first observation, and the environment's `info`.

        Raises:
            TrainingError: the environment raised, or its observation is not in its observation space.
        """
        self.num_steps = 0
        try:
            obs, info = self.env.reset(seed=seed, options=options)
        except (Exception, SystemExit) as error:
            raise _raised("reset", error) from error
        if not isinstance(info, Mapping):
            raise TrainingError(f"the environment returned info={short_text(info)} in reset; must return (obs, info)")
        array = self._observation(obs)
        if self._is_first:
            self._is_first = False
            self._check_bounds(array)
        return array, info

    def step(self, action: Any) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Returns the next observation, the reward, whether the episode terminated or was truncated, and `info`.

        Raises:
            TrainingError: the environment raised, its observation is not in its observation space, its reward is not a
                finite number, or `terminated` or `truncated` is neither true nor false.
        """
        try:
            returned: tuple[Any, ...] = self.env.step(action)
            obs, reward, terminated, truncated, info = returned
        except (Exception, SystemExit) as error:
            raise _raised(self._where(), error) from error
        if type(terminated) is not bool or type(truncated) is not bool:
            terminated, truncated = self._flag("terminated", terminated), self._flag("truncated", truncated)
        try:
            number = math.nan if isinstance(reward, str | bytes) else float(reward)  # float would accept "1"
        except (TypeError, ValueError):
            number = math.nan
        if not -LARGEST <= number <= LARGEST:
            raise self._reward_error(reward)
        self.num_steps += 1
        if self.limit and not (terminated or truncated):
            truncated = self.limit.reached(self.num_steps)
        return self._observation(obs), number, terminated, truncated, info

    def explain(self, obs: Array | None, reward: float, error: BaseException | None, num_steps: int) -> TrainingError:
        """Returns the error that `reset` or `step` would raise, for compiled code that does their checks itself.

        Args:
            obs: the invalid observation; None if the reward was invalid, or the environment raised.
            reward: the reward, which is invalid if `obs` and `error` are None.
            error: what the environment raised.
            num_steps: steps of the episode before the one that failed; −1 if its reset failed.
        """
        self.num_steps = num_steps + (obs is not None)
        if error is not None:
            return _raised(self._where() if num_steps >= 0 else "reset", error)
        if obs is None:
            return self._reward_error(reward)
        try:
            self._observation(obs)
        except TrainingError as found:
            return found
        raise AssertionError(obs)

    def _flag(self, name: str, value: Any) -> bool:
        if np.ndim(value) == 0 and value in (0, 1):
            return bool(value)
        where = f"the environment returned {name}={short_text(value)} in {self._where()}"
        raise TrainingError(f"{where}; must be True or False")

    def _where(self) -> str:
        return f"step {self.num_steps + 1} of an episode"

    def _reward_error(self, reward: Any) -> TrainingError:
        where, must_be = self._where(), "finite" if isinstance(reward, Real) else "a number"
        return TrainingError(f"the environment returned the reward {short_text(reward)} in {where}; must be {must_be}")

    def _observation(self, obs: Any) -> Array:
        try:
            array = np.array(obs)
            if array.shape != self._shape or array.dtype is not self._dtype:
                self._check_type(array)
                with np.errstate(over="ignore"):  # what becomes infinite is refused below
                    array = array.astype(self._dtype)  # as it will be stored: networks may look at the type
            # if the sum is finite, so is every number: the fastest check of a few numbers
            if not (self._is_short and math.isfinite(sum(array.tolist()))):
                self._check_values(array)
        except ValueError as error:
            where = f"step {self.num_steps} of an episode" if self.num_steps else "reset"
            returned = f"the environment returned the observation {short_text(obs)} in {where}"
            raise TrainingError(f"{returned}; {error}") from error
        return array

    def _check_type(self, array: Array) -> None:
        """Rejects a shape or a type that is not the space's.

        Raises:
            ValueError: the message says what it must be.
        """
        if array.dtype.kind not in "biuf":
            raise ValueError("must be numbers")
        if array.shape != self._shape:
            raise ValueError(f"its shape is {array.shape}, must be {self._shape} as in the observation space")
        if self._dtype.kind != "f" and not (array == array.astype(self._dtype)).all():
            raise ValueError(f"its type is {array.dtype}, must be {self._dtype} as in the observation space")

    def _check_values(self, array: Array) -> None:
        """Rejects numbers that are not in the space.

        Raises:
            ValueError: the message says what they must be.
        """
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError("must be finite")
        if self._states:
            for value, values in zip(array.reshape(-1).tolist(), self._states, strict=True):
                if value not in values:
                    raise ValueError(f"must be in {self.observation_space}")

    def _check_bounds(self, array: Array) -> None:
        """Warns once for each class of environments about an observation outside its bounds; rounding is allowed."""
        space, kind = self.observation_space, type(self.unwrapped)
        if not isinstance(space, Box) or np.allclose(array, np.clip(array, space.low, space.high), atol=1e-4):
            return
        if kind not in _outside:
            _outside.add(kind)
            said = "the environment returned the observation %s in reset, which is outside its observation space, %s"
            _log.warning(said, short_text(array), space)

    def close(self) -> None:
        """Closes the environment; warns if that fails or hangs. After a hang, its class is no longer waited for.

        It is closed in a thread that may be left behind; if that fails, in this one, because some can be closed only in
        the thread that made them.
        """
        errors, kind = list[BaseException](), type(self.unwrapped)
        closing = threading.Thread(target=self._close, args=(errors.append,), daemon=True)
        closing.start()
        closing.join(0 if kind in _hanging else PATIENCE)
        if closing.is_alive() and kind not in _hanging:
            _hanging.add(kind)
            _log.warning("the environment's close did not return within %.0f seconds", PATIENCE)
        if errors:
            self._close(lambda error: _log.warning("%s", _raised("close", error)))

    def _close(self, failed: Callable[[BaseException], None]) -> None:
        try:
            self.env.close()
        except (Exception, SystemExit) as error:
            failed(error)


def make_checked(
    make: Callable[..., gymnasium.Env[Any, Any]], limit: Limit | None = None, render_mode: str | None = None
) -> Checked:
    """Makes a checked environment.

    Args:
        make: makes the environment; called with a render mode if one is given.
        limit: as for `Checked`.
        render_mode: Gymnasium's render mode; None for none.

    Raises:
        TrainingError: the environment's constructor raised.
    """
    try:
        env = make() if render_mode is None else make(render_mode)
    except (Exception, SystemExit) as error:
        raise _raised("its constructor", error) from error
    return Checked(env, limit)


def lacking(obs: Any, error: KeyError) -> TrainingError:
    """Returns the error for an observation of a `Dict` space that lacks one of its keys."""
    return TrainingError(f"the environment returned the observation {short_text(obs)}; it lacks {error}")


def _raised(where: str, error: BaseException) -> TrainingError:
    if isinstance(error, TrainingError):  # says all, as about an observation without one of its keys
        return error
    where_from = place(error)
    what = f"called exit({error.code}){where_from}" if isinstance(error, SystemExit) else located(error)
    returns = RETURNS.get(where.partition(" ")[0])
    if returns and "unpack" in what and not where_from:  # not the environment's own code, but what called it
        what = f"{what}; must return {returns}"
    return TrainingError(f"the environment raised in {where}: {what}")


def short_text(value: Any) -> str:
    """Writes a value that an environment returned on one line of at most 100 characters."""
    text = np.array2string(value, threshold=8) if isinstance(value, np.ndarray) else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= 100 else f"{text[:100]}…"
