"""Records rliable's statistics of the final returns in data/, for the tests to compare with.

python -m venv peer && peer/bin/pip install rliable==1.2.0 "pandas<3"
peer/bin/python tests/analysis/record_rliable.py
"""

import json
from pathlib import Path

import numpy as np
from rliable import library, metrics

DATA = Path(__file__).parent / "data"
REPS = 20_000


def main():
    returns = {name: np.array(values) for name, values in json.loads((DATA / "final_returns.json").read_text()).items()}
    scores = {name: values[:, None] for name, values in returns.items()}  # runs × tasks
    aggregate = lambda x: np.array([metrics.aggregate_mean(x), metrics.aggregate_iqm(x)])  # noqa: E731
    points, intervals = library.get_interval_estimates(scores, aggregate, reps=REPS)
    pairs = {"cartpole,default": None, "default,tutorial": None}
    both = {pair: tuple(scores[name] for name in pair.split(",")) for pair in pairs}
    better, between = library.get_interval_estimates(both, metrics.probability_of_improvement, reps=REPS)
    recorded = {
        "rliable": "1.2.0",
        "mean": {name: float(point[0]) for name, point in points.items()},
        "iqm": {name: float(point[1]) for name, point in points.items()},
        "mean_interval": {name: ends[:, 0].tolist() for name, ends in intervals.items()},
        "iqm_interval": {name: ends[:, 1].tolist() for name, ends in intervals.items()},
        "improvement": {pair: float(np.squeeze(better[pair])) for pair in pairs},
        "improvement_interval": {pair: np.squeeze(between[pair]).tolist() for pair in pairs},
    }
    (DATA / "rliable.json").write_text(json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    main()
