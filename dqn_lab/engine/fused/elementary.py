"""Exponentials, logarithms, sines, cosines and hyperbolic tangents of vectors, which are not processor instructions.

All are polynomials; exponentials and logarithms first split off a power of two, read from a number's bits. Their error
is about one rounding. NaN stays NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from dqn_lab.engine.fused.simd import call_intrinsic

# for each type: bits of a fraction, the exponent's bias, ln 2 as a sum whose first part has few bits, and the number of
# terms that the two series need
_SINGLE = 23, 127, (0.693359375, -2.1219444005469058e-4), 7, 4
_DOUBLE = 52, 1023, (6.93147180369123816490e-1, 1.90821492927058770002e-10), 13, 11
_TERMS = 12  # of sine and cosine, in either type


@intrinsic
def exponential(typing: Any, x: Any) -> Any:
    """Returns eˣ, with x clipped to where eˣ is a normal number of its type."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        fraction, bias, parts, terms, _ = _SINGLE if x.dtype == types.float32 else _DOUBLE
        (given,) = args
        number = _Numbers(builder, given.type)
        least, most = (-bias + 1) * math.log(2), bias * math.log(2)
        bounded = builder.select(builder.fcmp_ordered("<", given, number(least)), number(least), given)
        bounded = builder.select(builder.fcmp_ordered(">", bounded, number(most)), number(most), bounded)
        power, rest = number.divide(bounded, fraction, parts)
        series = number.polynomial(rest, [1 / math.factorial(i) for i in range(terms + 1)])
        bits = builder.shl(power, number.whole(fraction))
        result = builder.bitcast(builder.add(number.bits(series), bits), given.type)
        return builder.select(builder.fcmp_unordered("uno", given, given), given, result)

    return x(x), lower


@intrinsic
def logarithm(typing: Any, x: Any) -> Any:
    """Returns the natural logarithm of a normal number x > 0; for 0, some finite number, so that 0 · log 0 is 0."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        fraction, _, (long_part, short_part), _, terms = _SINGLE if x.dtype == types.float32 else _DOUBLE
        (given,) = args
        number = _Numbers(builder, given.type)
        bits, below = number.bits(given), number.bits(number(math.sqrt(0.5)))
        power = builder.ashr(builder.sub(bits, below), number.whole(fraction))  # x = 2^power · (√½ … √2)
        near = builder.bitcast(builder.sub(bits, builder.shl(power, number.whole(fraction))), given.type)
        magic = number(1.5 * 2**fraction)
        power = builder.fsub(builder.bitcast(builder.add(number.bits(magic), power), given.type), magic)
        away = builder.fsub(near, number(1))
        ratio = builder.fdiv(away, builder.fadd(number(1), near))
        square = builder.fmul(ratio, ratio)  # log near = 2 ratio (1 + square / 3 + square² / 5 + …)
        series = builder.fmul(square, number.polynomial(square, [2 / (2 * i + 3) for i in range(terms)]))
        # 2 ratio = away − ratio · away, of which `away` is exact
        small = builder.fmul(ratio, builder.fsub(series, away))
        small = number.multiply_add(power, number(short_part), small)
        result = number.multiply_add(power, number(long_part), builder.fadd(away, small))
        return builder.select(builder.fcmp_unordered("uno", given, given), given, result)

    return x(x), lower


@intrinsic
def hyperbolic_tangent(typing: Any, x: Any) -> Any:
    """Returns tanh x."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        fraction, _, parts, terms, _ = _SINGLE if x.dtype == types.float32 else _DOUBLE
        (given,) = args
        number = _Numbers(builder, given.type)
        most = number(20)  # beyond which it is 1, in either type
        size = call_intrinsic(builder, "llvm.fabs", given)
        size = builder.select(builder.fcmp_ordered(">", size, most), most, size)
        power, rest = number.divide(builder.fadd(size, size), fraction, parts)
        # e^rest − 1, which keeps digits that e^rest would lose if x is small
        less_one = builder.fmul(rest, number.polynomial(rest, [1 / math.factorial(i + 1) for i in range(terms)]))
        scale = builder.add(number.bits(number(1)), builder.shl(power, number.whole(fraction)))
        scale = builder.bitcast(scale, given.type)  # 2^power
        whole = number.multiply_add(scale, less_one, builder.fsub(scale, number(1)))  # e^2|x| − 1
        result = builder.fdiv(whole, builder.fadd(whole, number(2)))
        result = call_intrinsic(builder, "llvm.copysign", result, given)
        return builder.select(builder.fcmp_unordered("uno", given, given), given, result)

    return x(x), lower


@intrinsic
def sine(typing: Any, x: Any) -> Any:
    """Returns sin x, for |x| ≤ π / 2."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        series = _alternating(builder, args[0], [math.factorial(2 * i + 1) for i in range(_TERMS)])
        return builder.fmul(args[0], series)

    return x(x), lower


@intrinsic
def cosine(typing: Any, x: Any) -> Any:
    """Returns cos x, for |x| ≤ π / 2."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _alternating(builder, args[0], [math.factorial(2 * i) for i in range(_TERMS)])

    return x(x), lower


def _alternating(builder: Any, x: Any, factorials: Sequence[int]) -> Any:
    """Σ (−1)ⁱ x²ⁱ / factorials[i]."""
    coefficients = [(-1) ** i / factorial for i, factorial in enumerate(factorials)]
    return _Numbers(builder, x.type).polynomial(builder.fmul(x, x), coefficients)


class _Numbers:
    """Vectors of one type in an instruction builder's terms."""

    def __init__(self, builder: Any, kind: Any) -> None:
        self.builder, self.kind = builder, kind
        self.integers = ir.VectorType(ir.IntType(32 if isinstance(kind.element, ir.FloatType) else 64), kind.count)

    def __call__(self, number: float) -> Any:
        return ir.Constant(self.kind, [float(number)] * self.kind.count)

    def whole(self, number: int) -> Any:
        return ir.Constant(self.integers, [number] * self.kind.count)

    def bits(self, vector: Any) -> Any:
        return self.builder.bitcast(vector, self.integers)

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        return call_intrinsic(self.builder, "llvm.fma", a, b, c)

    def divide(self, x: Any, fraction: int, parts: tuple[float, float]) -> tuple[Any, Any]:
        """Divides by ln 2, the sum of two parts; returns the quotient, in an integer's last bits, and the rest of x.

        The rest is at most ½ ln 2 in size.
        """
        magic = self(1.5 * 2**fraction)  # adding it rounds a number to an integer, in its last bits
        shifted = self.multiply_add(x, self(1 / math.log(2)), magic)
        power = self.builder.fsub(shifted, magic)
        for part in parts:
            x = self.multiply_add(power, self(-part), x)
        return self.bits(shifted), x

    def polynomial(self, x: Any, coefficients: Sequence[float]) -> Any:
        """Σ coefficients[i] · xⁱ."""
        result = self(coefficients[-1])
        for coefficient in reversed(coefficients[:-1]):
            result = self.multiply_add(result, x, self(coefficient))
        return result
