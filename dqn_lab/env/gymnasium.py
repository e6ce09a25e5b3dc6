"""Any Gymnasium environment."""

from __future__ import annotations

import copy
import importlib
import math
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import gymnasium
import numpy as np
from annotated_types import Gt, MaxLen, MinLen
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from gymnasium.spaces.utils import flatten, flatten_space
from gymnasium.wrappers import OrderEnforcing, RescaleObservation
from numpy.typing import NDArray
from pydantic import AllowInfNan

from dqn_lab._nearest import nearest
from dqn_lab._outside import import_outside, located, place
from dqn_lab.env import _mistakes, compiled
from dqn_lab.env.checked import lacking
from dqn_lab.registry import register

# namespace: the module that registers it, and the extra that contains it
EXTRAS = {
    "MinAtar": ("minatar.gym", "minatar"),
    "ALE": ("ale_py", "atari"),
}
PARTS = ("box2d",)  # extras with the same name as Gymnasium's

Implementation = Literal["auto", "compiled", "gymnasium"]
ReturnBounds = Annotated[list[Annotated[float, AllowInfNan(False)]], MinLen(2), MaxLen(2)] | None


def in_order(return_bounds: list[float] | None) -> list[float] | None:
    """Returns the bounds of returns.

    Raises:
        ValueError: the first is not less than the second.
    """
    if return_bounds is not None and not return_bounds[0] < return_bounds[1]:
        raise ValueError(f"return_bounds={return_bounds}: must be [low, high], low less than high")
    return return_bounds


