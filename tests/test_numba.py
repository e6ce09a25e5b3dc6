"""Compiled kernels on disk: cached, read again, and compiled again if damaged; tested with small kernels."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

import dqn_lab
from dqn_lab import _numba

PACKAGE = Path(dqn_lab.__file__).parent
SOURCES = [str(path.relative_to(PACKAGE)) for path in _numba.source_files(PACKAGE)]
KERNEL = re.compile(r"^@(kernel|inline|intrinsic)$", re.MULTILINE)
KERNELS = """
import numpy as np
from dqn_lab._numba import cache_directory, kernel, prepare

@kernel
def inner(x):
    for i in range(len(x)):
        x[i] = 2 * x[i] + 1

@kernel
def outer(x, times):
    for _ in range(times):
        inner(x)
"""
USE = """
import json, sys
import numpy as np
import small
x = np.arange(4.0)
small.prepare(small.inner, x)(x)
small.prepare(small.outer, x, 3)(x, 3)
small.prepare(small.outer, x.astype("f4"), 3)
hits = sum(sum(kernel.stats.cache_hits.values()) for kernel in (small.inner, small.outer))
directory = small.cache_directory()
print(json.dumps({"x": x.tolist(), "hits": hits, "directory": directory and str(directory)}))
"""
RIGHT = [15.0, 31.0, 47.0, 63.0]  # 2x + 1 four times over: 16x + 15
ENGINE = """
import json
import numpy as np, torch
from gymnasium.spaces import Box
from dqn_lab import registry
from dqn_lab.engine.fused import expected
from dqn_lab.seeding import torch_generator
from dqn_lab.types import Batch, Noise, Transition

def create(group, name, *supplied):
    return registry.create(group, registry.validate(group, {"name": name}), *supplied)

network = create("network", "mlp", Box(-1, 1, (4,)), 2, 1, torch_generator(0, "network"))
parts = [create("value", "expected"), create("bootstrap", "max"), create("optimizer", "adam"), torch.device("cpu")]
engine, rng = create("engine", "fused", network, network, *parts), np.random.default_rng(0)
obs, next_obs = rng.normal(size=(2, 8, 4)).astype(np.float32)
reward = np.ones(8, np.float32)
batch = Batch(Transition(obs, rng.integers(2, size=8), reward, next_obs, 0.9 * reward), None, np.arange(8))
losses = [engine.update(batch, Noise()).loss for _ in range(3)]
hits = sum(sum(kernel.stats.cache_hits.values()) for kernel in (expected.q_values, expected.update))
print(json.dumps({"losses": losses, "q_values": engine.q_values(obs).tolist(), "hits": hits}))
"""


def start(code, cache, where):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": f"{where}:{PACKAGE.parent}"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code], cwd=where, env=environment, **pipes)


def finish(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return json.loads(out)


@pytest.fixture(scope="module")
def where(tmp_path_factory):
    """Writes a module of two small kernels, one of which calls the other."""
    directory = tmp_path_factory.mktemp("small")
    (directory / "small.py").write_text(KERNELS)
    return directory


@pytest.fixture(scope="module")
def kept(where, tmp_path_factory):
    """Returns a cache directory that holds both kernels."""
    directory = tmp_path_factory.mktemp("cache")
    assert finish(start(USE, directory, where))["hits"] == 0
    return directory


def test_kernels_are_cached_and_read_again(where, kept):
    answer = finish(start(USE, kept, where))
    assert answer["x"] == RIGHT
    assert answer["hits"] == 3
    assert Path(answer["directory"]).parent == kept


def test_a_long_wait_for_another_process_is_announced(where, kept):
    """A process that was stopped while it compiled holds the lock."""
    lock = kept / next(path.name for path in kept.glob("kernels-*")) / "lock"
    with filelock.FileLock(lock):
        process = start(f"from dqn_lab import _numba; _numba.PATIENCE = 0.1\n{USE}", kept, where)
        line = process.stderr.readline()
    assert line == f"waiting for another process, which is compiling; it holds {lock}\n"
    assert finish(process)["hits"] > 0


def test_without_a_writable_cache_every_process_compiles(where):
    for _ in range(2):
        assert finish(start(USE, "/dev/null/x", where)) == {"x": RIGHT, "hits": 0, "directory": None}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_directory_is_left_alone(where, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    assert finish(start(USE, closed, where)) == {"x": RIGHT, "hits": 0, "directory": None}
    assert not list(closed.iterdir())


DAMAGE = {
    "truncated": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "garbage": lambda data: b"\0" * 99,
}


@pytest.mark.parametrize(("files", "damage"), [
    ("*.nbc", "truncated"), ("*.nbi", "garbage"), ("small.inner*.nbi", "empty"), ("small.outer*.nbc", "garbage"),
    *(pytest.param(files, damage, marks=pytest.mark.slow)
      for files in ("small.inner*.nbc", "small.outer*.nbc", "*.nbc", "small.inner*.nbi", "*.nbi") for damage in DAMAGE),
])  # fmt: skip
def test_damaged_files_are_survived(where, kept, tmp_path, files, damage):
    cache = tmp_path / "cache"
    shutil.copytree(kept, cache)
    found = list(cache.rglob(files))
    assert found
    for path in found:
        path.write_bytes(DAMAGE[damage](path.read_bytes()))
    assert finish(start(USE, cache, where))["x"] == RIGHT


@pytest.mark.parametrize("files", ["*.nbc", "*.nbi"])
def test_directories_in_place_of_files_are_survived(where, kept, tmp_path, files):
    cache = tmp_path / "cache"
    shutil.copytree(kept, cache)
    for path in list(cache.rglob(files)):
        path.unlink()
        path.mkdir()
    assert finish(start(USE, cache, where))["x"] == RIGHT


HELPER = """
from dqn_lab._numba import inline
from {package}deeper import GAIN

