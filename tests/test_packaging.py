"""The built wheel is complete: it runs in an empty directory, without the repository."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WHERE = "hydra.run.dir=run"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    directory = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", directory, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    (path,) = directory.glob("*.whl")
    return path


def test_the_wheel_holds_the_configuration_and_the_type_marker(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    conf = {str(path.relative_to(ROOT)) for path in (ROOT / "conf").rglob("*.yaml")}
    assert {f"dqn_lab/{name}" for name in conf} <= names
    assert {f"dqn_lab/sweeps/{path.name}" for path in (ROOT / "sweeps").glob("*.yaml")} <= names
    assert "dqn_lab/py.typed" in names
    pages = (
        "analysis/page.css",
        "analysis/report/page.html.jinja",
        "analysis/inspect/page.html.jinja",
        "cli/explain.html.jinja",
    )
    assert {f"dqn_lab/{name}" for name in pages} <= names
    assert not any(name.startswith(("tests/", "conf/")) for name in names)


def test_the_wheel_runs_in_an_empty_directory(wheel, tmp_path):
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, wheel]
    subprocess.run(install, check=True, capture_output=True)
    words = ("engine=torch", "episodes=3", "evaluation.final_num_episodes=1", "network=mlp64", "logger=csv")
    done = subprocess.run(
        [sys.executable, "-c", "import dqn_lab.cli as c; print(c.__file__); c.main()", "train", *words, WHERE],
        cwd=empty, env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(site))
    record = json.loads((empty / "run" / "run.json").read_text())
    assert (record["status"], record["git"]) == ("completed", None)


def test_a_bare_clone_runs_from_any_directory(tmp_path):
    """No installation is needed: the package beside its `conf/` is enough."""
    done = subprocess.run(
        [sys.executable, "-m", "dqn_lab", "train", "--cfg", "job"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "CartPole-v1" in done.stdout
