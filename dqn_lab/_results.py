"""Checks, in a trial, what components from outside the package return."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor

from dqn_lab._batches import batch_problem, never_appended
from dqn_lab.types import Batch, Bootstrap, Bootstrapped, ConfigError, Loss, QValues

ROUNDING = 1e-3  # by which the sum of probabilities may differ from 1
Check = Callable[..., None]  # is given a method's result and arguments; raises a ConfigError


class Watched:
    """A component whose methods' results are checked.

    Args:
        part: the component.
        checks: by the method's name.
    """

    def __init__(self, part: Any, checks: Mapping[str, Check]) -> None:
        self._part, self._checks = part, checks

    def __getattr__(self, name: str) -> Any:
        member, check = getattr(self._part, name), self._checks.get(name)
        if check is None:
            return member

        def checked(*args: Any, **kwargs: Any) -> Any:
            result = member(*args, **kwargs)
            check(result, *args)
            return result

        return checked


def watched_buffer(
    buffer: Any, name: str, env: gymnasium.Env[Any, Any], discount: float, warn: Callable[[str], None]
) -> Any:
    """Returns a buffer that raises a `ConfigError` if `sample` returns no valid batch, and warns of a strange one.

    Args:
        buffer: the buffer.
        name: its name.
        env: the environment.
        discount: γ.
        warn: is given a line on a batch of another size, or with transitions that were never appended.
    """
    space, num_actions = env.observation_space, int(env.action_space.n)  # type: ignore[attr-defined]
    appended: list[tuple[Any, int]] = []

    def remember(_: Any, env_index: int, obs: Any, action: int, *rest: Any) -> None:
        appended.append((np.array(obs), int(action)))

    def check(result: Any, draws: Sized) -> None:
        if not isinstance(result, Batch):
            raise ConfigError(f"buffer={name}: sample must return a Batch, returned {_kind(result)}")
        if problem := batch_problem(result, space, num_actions):
            wanted = "a Batch (memory [N, …], weights [B] or None, indices [B], rows [B])"
            raise ConfigError(f"buffer={name}: sample must return {wanted}; {problem}")
        if len(result.indices) != len(draws):
            warn(f"buffer={name}: sample returned {len(result.indices)} transitions for train.batch_size={len(draws)}")
        if strangers := never_appended(result, appended):
            warn(f"buffer={name}: sample returned {strangers} of {len(draws)} transitions that were never appended")
        if (most := result.transition.discount.max()) > discount * (1 + 1e-6):
            what = "a transition's is at most γ, and 0 where the episode terminated"
            warn(f"buffer={name}: sample returned a discount of {most:.4g} with discount={discount:g}; {what}")

    return Watched(buffer, {"append": remember, "sample": check})


def watched_value(value: Any, name: str) -> Any:
    """Returns a value that raises a `ConfigError` if `loss` does not return three numbers per transition."""

    def check(result: Any, outputs: Tensor, action: Tensor, *_: Any) -> None:
        wanted = f"value={name}: loss must return a Loss (loss [B], q_value [B], priority [B])"
        if not isinstance(result, Loss):
            raise ConfigError(f"{wanted}, returned {_kind(result)}")
        for field, part in result._asdict().items():
            found = (*part.shape,) if isinstance(part, Tensor) else ()
            if found != (len(action),):
                said = _kind(part) if not isinstance(part, Tensor) else f"of shape {found}"
                raise ConfigError(f"{wanted}; its {field} is {said}, must be of shape {(len(action),)}: not averaged")
            if part.requires_grad != (field == "loss" and outputs.requires_grad):
                how = "does not depend on the outputs" if field == "loss" else "must be detached"
                raise ConfigError(f"{wanted}; its {field} {how}")
        _check_fields(wanted, result, dict.fromkeys(Loss._fields, (len(action),)))

    return Watched(value, {"loss": check})


class WatchedDiagnostics:
    """Diagnostics that raise a `ConfigError` if one of their methods changes what they measure.

    Args:
        diagnostics: the diagnostics.
        name: their name.
        engine: the engine whose networks they must leave unchanged.
    """

    def __init__(self, diagnostics: Any, name: str, engine: Any) -> None:
        self._diagnostics, self._name, self._engine = diagnostics, name, engine

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._diagnostics, name)
        if not callable(member):
            return member

        def checked(*args: Any, **kwargs: Any) -> Any:
            before = [each.detach().clone() for each in self._parameters()]
            result = member(*args, **kwargs)
            if not all(map(torch.equal, before, self._parameters())):
                what = "changed the networks' parameters; diagnostics must not change a run"
                raise ConfigError(f"diagnostics={self._name}: {name} {what}")
            return result

        return checked

    def _parameters(self) -> list[Tensor]:
        return [*self._engine.online.parameters(), *self._engine.target.parameters()]


def watched_bootstrap(bootstrap: Bootstrap, name: str) -> Bootstrap:
    """Returns a bootstrap that raises a `ConfigError` if its result has a wrong type or shape, or no probabilities."""

    def checked(q_values: QValues, action: Tensor) -> Bootstrapped:
        result = bootstrap(q_values, action)
        wanted = f"bootstrap={name}: must return a Bootstrapped (probabilities [B, A], shift [B, A], bonus [B])"
        if not isinstance(result, Bootstrapped):
            raise ConfigError(f"{wanted}, returned {_kind(result)}")
        whole = (*q_values.target_next.shape,)
        _check_fields(wanted, result, {"probabilities": whole, "shift": whole, "bonus": whole[:1]})
        _check_probabilities(result.probabilities, name)
        return result

    return checked


def _check_fields(wanted: str, result: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuses what cannot be broadcast to the shapes, as a plain number can, or is not finite."""
    for field, part in result._asdict().items():
        if not isinstance(part, (Tensor, int, float)):
            raise ConfigError(f"{wanted}; its {field} is {_kind(part)}")
        found = (*part.shape,) if isinstance(part, Tensor) else ()
        try:
            fits = np.broadcast_shapes(found, shapes[field]) == shapes[field]
        except ValueError:
            fits = False
        if not fits:
            raise ConfigError(f"{wanted}; its {field} has shape {found}, must be {shapes[field]}")
        if field != "probabilities" and not torch.as_tensor(part).isfinite().all():  # their sum is checked
            raise ConfigError(f"{wanted}; its {field} is not finite")


def _check_probabilities(probabilities: Tensor, name: str) -> None:
    sums = probabilities.sum(1)
    if ((sums - 1).abs() <= ROUNDING).all() and probabilities.min() >= -ROUNDING:
        return
    wrong = sums[((sums - 1).abs() > ROUNDING) | sums.isnan()]
    said = f"sum to {wrong[0]:.4g}" if len(wrong) else f"go down to {probabilities.min():.4g}"
    raise ConfigError(f"bootstrap={name}: its probabilities {said}; must be at least 0 and sum to 1 over the actions")


def _kind(value: object) -> str:
    """Names a value's type."""
    kind = type(value)
    if value is None:
        return "None"
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
