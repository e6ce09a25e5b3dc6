"""The processor's vectors as numba values, which loops over arrays cannot express.

A compiler keeps a sum in a register only if it can prove that a write does not change what it reads next. Here sums are
values, so a matrix product runs near the processor's peak. Arrays have one dimension and contain float32 or float64.
Bounds are checked only if `CHECK_BOUNDS` is set; otherwise a load beyond an array's end reads whatever is there.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model
from numba.np.arrayobj import populate_array

from dqn_lab._numba import CHECK_BOUNDS

BITS = 256  # on processors with narrower registers, a vector takes several registers


class Vector(types.Type):
    """The type of vectors: `BITS` bits of floating-point numbers, with elementwise arithmetic."""

    def __init__(self, dtype: Any) -> None:
        self.dtype, self.lanes = dtype, BITS // dtype.bitwidth
        super().__init__(name=f"Vector({self.lanes} x {dtype})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        element = ir.FloatType() if vector.dtype == types.float32 else ir.DoubleType()
        super().__init__(manager, vector, ir.VectorType(element, vector.lanes))


def _define(operation: Any, instruction: str) -> None:
    @infer_global(operation)
    class Typing(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            fits = len(args) == 2 and isinstance(args[0], Vector) and args[0] == args[1]
            return signature(args[0], *args) if fits else None

    @lower_builtin(operation, Vector, Vector)
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return getattr(builder, instruction)(*args)


for _operation, _instruction in {"add": "fadd", "sub": "fsub", "mul": "fmul", "truediv": "fdiv"}.items():
    _define(getattr(operator, _operation), _instruction)
    _define(getattr(operator, f"i{_operation}"), _instruction)


def _address(context: Any, builder: Any, array_type: Any, array: Any, index: Any, count: Any = 1) -> Any:
    """Returns the address of array[index], from which `count` numbers will be used."""
    made = context.make_array(array_type)(context, builder, array)
    if CHECK_BOUNDS:
        count = count if isinstance(count, ir.Value) else ir.Constant(index.type, count)
        end, size = builder.add(index, count), builder.extract_value(made.shape, 0)
        below = builder.icmp_signed("<", index, ir.Constant(index.type, 0))
        negative = builder.icmp_signed("<", end, index)
        beyond = builder.icmp_signed(">", end, size)
        with builder.if_then(builder.or_(builder.or_(below, negative), beyond), likely=False):
            context.call_conv.return_user_exc(builder, IndexError, ("a kernel left the bounds of an array",))
    return builder.gep(made.data, [index])


def call_intrinsic(builder: Any, name: str, *args: Any) -> Any:
    """Calls one of LLVM's vector functions."""
    kind = args[0].type
    function_type = ir.FunctionType(kind, [kind] * len(args))
    suffix = f"v{kind.count}f{32 if isinstance(kind.element, ir.FloatType) else 64}"
    return builder.call(cgutils.get_or_insert_function(builder.module, function_type, f"{name}.{suffix}"), args)


def _everywhere(builder: Any, kind: Any, number: Any) -> Any:
    empty, first = ir.Constant(kind, ir.Undefined), ir.Constant(ir.IntType(32), 0)
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
    return builder.shuffle_vector(builder.insert_element(empty, number, first), empty, zeros)


