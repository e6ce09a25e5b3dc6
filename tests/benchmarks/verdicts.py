"""Counts how often verdicts are wrong, how often intervals contain the mean, and how often differences are found.

    nice taskset -c 0 python tests/benchmarks/verdicts.py                     # all tables, half an hour on one core
    python tests/benchmarks/verdicts.py error --simulations 200 --seeds 10 30 # one of them, in less time

Populations consist of returns in [0, 500]. Any verdict between variants with equal means is wrong. Tables are in
Markdown, as in `dqn_lab/analysis/README.md`.
"""

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dqn_lab.analysis.intervals import draw, mean_interval, p_value, unseen_rate
from dqn_lab.analysis.verdicts import draws_needed, pair_up

BOUNDS = (0.0, 500.0)
RETURNS = json.loads((Path(__file__).parents[1] / "analysis" / "data" / "final_returns.json").read_text())


class Population(NamedTuple):
    """Scores to draw from.

    Args:
        sample: draws scores of a shape.
        mean: the truth.
        rarest: the share of the rarest kind of run; 1 if all are of one kind.
    """

    sample: object
    mean: float
    rarest: float = 1.0


def uniform(low, high):
    return Population(lambda rng, size: rng.uniform(low, high, size), (low + high) / 2)


def constant(value):
    return Population(lambda rng, size: np.full(size, float(value)), value)


def normal(mean, deviation):
    """Clipped symmetrically, so that the mean stays the same."""
    most = min(mean - BOUNDS[0], BOUNDS[1] - mean)
    return Population(lambda rng, size: mean + np.clip(rng.normal(0, deviation, size), -most, most), mean)


def mixed(rate, first, second):
    def sample(rng, size):
        return np.where(rng.random(size) < rate, first.sample(rng, size), second.sample(rng, size))

    return Population(sample, rate * first.mean + (1 - rate) * second.mean, min(rate, 1 - rate))


def resampled(name, rarest):
    values = np.array(RETURNS[name])
    return Population(lambda rng, size: rng.choice(values, size), values.mean(), rarest)


def computed(sample):
    """Computes the mean of four million draws, which is accurate to a few hundredths."""
    return Population(sample, sample(np.random.default_rng(0), 4_000_000).mean())


def ties(rng, size):
    return rng.choice([0.0, 100.0, 200.0, 500.0], size, p=[0.5, 0.2, 0.2, 0.1])


NEAR, FAILED = uniform(480, 500), uniform(50, 400)
POPULATIONS = {
    "95 % at 480–500, 5 % at 50–400": mixed(0.95, NEAR, FAILED),
    "85 % at 480–500, 15 % at 50–400": mixed(0.85, NEAR, FAILED),
    "half at 480–500, half at 50–400": mixed(0.5, NEAR, FAILED),
    "95 % at 500, 5 % at 50–400": mixed(0.95, constant(500), FAILED),
    "85 % at 500, 15 % at 50–400": mixed(0.85, constant(500), FAILED),
    "90 % normal (485, 5), 10 % at 0–30": mixed(0.9, normal(485, 5), uniform(0, 30)),
    "90 % at 20–120, 10 % at 400–500": mixed(0.9, uniform(20, 120), uniform(400, 500)),
    "95 % at 20–120, 5 % at 400–500": mixed(0.95, uniform(20, 120), uniform(400, 500)),
    "`cartpole`, resampled": resampled("cartpole", 0.01),
    "`default`, resampled": resampled("default", 0.08),
    "`tutorial`, resampled": resampled("tutorial", 0.12),
    "normal (250, 60)": normal(250, 60),
    "normal (490, 3)": normal(490, 3),
    "uniform, 490–500": uniform(490, 500),
    "normal (450, 80), clipped at 500": computed(lambda rng, size: np.clip(rng.normal(450, 80, size), 0, 500)),
    "exponential (60)": computed(lambda rng, size: np.minimum(rng.exponential(60, size), 500)),
    "Student's t of 3 degrees (250, 15)": computed(
        lambda rng, size: np.clip(250 + 15 * rng.standard_t(3, size), 0, 500)
    ),
    "0 or 500": mixed(0.5, constant(500), constant(0)),
    "0, 100, 200 or 500: 50, 20, 20, 10 %": Population(ties, 110.0, 0.1),
}


