"""numpy's own sine and cosine for compiled code, so that results equal Gymnasium's on every processor.

numpy chooses among several implementations by the processor's instructions. They differ in the last bit, from each
other and from the C library's. They are found through the layout of a ufunc, which is part of numpy's C interface.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


class _Ufunc(ctypes.Structure):
    """`PyUFuncObject` of numpy/ufuncobject.h."""

    _fields_ = (
        ("head", ctypes.c_byte * object.__basicsize__),
        ("num_in", ctypes.c_int),
        ("num_out", ctypes.c_int),
        ("num_arguments", ctypes.c_int),
        ("identity", ctypes.c_int),
        ("functions", ctypes.POINTER(ctypes.c_void_p)),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
        ("num_types", ctypes.c_int),
    )


def _publish(ufunc: np.ufunc, code: str) -> Any:
    """Makes a ufunc's loop for a type known to compiled code by a name: as two addresses, the loop's and its data's."""
    inside, which = _Ufunc.from_address(id(ufunc)), ufunc.types.index(f"{code}->{code}")
    assert (inside.num_in, inside.num_out, inside.num_types) == (1, 1, ufunc.ntypes)
    table = (ctypes.c_int64 * 2)(inside.functions[which], inside.data[which] or 0)
    binding.add_symbol(_symbol(ufunc.__name__, code), ctypes.addressof(table))
    return table


def _symbol(name: str, code: str) -> str:
    return f"dqn_lab_numpy_{name}_{code}"


_tables = [_publish(ufunc, code) for ufunc in (np.sin, np.cos) for code in "fd"]  # kept: compiled code reads them


@intrinsic
def sin(typing: Any, x: Any) -> Any:
    """Returns numpy's sin x, of a float32 or a float64."""
    return x(x), lambda context, builder, sig, args: _call(context, builder, sig.args[0], args[0], "sin")


@intrinsic
def cos(typing: Any, x: Any) -> Any:
    """Returns numpy's cos x, of a float32 or a float64."""
    return x(x), lambda context, builder, sig, args: _call(context, builder, sig.args[0], args[0], "cos")


def _call(context: Any, builder: Any, of: Any, x: Any, name: str) -> Any:
    """Calls loop(pointers to x and to the result, how many, their steps, data) with one number."""
    word, pointer = ir.IntType(64), ir.IntType(8).as_pointer()
    code, size = ("f", 4) if of == types.float32 else ("d", 8)
    table = builder.module.globals.get(_symbol(name, code))
    if table is None:
        table = cgutils.add_global_variable(builder.module, ir.ArrayType(word, 2), _symbol(name, code))
        table.linkage = "external"
    zero = ir.Constant(ir.IntType(32), 0)
    function, data = (builder.load(builder.gep(table, [zero, ir.Constant(ir.IntType(32), i)])) for i in (0, 1))
    given, result = cgutils.alloca_once_value(builder, x), cgutils.alloca_once(builder, x.type)
    pointers = cgutils.alloca_once(builder, pointer, size=ir.Constant(word, 2))
    for i, place in enumerate((given, result)):
        builder.store(builder.bitcast(place, pointer), builder.gep(pointers, [ir.Constant(word, i)]))
    count = cgutils.alloca_once_value(builder, ir.Constant(word, 1))
    steps = cgutils.alloca_once(builder, word, size=ir.Constant(word, 2))
    for i in (0, 1):
        builder.store(ir.Constant(word, size), builder.gep(steps, [ir.Constant(word, i)]))
    kind = ir.FunctionType(ir.VoidType(), [pointers.type, word.as_pointer(), word.as_pointer(), pointer])
    arguments = [pointers, count, steps, builder.inttoptr(data, pointer)]
    builder.call(builder.inttoptr(function, kind.as_pointer()), arguments)
    return builder.load(result)
