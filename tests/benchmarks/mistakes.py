"""Tries command lines with mistakes, generated from the schemas of all components: each may print lines and do no more.

    python tests/benchmarks/mistakes.py [COUNT [SEED]]

Prints how many of COUNT (default: 300) were tried of each kind, and each failure with its reason.
"""

import contextlib
import io
import os
import random
import string
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dqn_lab._paths import GROUPS
from dqn_lab.cli import _index, _options, main

NOISE = ("[", "{", "(", "'", '"', ",", "=", "\\", "\0", "\n", "$", "${", "}", "]", ")", ":", "@", "é", "\x1b[31m")
WRONG = {
    "integer": ("ten", "1.5", "true", "[1]", "{a:1}", "null", "1e400", "nan"),
    "number": ("ten", "[1]", "{a:1}", "null", "nan", "inf"),
    "boolean": ("maybe", "3", "[true]", "null"),
    "array": ("5", "ten", "{a:1}", "[[]]", "[nan]"),
    "string": ("3", "[a]", "{a:1}"),
    "object": ("3", "[1]", "text"),
}


def mistakes(count: int, seed: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yields the kind of a mistake, and the words of a command that contains it."""
    rng = random.Random(seed)
    fields = list(_fields())
    kinds = {"key": _mistyped_key, "value": _wrong_value, "option": _mistyped_option, "syntax": _noise}
    for _ in range(count):
        kind = rng.choice(list(kinds))
        yield kind, ("train", *kinds[kind](rng, fields))


def _fields() -> Iterator[tuple[tuple[str, ...], str, dict[str, Any]]]:
    """Lists every key, with its JSON schema and the words that select the option it belongs to."""
    run = _index.read().run
    for key, schema in run["properties"].items():
        if "$ref" not in schema:
            yield (), key, schema
    for group in GROUPS:
        for option in _options.options(group):
            if group in ("env", "logger", "engine", "rollout") or ":" in option:
                continue
            for key in _options.keys(group, option):
                for component in _index.read().components[group].values():
                    schema = (component.fields or {}).get("properties", {}).get(key)
                    if schema is not None and "$ref" not in str(schema):
                        yield (f"{group}={option}",), f"{group}.{key}", schema
                        break


def _mistype(rng: random.Random, word: str) -> str:
    place = rng.randrange(len(word))
    return word[:place] + rng.choice(string.ascii_lowercase) * rng.choice((1, 2)) + word[place + rng.choice((0, 1)) :]


def _mistyped_key(rng: random.Random, fields: list[Any]) -> tuple[str, ...]:
    known = {key for _, key, _ in fields} | set(GROUPS) | {"experiment"}
    words, key, _ = rng.choice(fields)
    while (wrong := _mistype(rng, key)) in known:
        continue
    return (*words, f"{wrong}={rng.choice(('1', 'abc', '[1,2]'))}")


def _wrong_value(rng: random.Random, fields: list[Any]) -> tuple[str, ...]:
    words, key, schema = rng.choice(fields)
    parts = schema.get("anyOf", [schema])
    allowed = {part.get("type") for part in parts} | ({"number"} if {"type": "integer"} in parts else set())
    choices = [value for value in WRONG.get(parts[0].get("type", ""), ("[1]",))
               if value != "null" or "null" not in allowed]  # fmt: skip
    if "enum" in parts[0]:
        choices = [_mistype(rng, parts[0]["enum"][0]) + "x"]
    for bound, step in (("minimum", -1), ("exclusiveMinimum", 0), ("maximum", 1), ("exclusiveMaximum", 0)):
        if bound in parts[0]:
            choices.append(f"{parts[0][bound] + step}")
    if "string" in allowed:
        choices = ["[a]", "{a:1}"]
    if {"object"} & allowed:
        choices = ["3", "[1]"]
    return (*words, f"{key}={rng.choice(choices)}")


def _mistyped_option(rng: random.Random, fields: list[Any]) -> tuple[str, ...]:
    group = rng.choice((*GROUPS, "experiment"))
    known = _options.options(group)
    while (wrong := _mistype(rng, rng.choice(list(known)))) in known or wrong == "null":
        continue
    return (f"{group}={wrong}",)


def _noise(rng: random.Random, fields: list[Any]) -> tuple[str, ...]:
    _, key, _ = rng.choice(fields)
    noise = "".join(rng.choice(NOISE) for _ in range(rng.randint(1, 3)))
    return (rng.choice((f"{noise}{key}", f"{key}{noise}=1", f"{key} {noise}", key, f"{key}.{noise}=3", f"-{key}=1")),)


def problem(words: tuple[str, ...]) -> str | None:
    """Runs a command in the current directory; returns what is wrong with its answer, or None."""
    out, err = io.StringIO(), io.StringIO()
    before = sorted(Path().rglob("*"))
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(list(words))
    except SystemExit as exit_:
        if exit_.code != 2:
            return f"exit code {exit_.code}: {err.getvalue()[-300:]}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    lines = err.getvalue().splitlines()
    if not lines or not all(line.startswith(("error: ", "warning: ")) for line in lines) or len(lines) > 3:
        return f"printed {err.getvalue()[:300]!r}"
    if out.getvalue():
        return f"printed to stdout: {out.getvalue()[:100]!r}"
    return "wrote files" if sorted(Path().rglob("*")) != before else None


def run() -> None:
    """Prints the table."""
    count, seed = ([*map(int, sys.argv[1:]), *(300, 0)[len(sys.argv) - 1 :]])[:2]
    tried, failed = Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as empty:
        os.chdir(empty)
        for kind, words in mistakes(count, seed):
            tried[kind] += 1
            if what := problem(words):
                failed[kind] += 1
                print(f"FAILED {words}: {what}", flush=True)
        os.chdir("/")
    print("| kind of mistake | tried | failed |\n|---|---|---|")
    for kind in sorted(tried):
        print(f"| {kind} | {tried[kind]} | {failed[kind]} |")


if __name__ == "__main__":
    run()
