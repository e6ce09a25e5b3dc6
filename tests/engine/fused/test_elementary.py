"""Exponentials, logarithms, sines, cosines and hyperbolic tangents of vectors, against numpy's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dqn_lab._numba import kernel
from dqn_lab.engine.fused.elementary import cosine, exponential, hyperbolic_tangent, logarithm, sine
from dqn_lab.engine.fused.simd import lanes, load, store


@kernel
def apply(x, exponentials, logarithms, sines, cosines, tangents):
    for i in range(0, len(x), lanes(x)):
        store(exponentials, i, exponential(load(x, i)))
        store(logarithms, i, logarithm(load(x, i)))
        store(sines, i, sine(load(x, i)))
        store(cosines, i, cosine(load(x, i)))
        store(tangents, i, hyperbolic_tangent(load(x, i)))


def answers(x, dtype):
    given = np.resize(np.asarray(x, dtype), -(-len(x) // 8) * 8)
    results = [np.empty_like(given) for _ in range(5)]
    apply(given, *results)
    return [given[: len(x)], *(result[: len(x)] for result in results)]


@pytest.mark.parametrize(("dtype", "most", "wide"), [(np.float32, 87, np.float64), (np.float64, 708, np.longdouble)])
def test_functions_are_accurate_to_about_one_rounding(dtype, most, wide):
    rng, eps = np.random.default_rng(0), np.finfo(dtype).eps
    given, exponentials, *_ = answers(np.concatenate([rng.uniform(-most, most, 10**5), rng.normal(size=10**5)]), dtype)
    np.testing.assert_allclose(exponentials, np.exp(given.astype(wide)).astype(wide), rtol=1.5 * eps)
    positive = np.concatenate([np.exp(rng.uniform(-most, most, 10**5)), rng.uniform(0.5, 2, 10**5), [1.0]])
    given, _, logarithms, *_ = answers(positive, dtype)
    np.testing.assert_allclose(logarithms, np.log(given.astype(wide)), rtol=2 * eps, atol=0)
    given, *_, sines, cosines, _ = answers(rng.uniform(-math.pi / 2, math.pi / 2, 10**5), dtype)
    np.testing.assert_allclose(sines, np.sin(given.astype(wide)), rtol=2 * eps, atol=0)
    np.testing.assert_allclose(cosines, np.cos(given.astype(wide)), rtol=0, atol=2 * eps)
    sizes = [rng.uniform(0, 25, 10**5), rng.normal(size=10**5), np.exp(rng.uniform(-most, 1, 10**5))]
    given, *_, tangents = answers(np.concatenate(sizes) * rng.choice([-1, 1], 3 * 10**5), dtype)
    np.testing.assert_allclose(tangents, np.tanh(given.astype(wide)), rtol=2 * eps, atol=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_out_of_range_saturate_and_nan_stays_nan(dtype):
    strange = np.array([0x7FF8000000000123], np.uint64).view(np.float64)[0]
    _, exponentials, logarithms, sines, _, tangents = answers([np.nan, strange, -np.inf, np.inf, -1e4, 1e4, 0.0], dtype)
    for result in (exponentials, logarithms, sines, tangents):
        assert np.isnan(result[:2]).all()
    assert (exponentials[2:5:2] > 0).all()
    assert (exponentials[2:5:2] < 1e-37).all()
    assert np.isfinite(exponentials[3:6:2]).all()
    assert (exponentials[3:6:2] > 1e37).all()
    assert exponentials[6] == 1
    assert np.isfinite(logarithms[6])  # so that 0 · log 0 is 0
    assert tangents[2:].tolist() == [-1, 1, -1, 1, 0]
    assert np.signbit(answers([-0.0], dtype)[-1][0])
