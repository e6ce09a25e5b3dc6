"""Packs the results of finished sweeps into `sweeps/answers/`, which is included with the lab.

python tests/benchmarks/ship.py outputs/sweeps/replay outputs/sweeps/target_network
"""

import argparse
from pathlib import Path

from dqn_lab.analysis import load_configs, load_runs, read_sweep
from dqn_lab.analysis.shipped import pack

ANSWERS = Path(__file__).parents[2] / "sweeps" / "answers"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweeps", type=Path, nargs="+")
    for path in parser.parse_args().sweeps:
        question = read_sweep(path).name
        pack(load_configs(path), load_runs(path, table="evaluations"), question, ANSWERS)
        print(f"{question}: {', '.join(str(file) for file in sorted(ANSWERS.glob(f'{question}.*')))}")


if __name__ == "__main__":
    main()
