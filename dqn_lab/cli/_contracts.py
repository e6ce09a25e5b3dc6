"""What a custom component needs: its group's constructor and members, and the types in their signatures."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

from dqn_lab import registry, schedule, types

PROTOCOLS: dict[str, type] = {
    "value": types.Value, "bootstrap": types.Bootstrap, "buffer": types.Buffer, "optimizer": types.Optimizer,
    "target": types.Target, "exploration": types.Exploration, "rollout": types.Rollout, "engine": types.Engine,
    "diagnostics": types.Diagnostics, "logger": types.Logger,
}  # fmt: skip
OTHERS = {  # groups without a protocol in `types.py`
    "env": ["make(render_mode: str | None = None) -> gymnasium.Env"],
    "network": ["is a torch.nn.Module", "forward(obs: Tensor) -> Tensor  # [B, *O] to [B, A, K]"],
}
# these need a saved state only if they change during a run
STATELESS = ("value", "bootstrap", "optimizer", "target", "exploration")
LETTERS = {"B": "batch", "A": "actions", "K": "outputs per action", "O": "an observation's shape"}
DATA: dict[str, type] = {  # the types whose values components create or read
    **{owner.__name__: owner for owner in (types.Batch, types.QValues, schedule.Progress)},
    **{name: owner for name, owner in vars(types).items() if isinstance(owner, type) and hasattr(owner, "_fields")},
}


def contract(group: str) -> Iterator[str]:
    """Lists the constructor and the members that a group's components need, and the types in their signatures."""
    lines = list(_members(group))
    named = list(_types(lines))
    lines += ["types:", *named] if named else []
    yield from lines
    shapes = " ".join(re.findall(r"\[[^\[\]]*\]", " ".join(lines)))
    used = [f"{letter} {meaning}" for letter, meaning in LETTERS.items() if re.search(rf"\b{letter}\b", shapes)]
    if used:
        yield f"({', '.join(used)})"


def _members(group: str) -> Iterator[str]:
    longest = max((_supplied(registry.lookup(group, name)) for name in registry.names(group)), key=len)
    yield f"__init__({', '.join([*longest, '*', 'PARAMETER: TYPE = DEFAULT', '…'])})"
    yield from OTHERS.get(group, [])
    for owner in reversed(PROTOCOLS[group].__mro__ if group in PROTOCOLS else ()):
        if owner.__module__ == types.__name__:
            yield from _described(owner)
    if group in STATELESS:
        yield from (f"optional: {line}" for line in _described(types.Stateful))


def _supplied(component: type) -> list[str]:
    """Lists the arguments that the run supplies to a component's constructor."""
    parameters = inspect.signature(component).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]


def _described(owner: type) -> Iterator[str]:
    """Yields a line for each member of a class: its signature, and its comment or docstring."""
    source = textwrap.dedent(inspect.getsource(owner))
    body = ast.parse(source).body[0]
    assert isinstance(body, ast.ClassDef)
    for node in body.body:
        comment = source.splitlines()[(node.end_lineno or 1) - 1].partition("  # ")[2]
        if isinstance(node, ast.AnnAssign):
            yield _commented(f"{ast.unparse(node.target)}: {ast.unparse(node.annotation)}", comment)
        elif isinstance(node, ast.FunctionDef) and (node.name == "__call__" or not node.name.startswith("_")):
            about = comment or " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
            returns = "" if node.returns is None else ast.unparse(node.returns)
            if node.decorator_list:  # a property
                yield _commented(f"{node.name}: {returns}", about)
            else:
                arguments = ast.unparse(node.args).removeprefix("self").removeprefix(", ").replace("=", " = ")
                yield _commented(f"{node.name}({arguments}) -> {returns}", about)


def _commented(text: str, comment: str) -> str:
    return f"{text}  # {comment}" if comment else text


def _types(lines: list[str]) -> Iterator[str]:
    """Yields a description of each package type that the lines mention, and of the types mentioned in turn."""
    aliases = dict(re.findall(r"^([A-Z]\w+) = (.+)$", inspect.getsource(types), re.MULTILINE))
    waiting, seen = list(lines), set[str]()
    while waiting:
        for name in re.findall(r"\b[A-Z]\w+", waiting.pop(0).partition("  # ")[0]):
            if name in seen or name not in {*aliases, *DATA}:
                continue
            seen.add(name)
            found = [f"{name} = {aliases[name]}"] if name in aliases else list(_type(name, DATA[name]))
            waiting += found
            yield from found


def _type(name: str, owner: Any) -> Iterator[str]:
    yield f"{name}: {' '.join((inspect.getdoc(owner) or '').partition(f'{chr(10)}{chr(10)}')[0].split())}"
    arguments = re.findall(r"^    (\w+): (.+)", inspect.getdoc(owner) or "", re.MULTILINE)
    yield from (f"  {argument}: {about}" for argument, about in arguments)
    yield from (f"  {line}" for line in _described(owner))
