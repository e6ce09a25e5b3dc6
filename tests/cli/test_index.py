"""The component index: the same as importing the components, even if its cache is damaged."""

import json
import os
import random
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from dqn_lab import _plugins
from dqn_lab.build import validate
from dqn_lab.cli import _directories, _index
from dqn_lab.types import ConfigError
from tests.benchmarks.mistakes import mistakes, problem


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Points the index at an empty cache directory."""
    directory = tmp_path / "cache"
    monkeypatch.setattr("dqn_lab.cli._index.platformdirs.user_cache_path", lambda _: directory)
    _index.read.cache_clear()
    yield directory
    _index.read.cache_clear()


def test_the_index_is_written_once_and_read_again(cache, monkeypatch):
    first = _index.read()
    (path,) = cache.iterdir()
    _index.read.cache_clear()
    monkeypatch.setattr("dqn_lab.cli._describe.describe_all", None)
    assert _index.read() == first
    assert list(cache.iterdir()) == [path]


@pytest.mark.parametrize("damage", [
    lambda path: path.write_bytes(b""), lambda path: path.write_bytes(b"\xff\xfe{"),
    lambda path: path.write_bytes(b"[" * 100_000), lambda path: path.write_text("{}"),
    lambda path: path.write_text(json.dumps({key: {} for key in ("run", "groups", "contracts", "components")})),
    lambda path: path.unlink() or path.mkdir(), lambda path: path.unlink() or path.symlink_to(path),
])  # fmt: skip
def test_a_damaged_index_is_rebuilt(cache, damage):
    first = _index.read()
    (path,) = cache.iterdir()
    damage(path)
    _index.read.cache_clear()
    assert _index.read() == first


def test_no_cache_directory_is_needed(cache):
    cache.write_text("a file in its place")
    assert _index.read().components["target"].keys() == {"none", "periodic", "polyak"}


def test_only_the_newest_indexes_are_kept(cache):
    cache.mkdir()
    (cache / "kernels-1").mkdir()
    for age in range(20):
        (cache / f"components-{age}.json").write_text("{}")
        os.utime(cache / f"components-{age}.json", (1e9 - age, 1e9 - age))
    _index.read()
    left = {path.name for path in cache.iterdir()}
    assert {f"components-{age}.json" for age in range(15)} < left
    assert {f"components-{age}.json" for age in range(15, 20)}.isdisjoint(left)
    assert len(left) == 1 + 15 + 1


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Installs a plugin whose entry point names a submodule, one that is a single module, and a missing one."""
    root = tmp_path / "site"
    (root / "own_parts" / "conf").mkdir(parents=True)
    (root / "own_parts" / "__init__.py").write_text("raise SystemExit('imported')\n")
    (root / "own_parts" / "parts.py").touch()
    (root / "own_single.py").touch()
    values = ("own_parts.parts", "own_parts.others:load", "own_single", "own_missing.parts", "sys")
    found = [EntryPoint(name=value, value=value, group="dqn_lab.plugins") for value in values]
    monkeypatch.setattr(_plugins, "plugins", lambda: found)
    monkeypatch.syspath_prepend(root)
    _plugins.plugin_places.cache_clear()
    yield root
    _plugins.plugin_places.cache_clear()


def test_a_plugins_options_are_found_beside_its_package(site):
    """Without importing the package."""
    assert _directories.directories()[1:] == [site / "own_parts" / "conf"]
    assert "own_parts" not in sys.modules


@pytest.mark.parametrize("name", ["own_parts/__init__.py", "own_parts/parts.py", "own_single.py"])
def test_a_plugins_change_makes_the_index_anew(site, name):
    before = _index._digest()
    assert before == _index._digest()
    (site / name).write_text("value = 1\n")
    assert before != _index._digest()


@pytest.mark.parametrize(("group", "values"), [
    ("target", {"interval": 0, "unit": "step"}), ("optimizer", {"lr": {"start": 1}, "betas": [0.9], "eps": -1}),
    ("optimizer", {"lr": {"start": 1.0, "end": 0.0, "duration": 3, "unit": "steps", "units": 1}}),
    ("network", {"hidden": [1, 0], "activation": "rel", "noisy": 3}), ("network", {"name": "mpl"}),
    ("env", {"kwargs": 3, "return_bounds": [1]}), ("buffer", {"capacity": "many", "made_up": 1}),
])  # fmt: skip
def test_mistakes_are_reported_the_same_without_importing_components(configure, group, values):
    config = configure()
    config[group] |= values
    with pytest.raises(ConfigError) as imported:
        validate(config)
    with pytest.raises(ConfigError) as known:
        _index.validate(config)
    assert imported.value.problems == known.value.problems


def test_a_mistake_is_reported_before_torch_is_imported(tmp_path):
    code = (
        "import sys; from dqn_lab.cli import main\ntry: main(['train', 'netwrok=1', 'target.interval=0'])\n"
        "except SystemExit as exit_: assert exit_.code == 2\n"
        "assert not {'torch', 'gymnasium', 'numpy', 'pandas', 'numba'} & set(sys.modules)"
    )
    _index.read()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize(("kind", "words"), mistakes(40, seed=random.Random("mistakes").randrange(1_000)))
def test_generated_mistakes_are_reported_in_one_line(cli, kind, words):
    """A short form of `tests/benchmarks/mistakes.py`."""
    assert problem(words) is None, (kind, words)