def element(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Loads array[index]."""
    return builder.load(_address(context, builder, array_type, array, index))


def lower_view(context: Any, builder: Any, array_type: Any, array: Any, start: Any, size: Any) -> Any:
    """Makes the view array[start : start + size]."""
    whole, made = (context.make_array(array_type)(context, builder, *given) for given in ((array,), ()))
    data, strides = _address(context, builder, array_type, array, start, size), builder.extract_value(whole.strides, 0)
    populate_array(made, data, [size], [strides], whole.itemsize, whole.meminfo, whole.parent)
    return made._getvalue()


@intrinsic
def view(typing: Any, array: Any, start: Any, size: Any) -> Any:
    """Returns array[start : start + size]; cheaper to compile and to run than a slice."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return lower_view(context, builder, array, *args)

    return array(array, types.intp, types.intp), lower


@intrinsic
def either(typing: Any, condition: Any, one: Any, other: Any) -> Any:
    """Returns `one` if the condition holds, otherwise `other`."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(args[0], args[1], args[2])

    return one(types.boolean, one, one), lower


@intrinsic
def load(typing: Any, array: Any, index: Any) -> Any:
    """Returns the vector array[index : index + lanes]."""
    vector = Vector(array.dtype)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = context.get_value_type(vector).as_pointer()
        address = builder.bitcast(_address(context, builder, array, args[0], args[1], vector.lanes), pointer)
        return builder.load(address, align=array.dtype.bitwidth // 8)

    return vector(array, types.intp), lower


@intrinsic
def store(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """Writes a vector to array[index : index + lanes]."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = _address(context, builder, array, args[0], args[1], vector.lanes)
        address = builder.bitcast(address, args[2].type.as_pointer())
        builder.store(args[2], address, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(array, types.intp, vector), lower


@intrinsic
def spread(typing: Any, array: Any, index: Any) -> Any:
    """Returns a vector with every number equal to array[index]."""
    vector = Vector(array.dtype)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        number = element(context, builder, array, *args)
        return _everywhere(builder, context.get_value_type(vector), number)

    return vector(array, types.intp), lower


@intrinsic
def fill(typing: Any, number: Any) -> Any:
    """Returns a vector with every number equal to the given one."""
    vector = Vector(number)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _everywhere(builder, context.get_value_type(vector), args[0])

    return vector(number), lower


@intrinsic
def multiply_add(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """Returns a · b + c, rounded once."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return call_intrinsic(builder, "llvm.fma", *args)

    return a(a, b, c), lower


@intrinsic
def root(typing: Any, a: Any) -> Any:
    """Returns √a."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return call_intrinsic(builder, "llvm.sqrt", *args)

    return a(a), lower


@intrinsic
def total(typing: Any, a: Any) -> Any:
    """Returns the sum of a vector's numbers, added pairwise by halves."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        (vector,), half = args, a.lanes // 2
        while half:
            order = [(lane + half) % a.lanes for lane in range(a.lanes)]
            mask = ir.Constant(ir.VectorType(ir.IntType(32), a.lanes), order)
            vector = builder.fadd(vector, builder.shuffle_vector(vector, vector, mask))
            half //= 2
        return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))

    return a.dtype(a), lower


@intrinsic
def positive(typing: Any, a: Any) -> Any:
    """Returns 1 where a > 0, else 0."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = args[0].type
        zero, one = (ir.Constant(kind, [number] * kind.count) for number in (0.0, 1.0))
        return builder.select(builder.fcmp_ordered(">", args[0], zero), one, zero)

    return a(a), lower


@intrinsic
def larger(typing: Any, a: Any, b: Any) -> Any:
    """Returns b where b > a, and a elsewhere."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", args[1], args[0]), args[1], args[0])

    return a(a, b), lower


@intrinsic
def smaller(typing: Any, a: Any, b: Any) -> Any:
    """Returns b where b < a, and a elsewhere."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", args[1], args[0]), args[1], args[0])

    return a(a, b), lower


@intrinsic
def lanes(typing: Any, array: Any) -> Any:
    """Returns how many of an array's numbers fit into a vector, as a compile-time constant."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.get_constant(types.intp, BITS // array.dtype.bitwidth)

    return types.intp(array), lower


@intrinsic
def transpose(typing: Any, out: Any, to: Any, source: Any, at: Any, step: Any) -> Any:
    """out[to + c · step + r] = source[at + r · step + c], for all r, c < lanes."""
    vector = Vector(source.dtype)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind, size = context.get_value_type(vector), vector.lanes

        def pointer(array: Any, start: Any, row: int) -> Any:
            index = builder.add(start, builder.mul(ir.Constant(start.type, row), args[4]))
            address = _address(context, builder, source, array, index, size)
            return builder.bitcast(address, kind.as_pointer())

        rows = [builder.load(pointer(args[2], args[3], row), align=source.dtype.bitwidth // 8) for row in range(size)]
        half = size // 2
        while half:  # swaps squares of this size across the diagonal
            for row in (row for row in range(size) if not row & half):
                pair = rows[row], rows[row + half]
                upper = [lane + size - half if lane & half else lane for lane in range(size)]
                lower_ = [lane + size if lane & half else lane + half for lane in range(size)]
                for place, mask in ((row, upper), (row + half, lower_)):
                    rows[place] = builder.shuffle_vector(*pair, ir.Constant(ir.VectorType(ir.IntType(32), size), mask))
            half //= 2
        for row, value in enumerate(rows):
            builder.store(value, pointer(args[0], args[1], row), align=source.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(out, types.intp, source, types.intp, types.intp), lower