@inline
def step(x):
    return {factor} * x + 1
"""
USES_HELPER = """
from dqn_lab._numba import kernel
from {package}helper import step, GAIN

@kernel
def scaled(x):
    for i in range(len(x)):
        x[i] = GAIN * step(x[i])
"""
USE_SCALED = """
import json
import numpy as np
from dqn_lab._numba import prepare
from {package}uses import scaled
x = np.arange(3.0)
prepare(scaled, x)(x)
print(json.dumps([x.tolist(), sum(scaled.stats.cache_hits.values())]))
"""


@pytest.mark.parametrize("package", ["", "parts"])
def test_a_change_of_a_module_that_a_kernels_module_imports_compiles_it_again(tmp_path, package):
    """The module of the kernel is unchanged; the others hold a function that it calls, and a constant."""
    where = tmp_path / package
    where.mkdir(exist_ok=True)
    inside, outside = ("." if package else ""), (f"{package}." if package else "")
    (where / "uses.py").write_text(USES_HELPER.format(package=inside))
    found = []
    for factor, gain in ((2, 1), (2, 1), (30, 1), (30, 10), (2, 1)):
        (where / "helper.py").write_text(HELPER.format(package=inside, factor=factor))
        (where / "deeper.py").write_text(f"GAIN = {gain:d}\n")
        found.append(finish(start(USE_SCALED.format(package=outside), tmp_path / "cache", tmp_path)))
    values = [[1, 3, 5], [1, 3, 5], [1, 31, 61], [10, 310, 610], [1, 3, 5]]
    assert found == [[numbers, hits] for numbers, hits in zip(values, [0, 1, 0, 0, 1], strict=True)]


WRONG = """
import json
import numba
import small
try:
    small.prepare(small.inner, 1.0)
except numba.TypingError:
    print(json.dumps("raised"))
"""


def test_a_kernel_that_cannot_be_compiled_leaves_the_cache_alone(where, kept, tmp_path):
    """A wrong argument is not damage: its error is raised, and no file is touched."""
    cache = tmp_path / "cache"
    shutil.copytree(kept, cache)
    before = {path: path.read_bytes() for path in cache.rglob("*.nb?")}
    assert finish(start(WRONG, cache, where)) == "raised"
    assert {path: path.read_bytes() for path in cache.rglob("*.nb?")} == before


@pytest.mark.parametrize("files", ["small.inner*.nbc", "small.inner*.nbi"])
def test_only_damaged_files_are_written_again(where, kept, tmp_path, files):
    cache = tmp_path / "cache"
    shutil.copytree(kept, cache)
    (damaged, *_) = cache.rglob(files)
    damaged.write_bytes(b"")
    before = {path: path.read_bytes() for path in cache.rglob("*.nbc") if path.name.startswith("small.outer")}
    assert before
    assert finish(start(USE, cache, where))["x"] == RIGHT
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.slow
def test_two_engines_started_at_once_share_what_they_compile_and_a_third_reads_it(tmp_path):
    cache = tmp_path / "cache"
    one, other = map(finish, [start(ENGINE, cache, tmp_path) for _ in range(2)])
    third = finish(start(ENGINE, cache, tmp_path))
    assert one["losses"] == other["losses"] == third["losses"]
    assert one["q_values"] == other["q_values"] == third["q_values"]
    assert sorted([one["hits"], other["hits"], third["hits"]]) == [0, 2, 2]
    assert not list(cache.rglob("*tmp*"))


def digest(monkeypatch, root, sources):
    """Returns the name of the cache's directory for a copy of the sources."""
    monkeypatch.setattr(_numba, "__file__", str(sources / "_numba.py"))
    monkeypatch.setattr(_numba._config, "CACHE_DIR", str(root))
    return _numba.cache_directory.__wrapped__().name


