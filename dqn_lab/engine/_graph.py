"""Compiles functions of tensors: traced by `torch.fx`, compiled by TorchInductor for given shapes and types."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import platformdirs
import torch
from torch import Tensor

from dqn_lab._compiling import compiling

_log = logging.getLogger(__name__)
SMALL = 2**16  # multiplications; a smaller product is faster inlined in the graph than as a library call
# no pool of compiler processes; sizes are checked by the caller
_OPTIONS = {
    "compile_threads": 1,
    "size_asserts": False,
}
_compiler: Any = torch.compiler
_graphs: dict[str, Callable[..., Any]] = {}  # this process's graphs: its runs often share one composition


class GraphError(RuntimeError):
    """Reports, in one line, why a function cannot be compiled."""


def graph(function: Callable[..., Any], arguments: Sequence[Tensor]) -> Callable[..., Any]:
    """Compiles a function of tensors, some of which it may change in place.

    Only computations with tensors are compiled. Everything else runs once, now, so the function must not depend on any
    other values that change. Calls do not check their arguments.

    Args:
        function: what to compile.
        arguments: examples with the shapes, types and strides of later arguments; they are not changed.

    Raises:
        GraphError: it cannot be traced or compiled.
    """
    _keep_in_user_cache()
    examples = [argument.detach() for argument in arguments]
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")  # about the compiler's own code
            return _compiled(function, examples)
    except Exception as error:  # a function may raise any error when it is run on tensors without values
        first, *_ = [*str(error).splitlines(), ""]
        raise GraphError(f"{type(error).__name__}: {first}") from error


def _compiled(function: Callable[..., Any], examples: list[Tensor]) -> Callable[..., Any]:
    from torch.fx.experimental.proxy_tensor import make_fx  # imported late, because it takes half a second

    with _as_compiling():
        traced = make_fx(function, {**_PRODUCTS}, tracing_mode="fake")(*examples)
    key = _text(traced, examples)
    if key not in _graphs:
        from torch import _inductor
        from torch._guards import TracingContext, tracing
        from torch._subclasses import FakeTensorMode
        from torch.fx.experimental.symbolic_shapes import ShapeEnv

        shapes = ShapeEnv()  # unused here, but inductor needs one to cache graphs on disk
        with compiling, tracing(TracingContext(FakeTensorMode(shape_env=shapes))):
            compiling.begin()
            _graphs[key] = _inductor.compile(traced, [*examples], _OPTIONS)
    return _graphs[key]


def _text(traced: torch.fx.GraphModule, examples: Sequence[Tensor]) -> str:
    """Returns a text that contains everything a graph depends on.

    Raises:
        ValueError: it depends on a tensor that is not among its arguments.
    """
    constants = [str(node.target) for node in traced.graph.nodes if node.op == "get_attr"]
    if constants:
        raise ValueError(f"{', '.join(constants)}: a tensor that is neither a parameter nor a buffer")
    kinds = [(tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device) for tensor in examples]
    return f"{kinds}\n{torch.get_num_threads()}\n{traced.code}"


def obstacle(device: torch.device) -> str | None:
    """Returns why nothing can be compiled here, or None; on the CPU, inductor needs a C++ compiler."""
    if device.type != "cpu":
        return None
    try:
        from torch._inductor.cpp_builder import get_cpp_compiler

        get_cpp_compiler()
    except Exception as error:  # its type depends on torch's version
        return " ".join(str(error).split())
    return None


@contextlib.contextmanager
def _as_compiling() -> Iterator[None]:
    """Makes `torch.compiler.is_compiling` true: `torch.optim` then accepts rates and counts as tensors."""
    before, _compiler._is_compiling_flag = _compiler._is_compiling_flag, True
    try:
        yield
    finally:
        _compiler._is_compiling_flag = before


def _keep_in_user_cache() -> None:
    """Makes inductor cache graphs in the user's cache directory, unless TORCHINDUCTOR_CACHE_DIR names another.

    Workers may share it: files are named after their content and written atomically.
    """
    directory = platformdirs.user_cache_path("dqn_lab") / "inductor"
    if "TORCHINDUCTOR_CACHE_DIR" in os.environ:
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=directory).close()
    except OSError as error:
        _log.info("compiled graphs are cached in the temporary directory only: %s: %s", directory, error.strerror)
    else:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(directory)


def _is_small(left: Tensor, right: Tensor) -> bool:
    return left.device.type == "cpu" and math.prod(left.shape) * right.shape[1] <= SMALL


def _mm(left: Tensor, right: Tensor) -> Tensor:
    return (left.unsqueeze(-1) * right.unsqueeze(0)).sum(1) if _is_small(left, right) else NotImplemented


def _addmm(bias: Tensor, left: Tensor, right: Tensor, beta: float = 1, alpha: float = 1) -> Tensor:
    return _mm(left, right) + bias if (alpha, beta) == (1, 1) and _is_small(left, right) else NotImplemented


_PRODUCTS: dict[Any, Callable[..., Tensor]] = {
    torch.ops.aten.mm.default: _mm,
    torch.ops.aten.addmm.default: _addmm,
}
