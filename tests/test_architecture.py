"""The architecture: which files may import which."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "dqn_lab"
GROUPS = ("network", "value", "bootstrap", "buffer", "optimizer", "target", "exploration", "env", "logger")  # floor 1
UPPER_GROUPS = ("engine", "rollout", "diagnostics")
FLOORS = {
    **dict.fromkeys(("_damage", "_function", "_inline", "_memory", "_nearest", "_numba", "_outside", "_paths"), 0),
    "_atomic": 0, "_compiling": 0, "_constructors": 0, "_global_draws": 0, "_stack": 0,
    **dict.fromkeys(("_batches", "_networks", "_passed_on", "_reseeding", "_results"), 5),
    **dict.fromkeys(("errors", "hooks", "records", "registry", "schedule", "seeding", "tasks", "types"), 0),
    **dict.fromkeys(("_plugins", "_validation", "interrupt", "locks", "statefile"), 0),
    **dict.fromkeys(GROUPS, 1), "analysis": 1,
    "engine": 2, "diagnostics": 3, "agent": 3, "rollout": 3, "train": 4, "evaluate": 4, "checkpoint": 4,
    "film": 4, "video": 4, "insight": 4, "settings": 4, "build": 5, "explain": 5, "logs": 5, "scoring": 5, "trial": 5,
    "run": 5, "cli": 6,
    **dict.fromkeys(("__init__", "__main__", "_arguments", "api", "handle", "questions"), 7),
}  # fmt: skip
OWNERS = {
    "hydra": ("cli",),
    "omegaconf": ("cli",),
    "wandb": ("logger/wandb.py",),
    "rich": ("cli",),
    **dict.fromkeys(("pyarrow", "scipy"), ("analysis",)),
}
FILES = sorted(PACKAGE.rglob("*.py"))


def part(path: Path) -> str:
    """Returns the name of the module or folder of the package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Returns the modules that a file imports anywhere, and what it imports from dqn_lab itself."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"dqn_lab.{alias.name}" for alias in node.names} if node.module == "dqn_lab" else {node.module}
    return found - {"dqn_lab.__version__"}


def module_name(path: Path) -> str:
    """Returns the name by which a file of the package is imported."""
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def detailed_imports(path: Path) -> set[str]:
    """Returns what a file imports anywhere, each name that it takes from a module included: `dqn_lab.cli.fail`."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    whole = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names = {
        f"{node.module}.{alias.name}" for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    return (whole | names) - {"dqn_lab.__version__"}


def known(imported: str) -> str | None:
    """Returns the module of the package that an import names, itself or one of its names; None if it is another's."""
    modules = set(map(module_name, FILES))
    return next((each for each in (imported, imported.rpartition(".")[0]) if each in modules), None)


def name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_file_imports_only_from_lower_floors(path):
    """On floors 0, 3, 4, 5 and 7 all files may import each other; on the others only a folder's own."""
    here = part(path)
    for module in imports(path):
        if module.startswith("dqn_lab."):
            there = module.split(".")[1]
            assert there in FLOORS, f"{there} has no floor"
            same = FLOORS[there] == FLOORS[here] and (there == here or FLOORS[here] in (0, 3, 4, 5, 7))
            assert FLOORS[there] < FLOORS[here] or same, f"{name(path)} imports {module}"


def test_no_file_imports_itself_through_others():
    """Not even inside a function or for types: the graph of all imports has an order."""
    left = {module_name(path): {module for each in detailed_imports(path) if (module := known(each))} for path in FILES}
    while free := [file for file, needs in left.items() if not needs & left.keys() - {file}]:
        for file in free:
            del left[file]
    assert not left, "these import each other, or a file that does"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_some_packages_are_imported_in_one_place_only(path):
    for module in imports(path):
        places = OWNERS.get(module.split(".")[0])
        assert places is None or name(path).startswith(places), f"{name(path)} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_pickle_no_eval(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not calls & {"eval", "exec", "compile", "__import__"}
    assert not imports(path) & {"pickle", "cloudpickle", "dill", "shelve", "marshal"}


def test_analysis_knows_nothing_of_torch():
    for path in (PACKAGE / "analysis").rglob("*.py"):
        assert not {module.split(".")[0] for module in imports(path)} & {"torch", "hydra", "gymnasium"}, name(path)


def test_every_group_has_a_folder_in_conf_package_and_tests():
    root = PACKAGE.parent
    for group in (*GROUPS, *UPPER_GROUPS):
        assert list((root / "conf" / group).glob("*.yaml")), group
        assert (PACKAGE / group / "__init__.py").is_file(), group
        assert list((root / "tests" / group).glob("test_*.py")), group


def test_the_training_loop_fits_on_one_screen():
    tree = ast.parse((PACKAGE / "train.py").read_text(encoding="utf-8"))
    (loop,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "train")
    assert loop.end_lineno - loop.lineno + 1 <= 45


@pytest.mark.parametrize("path", FILES, ids=name)
def test_files_and_functions_stay_short(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno + 1 <= 50, f"{name(path)}: {node.name}"