def beside_normal(name):
    """Pairs a normal control with a population of the same mean, and the other way round."""
    population = POPULATIONS[name]
    other = normal(population.mean, 15)
    return {
        f"normal (sd 15) against {name}": (other, population),
        f"{name} against normal (sd 15)": (population, other),
    }


FAILING = ("95 % at 480–500, 5 % at 50–400", "85 % at 480–500, 15 % at 50–400", "95 % at 500, 5 % at 50–400",
           "90 % normal (485, 5), 10 % at 0–30", "95 % at 20–120, 5 % at 400–500", "`default`, resampled")  # fmt: skip
UNEQUAL = {
    **{key: pair for name in FAILING for key, pair in beside_normal(name).items()},
    "normal (250, 10) against normal (250, 80)": (normal(250, 10), normal(250, 80)),
    f"{FAILING[0]} against normal (sd 3)": (POPULATIONS[FAILING[0]], normal(POPULATIONS[FAILING[0]].mean, 3)),
}
LOOKED_AT = ("half at 480–500, half at 50–400", "`default`, resampled", "`tutorial`, resampled", "0 or 500")
PAIRS = {  # what 36 of 40 repetitions at 30 seeds must decide
    "Acrobot, −82 ± 3 against −90 ± 3": (-82, -90, 3, (-500.0, 0.0)),
    "MountainCar, −105 ± 4 against −112 ± 4": (-105, -112, 4, (-200.0, 0.0)),
    "CartPole, 480 ± 8 against 450 ± 8": (480, 450, 8, (0.0, 500.0)),
}


def is_clear(pair, alpha):
    """Returns whether all p-values are at most alpha; computes the cheapest first."""
    return pair.p_unseen <= alpha and p_value(pair.draws) <= alpha and pair.permutation.p_value() <= alpha


def error(control, other, num_variants, num_seeds, bounds, simulations, seed=0):
    """Returns the percentage of simulations with a verdict although there should be none."""
    rng = np.random.default_rng([seed, num_variants, num_seeds])
    wrong = 0
    for _ in range(simulations):
        others = [other.sample(rng, num_seeds) for _ in range(num_variants)]
        pairs = pair_up(control.sample(rng, num_seeds), others, bounds, draws_needed(num_variants, 0.95))
        wrong += any(is_clear(pair, 0.05 / num_variants) for pair in pairs)  # Holm's first step
    return 100 * wrong / simulations


def error_of_looks(population, num_variants, looks, bounds, simulations, seed=0):
    """Returns the percentage of simulations with a wrong verdict at one of several numbers of seeds, added in turn."""
    rng = np.random.default_rng([seed, num_variants, *looks])
    wrong = 0
    for _ in range(simulations):
        control, *others = (population.sample(rng, looks[-1]) for _ in range(num_variants + 1))
        wrong += any(
            is_clear(pair, 0.05 / num_variants)
            for number in looks
            for pair in pair_up(control[:number], [other[:number] for other in others], bounds,
                                draws_needed(num_variants, 0.95))
        )  # fmt: skip
    return 100 * wrong / simulations


def coverage(population, num_seeds, bounds, simulations, seed=0):
    """Returns the percentage of simulations whose interval contains the mean."""
    rng = np.random.default_rng([seed, num_seeds])
    held = 0
    for _ in range(simulations):
        draws = draw(population.sample(rng, num_seeds), bounds)
        low, high = mean_interval(draws, bounds, 0.95)
        held += not (low - 1e-9 > population.mean or high + 1e-9 < population.mean)  # an interval of NaN claims nothing
    return 100 * held / simulations


