"""What runs write, byte for byte, against digests that were recorded once: `python tests/test_bytes.py` records them.

Bytes depend on the arithmetic of a machine and of its libraries. Digests are kept with a fingerprint of that
arithmetic, and are compared only where it is the same.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch

FILE = Path(__file__).parent / "data" / "digests.json"
SHORT = ("logger=csv", "display=none", "evaluation.num_episodes=2", "evaluation.final_num_episodes=3")
STEPS = (*SHORT, "episodes=null", "evaluation.interval=400", "evaluation.unit=steps")
LEARNING = (*STEPS, "steps=1500", "train.learning_starts=200")
COMPOSITIONS = {
    "default": (*SHORT, "episodes=40", "evaluation.interval=15"),
    "tutorial": ("experiment=tutorial", *SHORT, "episodes=40", "evaluation.interval=15"),
    "cartpole": ("experiment=cartpole", *LEARNING),
    "prioritized": ("experiment=prioritized", *LEARNING),
    "dueling double, n = 3": ("experiment=dueling", "bootstrap=double", "buffer.n_step=3", *LEARNING),
    "munchausen": ("experiment=munchausen", *LEARNING),
    "acrobot": ("experiment=acrobot/double_dqn", *LEARNING),
    "mountain_car": ("experiment=mountain_car/dqn", *LEARNING),
    "no replay": ("buffer=none", "target=none", "optimizer=rmsprop", *STEPS, "steps=800"),
    "tabular": ("env=frozen_lake", "network=table", "buffer=none", "target=none", "optimizer=sgd", *STEPS, "steps=800"),
    "rainbow, eager": ("experiment=rainbow", "engine=torch", *LEARNING, "train.interval=8"),
    "iqn, eager": ("experiment=iqn", "engine=torch", *LEARNING, "train.interval=8"),
}


def arithmetic() -> str:
    """Returns a fingerprint of this machine's arithmetic."""
    numbers = np.random.default_rng(0).normal(size=(64, 24)).astype(np.float32)
    tensor = torch.from_numpy(numbers).requires_grad_()
    (torch.tanh(tensor @ tensor.T).exp() * tensor.sum(1)).mean().backward()
    parts = [np.sin(numbers.astype(np.float64)), np.cos(numbers.astype(np.float64)), np.exp(numbers)]
    parts += [tensor.grad.numpy(), torch.nn.functional.log_softmax(tensor, 1).detach().numpy()]
    known = [*(part.tobytes() for part in parts), *(version(name).encode() for name in ("torch", "numpy", "gymnasium"))]
    return hashlib.sha256(b"".join(known)).hexdigest()[:16]


def digest(directory: Path) -> str:
    tables = [(directory / f"{table}.csv").read_bytes() for table in ("episodes", "evaluations")]
    return hashlib.sha256(b"".join(tables)).hexdigest()


RECORDED = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}


@pytest.mark.skipif(arithmetic() not in RECORDED, reason="no digests of this machine's arithmetic are recorded")
@pytest.mark.parametrize("name", COMPOSITIONS)
def test_a_run_writes_the_bytes_that_were_recorded(configure, tmp_path, name):
    from dqn_lab.build import build
    from dqn_lab.cli._quiet import Quiet
    from dqn_lab.run import Run

    if name not in RECORDED[arithmetic()]:
        pytest.skip("changed since this machine's digests were recorded")
    Run(build(configure(*COMPOSITIONS[name])), tmp_path / "run", {}).execute(Quiet())
    assert digest(tmp_path / "run") == RECORDED[arithmetic()][name]


def record() -> None:
    """Adds this machine's digests to the file, made with the `dqn_lab` on Python's path."""
    digests = {}
    for name, overrides in COMPOSITIONS.items():
        with tempfile.TemporaryDirectory() as root:
            command = [sys.executable, "-m", "dqn_lab", "train", *overrides, f"hydra.run.dir={root}/run"]
            subprocess.run(command, check=True)
            digests[name] = digest(Path(root) / "run")
    torch.set_num_threads(1)
    FILE.write_text(json.dumps({**RECORDED, arithmetic(): digests}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record()