class TruncationTerminates(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Reports truncation by a time limit as termination, so that the last state's value is 0."""

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        obs, reward, terminated, truncated, info = self.env.step(action)
        return obs, reward, terminated or truncated, truncated, info


class Actions(Discrete):
    """Checks Python integers faster than `Discrete` does: classic control checks the action at every step."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count

    def contains(self, x: Any) -> bool:
        return 0 <= x < self.count if type(x) is int else super().contains(x)


class StatesAsVector(gymnasium.ObservationWrapper[Any, Any, Any]):
    """Converts a `Tuple` or `Dict` of states to a vector of integers."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        spaces = dict(_parts(env.observation_space))
        self.keys = list(spaces)
        starts = [space.start for space in spaces.values()]
        self.observation_space = MultiDiscrete([space.n for space in spaces.values()], start=starts)

    def observation(self, observation: Any) -> NDArray[np.int64]:
        try:
            return np.array([observation[key] for key in self.keys], np.int64)
        except KeyError as error:
            raise lacking(observation, error) from error


class Flattened(gymnasium.ObservationWrapper[Any, Any, Any]):
    """Flattens a `Tuple` or `Dict` as Gymnasium does: to one vector of float32, with states as one-hot."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        flat = flatten_space(env.observation_space)
        assert isinstance(flat, Box)
        low, high = flat.low.astype(np.float32), flat.high.astype(np.float32)
        self.observation_space = Box(low, high, dtype=np.float32)

    def observation(self, observation: Any) -> NDArray[np.float32]:
        try:
            return np.asarray(flatten(self.env.observation_space, observation), np.float32)
        except KeyError as error:
            raise lacking(observation, error) from error


@register("env", "gymnasium")
class Gymnasium:
    """Makes a Gymnasium environment with discrete actions (Towers et al. 2024, https://arxiv.org/abs/2407.17032).

    Observations are a `Box`, `Discrete`, `MultiDiscrete` or `MultiBinary`. A `Dict` or `Tuple` of these becomes one
    vector: of integers if it contains only `Discrete`, else of float32, flattened as Gymnasium does.

    Args:
        id: a registered environment, or `module:Name-v0` to import a module first; `MinAtar/…` and `ALE/…` are
            registered if their packages are installed.
        implementation: `compiled` for the package's compiled version of Gymnasium's classic control and toy text, which
            returns the same numbers, bit for bit, and is faster; `gymnasium` for the original; `auto` for the compiled
            version if it exists. Pictures are always drawn by the original.
        max_episode_steps: the time limit; null for the environment's own.
        truncation_terminates: whether reaching the time limit counts as termination, as in the notebook, so that
            the last state's value is 0. Standard DQN bootstraps from it.
        rescale: whether observations are rescaled so that their bounds, which must be finite, become −1 and 1.
        return_bounds: the least and the greatest possible undiscounted return of an episode, [low, high]; null for the
            built-in ones. Intervals and verdicts use them; training does not.
        kwargs: the environment's own keyword arguments.

    Raises:
        ValueError: there is no such environment, its spaces are not supported, or low is not less than high.
    """

    def __init__(
        self,
        *,
        id: str = "CartPole-v1",
        implementation: Implementation = "auto",
        max_episode_steps: Annotated[int, Gt(0)] | None = None,
        truncation_terminates: bool = False,
        rescale: bool = False,
        return_bounds: ReturnBounds = None,
        kwargs: dict[str, Any] = {},  # noqa: B006 (never changed)
    ) -> None:
        problem = compiled.obstacle(id, kwargs)
        if implementation == "compiled" and problem:
            raise ValueError(f"implementation=compiled: {problem}")
        self.id = id
        self.is_compiled = implementation != "gymnasium" and not problem
        self.max_episode_steps = max_episode_steps
        self.truncation_terminates = truncation_terminates
        self.rescale = rescale
        self.return_bounds = in_order(return_bounds)
        self.kwargs = kwargs

    def make(self, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
        """Makes a fresh environment.

        Args:
            render_mode: Gymnasium's render mode; None for none.
        """
        # some environments do not accept the argument
        rendering = {} if render_mode is None else {"render_mode": render_mode}
        _register(self.id)
        try:
            _import_module(self.id)
            if versioned := _mistakes.versioned(self.id):
                raise gymnasium.error.Error(f"has no version, so its meaning may change; write env.id={versioned}")
            env = gymnasium.make(
                _compiled_spec(self.id) if self.is_compiled and render_mode is None else self.id,
                max_episode_steps=self.max_episode_steps,
                disable_env_checker=True,  # it would check every step of a training run
                **(self.kwargs | rendering),
            )
        except gymnasium.error.UnregisteredEnv as error:
            raise ValueError(f"id={self.id}: {_mistakes.unregistered(self.id)}") from error
        except gymnasium.error.DependencyNotInstalled as error:
            extra = next((extra for extra in PARTS if f"gymnasium[{extra}]" in str(error)), None)
            need = f'needs an extra: pip install "dqn-lab[{extra}]"' if extra else " ".join(str(error).split())
            raise ValueError(f"id={self.id}: {need}") from error
        except ModuleNotFoundError as error:
            raise ValueError(f"id={self.id}: {_mistakes.missing(self.id, error)}{place(error)}") from error
        except (gymnasium.error.Error, ImportError, TypeError, ValueError) as error:
            unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
            if unknown and unknown[1] in self.kwargs:
                hint = nearest(unknown[1], _mistakes.arguments(self.id))
                raise ValueError(f"kwargs={self.kwargs}: {self.id} has no argument {unknown[1]}; {hint}") from error
            if absent := re.search(r"missing \d+ required .*arguments?: '(\w+)'", str(error)):
                raise ValueError(f"id={self.id}: needs an argument; set env.kwargs.{absent[1]}=…") from error
            raise ValueError(f"{self._culprit(error)}: {' '.join(str(error).split())}{place(error)}") from error
        except SystemExit as error:
            raise ValueError(f"id={self.id}: making the environment called exit({error.code}){place(error)}") from error
        except Exception as error:
            raise ValueError(f"{self._culprit(error)}: making the environment raised {located(error)}") from error
        env = _with_fast_actions(self._checked(_without_order_check(env)))
        if self.rescale:
            env = _rescaled(env)
        return TruncationTerminates(env) if self.truncation_terminates else env

    def _culprit(self, error: Exception) -> str:
        """Returns the key to blame for an error while the environment was made."""
        from_gymnasium = isinstance(error, (gymnasium.error.Error, ImportError))
        return f"kwargs={self.kwargs}" if self.kwargs and not from_gymnasium else f"id={self.id}"

    def _checked(self, env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
        """Checks that an agent can act in the environment, and that observations are one array."""
        try:
            actions, observations = env.action_space, env.observation_space
        except AttributeError as error:
            raise ValueError(f"id={self.id}: its class must set action_space and observation_space") from error
        if not isinstance(actions, Discrete) or actions.start != 0:
            raise ValueError(f"id={self.id}: actions are {actions}; supported: Discrete, from 0")
        leaves = list(_leaves(observations))
        if not all(isinstance(space, (Box, Discrete, MultiDiscrete, MultiBinary)) for space in leaves):
            supported = "Box, Discrete, MultiDiscrete, MultiBinary, and Dict and Tuple of these"
            raise ValueError(f"id={self.id}: observations are {observations}; supported: {supported}")
        if not sum(math.prod(space.shape or ()) for space in leaves):
            raise ValueError(f"id={self.id}: observations are {observations}; they contain no number")
        if not isinstance(observations, (Dict, Tuple)):
            return env
        if any(len(space.shape or ()) > 2 for space in leaves):
            raise ValueError(f"id={self.id}: observations are {observations}; an image cannot be combined with others")
        only_states = all(isinstance(space, Discrete) for _, space in _parts(observations))
        return StatesAsVector(env) if only_states else Flattened(env)


def _parts(space: gymnasium.Space[Any]) -> Iterator[tuple[Any, gymnasium.Space[Any]]]:
    """Yields the parts of a `Dict` or `Tuple` with their keys; nothing for other spaces."""
    if isinstance(space, Dict):
        yield from space.spaces.items()
    elif isinstance(space, Tuple):
        yield from enumerate(space.spaces)


def _leaves(space: gymnasium.Space[Any]) -> Iterator[gymnasium.Space[Any]]:
    """Yields the spaces in a `Dict` or `Tuple`, at any depth, or any other space itself."""
    if isinstance(space, (Dict, Tuple)):
        for _, part in _parts(space):
            yield from _leaves(part)
    else:
        yield space


def _compiled_spec(id: str) -> Any:
    """Returns Gymnasium's spec of an environment, with the compiled class in place of the original."""
    spec: Any = copy.deepcopy(gymnasium.spec(id))
    spec.entry_point = compiled.find_class(id)
    return spec


def _with_fast_actions(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """Replaces an environment's own action space with one that checks actions faster."""
    inner = env.unwrapped
    if type(vars(inner).get("action_space")) is Discrete:
        inner.action_space = Actions(int(inner.action_space.n))  # type: ignore[attr-defined]
    return env


def _rescaled(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """Rescales observations so that their bounds are −1 and 1.

    Raises:
        ValueError: the bounds are not finite.
    """
    space = env.observation_space
    if not isinstance(space, Box) or not np.issubdtype(space.dtype, np.floating) or not space.is_bounded():
        raise ValueError(f"rescale=true: needs a Box of floating-point numbers with finite bounds, got {space}")
    return RescaleObservation(env, np.full(space.shape, -1, space.dtype), np.full(space.shape, 1, space.dtype))


def _without_order_check(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """Removes the wrapper that checks at every step that the environment was reset: every rollout begins with that."""
    if isinstance(env, OrderEnforcing):
        return env.env
    inner = env
    while isinstance(inner, gymnasium.Wrapper):
        if isinstance(inner.env, OrderEnforcing):
            inner.env = inner.env.env
        inner = inner.env
    return env


def _import_module(id: str) -> None:
    """Imports the module that an id names, which registers its environments."""
    module_name, colon, _ = id.partition(":")
    if colon:
        import_outside(module_name)


def _register(id: str) -> None:
    """Registers the environments of an installed package that Gymnasium does not find by itself."""
    namespace = id.partition("/")[0]
    if namespace not in EXTRAS or any(spec.namespace == namespace for spec in gymnasium.registry.values()):
        return
    module_name, extra = EXTRAS[namespace]
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ValueError(f'id={id}: needs an extra: pip install "dqn-lab[{extra}]" ({error})') from error
    register_envs = getattr(module, "register_envs", None)  # other packages register their environments when imported
    if register_envs:
        register_envs()