def power(better, worse, num_seeds, bounds, simulations, seed=0):
    """Returns the percentage of simulations in which the better of two variants is found."""
    rng = np.random.default_rng([seed, num_seeds])
    found = 0
    for _ in range(simulations):
        (pair,) = pair_up(worse(rng, num_seeds), [better(rng, num_seeds)], bounds)
        found += is_clear(pair, 0.05) and pair.difference > 0
    return 100 * found / simulations


def print_table(title, seeds, rows):
    print(f"\n{title}; bounds known · unknown\n\n| | {' | '.join(f'{number} seeds' for number in seeds)} |")
    print(f"|---{'|---' * len(seeds)}|")
    for name, cells in rows:
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def both(measure, *about, simulations, known=BOUNDS):
    """Measures with known and with unknown bounds."""
    return f"{measure(*about, known, simulations):.1f} · {measure(*about, None, simulations):.1f}"


def print_error(args):
    families = {**{name: (population, population) for name, population in POPULATIONS.items()}, **UNEQUAL}
    for num_variants in args.variants:
        rows = (
            (name, [both(error, *pair, num_variants, number, simulations=args.simulations) for number in args.seeds])
            for name, pair in families.items()
        )
        print_table(f"At least one wrong verdict, %: {num_variants} against a control", args.seeds, rows)


def print_looks(args):
    plans = ([100], [30, 100], [30, 60, 100], [10, 20, 30, 50, 70, 100])
    print("\nAt least one wrong verdict at any look, %: 4 against a control, bounds known\n")
    print(f"| | {' | '.join(', '.join(map(str, looks)) for looks in plans)} |\n|---{'|---' * len(plans)}|")
    for name in LOOKED_AT:
        cells = (error_of_looks(POPULATIONS[name], 4, looks, BOUNDS, args.simulations) for looks in plans)
        print(f"| {name} | {' | '.join(f'{cell:.1f}' for cell in cells)} |", flush=True)


def print_coverage(args):
    def cell(population, number):
        known, unknown = both(coverage, population, number, simulations=args.simulations).split(" · ")
        return f"{known} · {unknown}" if population.rarest >= unseen_rate(number) else f"{known} · ({unknown})"

    rows = ((name, [cell(population, number) for number in args.seeds]) for name, population in POPULATIONS.items())
    print_table("Coverage of the mean's 95 % interval, %, in brackets where none is promised", args.seeds, rows)


def print_power(args):
    def raised(effect, rng, size):
        return np.minimum(rng.choice(RETURNS["default"], size) + effect, 500)

    def scattered(mean, deviation, rng, size):
        return rng.normal(mean, deviation, size)

    cases = {f"`default`, raised by {effect}": (partial(raised, effect), partial(raised, 0), BOUNDS)
             for effect in (50, 100, 150)}  # fmt: skip
    for name, (better, worse, deviation, bounds) in PAIRS.items():
        cases[name] = partial(scattered, better, deviation), partial(scattered, worse, deviation), bounds
    seeds = [number for number in args.seeds if number >= 10]
    rows = (
        (name, [both(power, *pair, number, simulations=args.simulations, known=bounds) for number in seeds])
        for name, (*pair, bounds) in cases.items()
    )
    print_table("Better one of two found, %", seeds, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tables = {"error": print_error, "looks": print_looks, "coverage": print_coverage, "power": print_power}
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"which of {', '.join(tables)}; all by default")
    parser.add_argument("--simulations", type=int, default=1000, help="for each number")
    parser.add_argument("--seeds", type=int, nargs="+", default=[5, 10, 30, 100], help="of a variant")
    parser.add_argument("--variants", type=int, nargs="+", default=[4], help="against the control")
    args = parser.parse_args()
    if unknown := set(args.tables) - set(tables):
        parser.error(f"{', '.join(sorted(unknown))}: no such table; choices: {', '.join(tables)}")
    start = time.perf_counter()
    for name in args.tables or tables:
        tables[name](args)
    print(f"\n{args.simulations} simulations for each number, in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
