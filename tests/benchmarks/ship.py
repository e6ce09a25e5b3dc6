"""Writes the results of sweeps that come with the lab, `sweeps/answers/`, from the sweeps' directories.

python tests/benchmarks/ship.py outputs/sweeps/replay outputs/sweeps/target_network
python tests/benchmarks/ship.py --add outputs/more_seeds_of_rainbow
python tests/benchmarks/ship.py --add --question recipes_acrobot outputs/sweeps/iqn_again
"""

import argparse
from pathlib import Path

import pandas as pd

from dqn_lab.analysis import load_configs, load_runs, load_shipped, read_sweep
from dqn_lab.analysis.shipped import pack

ANSWERS = Path(__file__).parents[2] / "sweeps" / "answers"
JOB = ["variant", "seed"]


def with_shipped(new, shipped):
    """Returns the new rows and the shipped ones of the jobs that are not among them.

    Raises:
        SystemExit: a new row's variant is not among the shipped ones.
    """
    variants = list(shipped["variant"].cat.categories)
    if not set(new["variant"].cat.categories) <= set(variants):
        raise SystemExit(f"--add: the shipped variants are {', '.join(variants)}")
    again = pd.MultiIndex.from_frame(shipped[JOB]).isin(pd.MultiIndex.from_frame(new[JOB]))
    both = pd.concat([shipped[~again], new[list(shipped.columns)]], ignore_index=True)
    return both.assign(variant=pd.Categorical(both["variant"], variants))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweeps", type=Path, nargs="+")
    parser.add_argument("--question", help="what they answer, if it is not what they are named after")
    parser.add_argument(
        "--add", action="store_true", help="keep what is shipped of the variants and seeds that a sweep did not run"
    )
    args = parser.parse_args()
    for path in args.sweeps:
        question = args.question or read_sweep(path).name
        frames = [load_configs(path), load_runs(path, table="evaluations")]
        if args.add:
            tables = "runs", "evaluations"
            frames = [
                with_shipped(new, load_shipped(question, table)) for new, table in zip(frames, tables, strict=True)
            ]
        pack(*frames, question, ANSWERS)
        print(f"{question}: {', '.join(str(file) for file in sorted(ANSWERS.glob(f'{question}.*')))}")


if __name__ == "__main__":
    main()
