"""Compiled functions as values, so that a kernel can take other kernels, the compiled parts of a run, as arguments.

A kernel that takes functions is compiled only once, whichever functions it is given. It calls the same machine code
that Python calls, so that both round alike. A function's type includes the types of its arguments and of its result:
a call that does not fit does not compile.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import NativeValue, intrinsic, models, register_model, typeof_impl, unbox
from numpy.typing import NDArray

from dqn_lab._numba import inline, prepare


class FunctionType(types.Type):
    """numba's type of a `Function`: the types of its arguments and of its result."""

    def __init__(self, result: Any, arguments: tuple[Any, ...]) -> None:
        self.result, self.arguments = result, arguments
        super().__init__(name=f"Function({', '.join(map(str, arguments))}) -> {result}")


@register_model(FunctionType)
class _FunctionModel(models.PrimitiveModel):
    def __init__(self, manager: Any, function: FunctionType) -> None:
        super().__init__(manager, function, ir.IntType(64))  # its address


class Function:
    """A kernel, compiled for arguments of particular types.

    Args:
        kernel: made by `_numba.kernel`.
        arguments: examples of what it will be called with, of the same types.
    """

    def __init__(self, kernel: Any, *arguments: Any) -> None:
        self.kernel = prepare(kernel, *arguments)  # keeps the code at the address alive
        compiled = kernel.overloads[tuple(map(numba.typeof, arguments))]
        self.call_quickly = compiled.entry_point  # does not look up the types of its arguments
        self.type = FunctionType(compiled.signature.return_type, tuple(compiled.signature.args))
        self.address = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)


@typeof_impl.register(Function)
def _typeof(function: Function, context: Any) -> FunctionType:
    return function.type


@unbox(FunctionType)
def _unbox(kind: FunctionType, value: Any, c: Any) -> Any:
    number = c.pyapi.object_getattr_string(value, "address")
    address = c.pyapi.long_as_longlong(number)
    c.pyapi.decref(number)
    return NativeValue(address)


@intrinsic
def call(typing: Any, function: Any, arguments: Any) -> Any:
    """Calls a `Function` that a kernel was given, with a tuple of arguments."""
    fits = len(arguments) == len(function.arguments) and all(map(_fits, arguments, function.arguments))
    if not fits:
        raise TypingError(f"a function of {function.arguments} is called with {tuple(arguments)}")

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        given = cgutils.unpack_tuple(builder, args[1], len(arguments))
        triples = zip(given, arguments, function.arguments, strict=True)
        values = [value if of == to else context.cast(builder, value, of, to) for value, of, to in triples]
        convention, types_of = context.call_conv, function.arguments
        pointer = builder.inttoptr(args[0], convention.get_function_type(function.result, types_of).as_pointer())
        status, result = convention.call_function(builder, pointer, function.result, types_of, values)
        with cgutils.if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)
        return result

    return function.result(function, arguments), lower


def _fits(given: Any, wanted: Any) -> bool:
    return given == wanted or (isinstance(given, (types.Number, types.Boolean)) and isinstance(wanted, types.Number))


def source_of_draws(generator: np.random.Generator) -> NDArray[np.int64]:
    """Returns what compiled code needs to draw from a generator: it continues the same stream as Python.

    Args:
        generator: must stay alive for as long as the result is used.

    Returns:
        addresses: of the function that draws a double in [0, 1), of the one that draws 32 bits, and of their state.
    """
    interface: Any = generator.bit_generator.ctypes
    functions = [
        ctypes.cast(function, ctypes.c_void_p).value for function in (interface.next_double, interface.next_uint32)
    ]
    return np.array([*functions, interface.state_address], np.int64)


def source_of_noise(generator: np.random.Generator) -> NDArray[np.int64]:
    """Returns `source_of_draws`, followed by the addresses of the function that draws normal numbers and its state.

    Raises:
        AttributeError: numpy does not export that function here.
    """
    import numpy.random._generator as library  # as numpy's documentation of its C interface does

    function = ctypes.cast(ctypes.CDLL(library.__file__).random_standard_normal_fill_f, ctypes.c_void_p).value
    interface: Any = generator.bit_generator.ctypes
    return np.array([*source_of_draws(generator), function, interface.bit_generator.value], np.int64)


@intrinsic
def draw_normals(typing: Any, source: Any, out: Any) -> Any:
    """Fills an array of float32 from `source_of_noise`, as `generator.standard_normal(len(out), np.float32)` does."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        made, filled = (
            context.make_array(kind)(context, builder, arg) for kind, arg in zip(sig.args, args, strict=True)
        )
        function, state = (builder.load(builder.gep(made.data, [ir.Constant(ir.IntType(64), i)])) for i in (3, 4))
        size, pointer = builder.extract_value(filled.shape, 0), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, size.type, filled.data.type]).as_pointer()
        builder.call(builder.inttoptr(function, kind), [builder.inttoptr(state, pointer), size, filled.data])
        return context.get_dummy_value()

    return types.none(source, out), lower


@intrinsic
def draw(typing: Any, source: Any) -> Any:
    """Returns the next uniform number in [0, 1) from `source_of_draws`, the same as `generator.random()` would."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _draw(context, builder, sig, args, 0, ir.DoubleType())

    return types.float64(source), lower


@intrinsic
def draw_bits(typing: Any, source: Any) -> Any:
    """Returns the next 32 random bits from `source_of_draws`."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _draw(context, builder, sig, args, 1, ir.IntType(32))

    return types.uint32(source), lower


def _draw(context: Any, builder: Any, sig: Any, args: Any, which: int, result: Any) -> Any:
    made = context.make_array(sig.args[0])(context, builder, args[0])
    function, state = (builder.load(builder.gep(made.data, [ir.Constant(ir.IntType(64), i)])) for i in (which, 2))
    pointer = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(result, [pointer]).as_pointer()
    return builder.call(builder.inttoptr(function, kind), [builder.inttoptr(state, pointer)])


@inline
def draw_single(source):
    """Returns the next uniform number in [0, 1) in single precision, as `generator.random(dtype=np.float32)` does."""
    return np.float32(draw_bits(source) >> np.uint32(8)) * np.float32(2.0**-24)


@inline
def bounded(source, most):
    """Returns a whole number from 0 to `most` < 2³², drawn in the way numpy's generators draw it to shuffle."""
    mask = np.uint32(most)
    for shift in (1, 2, 4, 8, 16):
        mask |= mask >> np.uint32(shift)
    drawn = draw_bits(source) & mask
    while most and drawn > most:
        drawn = draw_bits(source) & mask
    return np.int64(drawn)


@inline
def next_uniform(draws):
    """Returns the next number of a `seeding.Uniforms`; `draws` is its kernel's state."""
    block, left, source = draws
    if left[0] == 0:
        for i in range(len(block)):
            block[i] = draw(source)
        left[0] = len(block)
    left[0] -= 1
    return block[left[0]]


@inline
def value_at(values, start, progress):
    """Returns a `schedule.Tabulated`'s value at (step, episode, updates)."""
    return values[min(progress[start[0]] - start[1], len(values) - 1)]


@inline
def is_due(every, before, after):
    """Returns what `schedule.Every.due` does; `every` is what `Every.numbers` returns."""
    interval, first, which = every
    start, end = before[which] - first, after[which] - first
    return end >= 0 and end // interval > start // interval