@pytest.fixture
def sources(tmp_path):
    return Path(shutil.copytree(PACKAGE, tmp_path / "dqn_lab"))


@pytest.mark.parametrize("name", SOURCES)
def test_a_change_of_any_source_changes_the_directory(monkeypatch, tmp_path, sources, name):
    before = digest(monkeypatch, tmp_path, sources)
    assert digest(monkeypatch, tmp_path, sources) == before
    (sources / name).write_text((sources / name).read_text() + "#\n")
    assert digest(monkeypatch, tmp_path, sources) != before


def test_a_change_elsewhere_keeps_the_directory(monkeypatch, tmp_path, sources):
    before = digest(monkeypatch, tmp_path, sources)
    (sources / "engine" / "torch.py").write_text("")
    assert digest(monkeypatch, tmp_path, sources) == before


def test_every_file_that_kernels_are_made_of_counts():
    """Every file with a kernel, and every file of the package that such a file imports, directly or not."""
    imports = {str(path.relative_to(PACKAGE)): set(imported(path)) for path in PACKAGE.rglob("*.py")}
    left = {name for name in imports if KERNEL.search((PACKAGE / name).read_text(encoding="utf-8"))}
    assert left >= {"buffer/_kernels.py", "engine/fused/expected.py", "engine/fused/network.py"}
    while left:
        name = left.pop()
        assert name in SOURCES
        left |= imports[name] - {name}


def imported(path):
    """Yields the package's files that a file imports from."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("dqn_lab"):
            for module in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                name = f"{module.removeprefix('dqn_lab.').replace('.', '/')}.py"
                if (PACKAGE / name).is_file():
                    yield name


def capture(value):
    @_numba.inline
    def kernel(x):
        return value * x

    return kernel.py_func.__qualname__


def test_kernels_that_capture_different_things_have_different_names():
    """The linker treats symbols of equal names as the same code, and another process may have named a cached kernel."""
    names = [capture(2), capture(3), capture(outermost(2)), capture(outermost(3)), capture((outermost(2), 3))]
    assert len(set(names)) == 5
    assert names[2] == capture(outermost(2))
    with pytest.raises(TypeError, match="a kernel captures <object"):
        capture(object())


def outermost(value):
    @_numba.inline
    def kernel(x):
        return x + value

    return kernel


MANY = """
import sys
from dqn_lab.cli import main
for value in sys.argv[1:]:
    words = ["episodes=12", "evaluation.final_num_episodes=2", "logger=csv", "display=none", "train.batch_size=8"]
    try:
        main(["train", *words, f"value={value}", f"hydra.run.dir={len(sys.argv)}/{value}"])
    except SystemExit as exited:
        assert not exited.code, exited.code
"""


@pytest.mark.slow
def test_kernels_of_two_values_from_disk_do_not_call_each_others_functions(tmp_path):
    """Each value's kernels are compiled in a separate process, and read from disk by one that runs all."""
    values = ("expected", "categorical", "quantile", "huber")
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(PACKAGE.parent)}
    for several in (*((value,) for value in values), values):
        subprocess.run([sys.executable, "-c", MANY, *several], cwd=tmp_path, env=environment, check=True, timeout=600)
    for value in values:
        alone, together = (tmp_path / str(number) / value / "episodes.csv" for number in (2, 5))
        assert alone.read_bytes() == together.read_bytes()


def test_disabling_numba_is_refused_unless_nothing_is_compiled(tmp_path):
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(PACKAGE.parent)}
    command = [sys.executable, "-m", "dqn_lab", "train", "steps=70", "episodes=null", "logger=csv"]
    kwargs = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "timeout": 600}
    outcome = subprocess.run(command, check=False, **kwargs)
    assert outcome.returncode == 2
    said = "error: env.id=CartPole-v1: NUMBA_DISABLE_JIT=1: this environment variable must not be set: "
    assert [line[: len(said)] for line in outcome.stderr.splitlines()] == [said]
    subprocess.run([*command, "engine=torch", "rollout=python", "env.implementation=gymnasium"], check=True, **kwargs)
