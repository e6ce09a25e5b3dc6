"""Explains mistakes in overrides in one line each: the key, the value, the choices, and what was probably meant."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from dqn_lab._nearest import did_you_mean, nearest
from dqn_lab._paths import GROUPS
from dqn_lab.cli import _overrides
from dqn_lab.cli._about import CONFIG_DIR
from dqn_lab.cli._directories import misplaced
from dqn_lab.cli._extras import missing_extra
from dqn_lab.cli._options import choices, keys, options, run_keys, takes_a_list
from dqn_lab.cli._translations import GYMNASIUMS, HINTS, OPTIONS, is_an_override, written
from dqn_lab.cli._unknown_keys import exists, explain_key, explain_part, in_a_yaml
from dqn_lab.errors import ConfigError
from dqn_lab.records import override_key

PAIRS = {"[": "]", "{": "}", "(": ")"}


def unreadable(overrides: list[str]) -> tuple[list[str], list[str]]:
    """Finds the overrides that cannot be read.

    Returns:
        a line for each unreadable override, and the other overrides.
    """
    problems: list[str] = []
    readable: list[str] = []
    for text in overrides:
        problem = _unreadable(text)
        (readable if problem is None else problems).append(text if problem is None else problem)
    return problems, readable


def misspelt(overrides: list[str], composed: Callable[[list[str]], DictConfig]) -> tuple[list[str], list[str]]:
    """Finds the overrides whose keys do not exist, without composing each of them to see whether Hydra refuses it.

    Args:
        overrides: readable overrides.
        composed: composes overrides.

    Returns:
        a line for each misspelt override, and the other overrides.
    """
    typed = {key: value for key, equals, value in (text.partition("=") for text in overrides) if equals}
    chosen, own = choices(typed), {*run_keys(), *GROUPS, "hydra", "experiment"}

    def is_unlikely(override: str) -> bool:
        first, *others = override.partition("=")[0].split(".")
        if not re.fullmatch(r"\w+", first) or options(first):
            known = [keys(first, option) for option in chosen.get(first, ())]
            return len(others) == 1 and all(known) and bool(known) and not any(others[0] in each for each in known)
        return first not in own

    suspects = [text for text in overrides if is_unlikely(text)]
    others = [text for text in overrides if text not in suspects]
    config = composed(others) if suspects else None
    found = {text: config and not exists(override_key(text), config) and explain_key(override_key(text), text, config)
             for text in suspects}  # fmt: skip
    lines = [f"{text}: {line}" for text, line in found.items() if line]
    return lines, [text for text in overrides if not found.get(text)]


def together(overrides: list[str]) -> list[str]:
    """Joins words that the shell has split at spaces in a list or around an equals sign."""
    found: list[str] = []
    for text in overrides:
        if found and (_is_open(found[-1]) or text == "=" or found[-1].endswith(" =")):
            found[-1] += f" {text}"
        else:
            found.append(text)
    return found


def _is_open(text: str) -> bool:
    return "=" in text and any(text.count(one) > text.count(other) for one, other in PAIRS.items())


def _unreadable(text: str) -> str | None:
    """Returns why a text is not an override with one value, or None if it is one."""
    key, equals, value = (part.strip() for part in text.partition("="))
    if not text.isprintable():
        return f"{text}: has a character that cannot be printed"
    try:
        override = OverridesParser.create().parse_override(_overrides.unquoted(text) if key == "seed" else text)
    except (HydraException, ValueError, RecursionError) as error:
        return f"{text}: {_syntax(text, key, equals, value, str(error))}"
    if key == "seed" and (override.is_sweep_override() or isinstance(override.value(), list)):
        return f"{text}: a run has one seed; several need `train -m seed=0,1,2`"
    if override.is_sweep_override():
        as_list = f"; a list is written {key}=[{value}]" if takes_a_list(key) else ""
        decimal = f"; a decimal has a point: {value.replace(',', '.')}" if re.fullmatch(r"\d+,\d+", value) else ""
        return f"{text}: several values need `train -m`{as_list}{decimal}"
    if not key.strip("+~"):
        return f"{text}: has no key; write KEY=VALUE, as in seed=3"
    return None


def _syntax(text: str, key: str, equals: str, value: str, message: str) -> str:
    plain_key = re.fullmatch(r"[\w./@+]+", key) is not None
    if not equals and (meant := suggest_elsewhere(key)):
        return f"is not KEY=VALUE; {meant}"
    if plain_key and not equals:
        return f"has no value; write {key}=VALUE"
    if equals and plain_key and (text != f"{key}={value}"):
        return f"write it without spaces: {key}={value}"
    if key.startswith("-"):
        name, _, rest = f"{key.lstrip('-')}{equals}{value}".replace("=", " ", 1).partition(" ")
        ours = written(name.replace("-", "_"), rest)
        return f"a key is set without dashes: {ours}" if is_an_override(name) else ours
    if _is_open(text):
        return "a bracket is not closed; a list is written key=[1,2], without spaces"
    if unknown := re.search(r"Unknown function '(\w+)'", message):
        return f"no such function {unknown[1]}; put quotes around text: \"{key}='{value}'\""
    if "[" in key and equals:
        return f"an item of a list cannot be set alone; set the whole list: {key.partition('[')[0]}=[…]"
    if not equals:
        return "is not KEY=VALUE, as in seed=3 or network=mlp64"
    if re.search(r",\s*[\]})]", value):
        return f"has an extra comma: {key}={re.sub(r',(?=[])}])', '', value.replace(' ', ''))}"
    if not plain_key:
        return "is not KEY=VALUE; a key is made of letters, digits, dots and underscores"
    if re.search(r"\s[\w./+]+=", value):
        return "contains several overrides; pass each as its own argument"
    if " " in value and " " not in value.strip("[]{}'\""):
        return f"write it without spaces: {key}={value.replace(' ', '')}"
    return f"its value cannot be read; put quotes around text with special characters: \"{key}='…'\""


def explain(error: Exception, culprit: str | None, composed: Callable[[], DictConfig]) -> str:
    """Explains in one line what is wrong with an override.

    Args:
        error: what Hydra raised.
        culprit: the override; None if no single override is to blame.
        composed: composes the other overrides.
    """
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, ConfigError) or culprit is None:
        return text if isinstance(error, (ConfigError, HydraException)) else f"{_kind(error)}: {text}"
    key, value = override_key(culprit), culprit.partition("=")[2]
    if isinstance(error, MissingConfigException):
        return missing_extra(culprit) or _no_option(error, key, value.strip(_overrides.QUOTES))
    if key in GROUPS and (problem := explain_part(key, culprit, composed())):
        return f"{culprit}: {problem}"
    if isinstance(error, OSError):
        return f"{culprit}: {error.strerror}"
    if isinstance(error, ValueError) or f"Could not override '{key}'. To append" in text:
        choices = list(options(key))
        if choices and "/" not in key:
            return f"{culprit}: must be one of the group's options; {nearest(value, choices)}{_no_logger(key, value)}"
    if "Could not" in text or "not in struct" in text:
        return f"{culprit}: {explain_key(key, culprit, composed()) or text}"
    if text.startswith("Error merging override"):
        return f"{culprit}: cannot be set to this value"
    if key in GROUPS:
        return f"{culprit}: must be one of the group's options; {nearest('', options(key))}{_no_logger(key, value)}"
    return f"{culprit}: {text if isinstance(error, HydraException) else f'cannot be read ({_kind(error)})'}"


def of_another_component(problems: Sequence[str], overrides: list[str]) -> list[str]:
    """Explains a component typed as `name` in one line: it is an option, or has other keys than the chosen one."""
    typed = [override_key(text) for text in overrides]
    found = list(dict.fromkeys(problems))
    for text in overrides:
        group, name = _component_named_by(text)
        if not name:
            continue
        is_option = name in options(group)
        unknown = [line for line in found if line.startswith(f"{group}.name={name}: no such component; ")]
        others = [line for line in found if line.startswith(f"{group}.") and ": no such key; " in line
                  and line.partition("=")[0] not in typed]  # fmt: skip
        if unknown and is_option:
            line = f"{text}: an option, not a component; write {group}={name}"
            found = [each for each in found if each not in unknown] + [line]
        elif others:
            how = f"write {group}={name}" if is_option else in_a_yaml(group)
            line = f"{text}: has other keys than the chosen option; {how}"
            found = [each for each in found if each not in others] + [line]
    return found


def _component_named_by(text: str) -> tuple[str, str]:
    """Returns the group and the component's name in `group.name=NAME` or `group={name: NAME}`; else two empty texts."""
    group, _, key = override_key(text).partition(".")
    value = OverridesParser.create().parse_override(text).value() if group in GROUPS and key in ("", "name") else ""
    name = value.get("name") if isinstance(value, dict) else value if key else ""
    return (group, str(name)) if name else ("", "")


def interpolation(error: Exception) -> str:
    """Explains in one line which value could not be resolved."""
    text = " ".join(str(error).split())
    key = str(error.full_key or "") if isinstance(error, OmegaConfBaseException) else ""
    text = text.partition(" full_key:")[0]
    if missing := re.fullmatch(r"Interpolation key '(.+)' not found", text):
        text = f"${{{missing[1]}}}: no such key"
    elif text.startswith("Missing mandatory value"):
        text = "must be given"
    return f"{key}: {text}" if key else text


def _kind(error: Exception) -> str:
    return "nested too deeply, or circular" if isinstance(error, RecursionError) else type(error).__name__


def _no_option(error: MissingConfigException, key: str, value: str) -> str:
    missing = str(error.missing_cfg_file)
    group, _, name = missing.removeprefix("/").partition("/")
    if missing.startswith(f"{key}/"):
        group, name = key, missing.removeprefix(f"{key}/")
    if there := misplaced(group, name):
        return f"{key}={value}: no such option; {there}"
    choices = sorted({*options(group), *(error.options or ())}, key=lambda option: ("/" in option, option))
    what = f"{group}={name}" if value.startswith("[") or (group, name) != (key, value) else f"{key}={value}"
    where = "" if what == f"{key}={value}" else f"{key}={value}: "
    folder = f"{name.rpartition('/')[0]}/"
    if beside := [each.removeprefix(folder) for each in choices if each.startswith(folder)]:
        near = did_you_mean(name.removeprefix(folder), beside).replace("mean ", f"mean {folder}")
        return f"{where}{what}: no such option; {near}{nearest('', [f'{folder}{each}' for each in beside])}"
    custom = f"; {in_a_yaml(group)}" if ":" in name else ""
    empty = _no_logger(group, name)
    meant = OPTIONS.get(group, {}).get(name.lower(), name)
    turned = "/".join(reversed(name.split("/")))
    meant = turned if turned in choices else meant
    meant = next((each for each in choices if name.lower() in (each.lower(), each.rpartition("/")[2])), meant)
    near = did_you_mean(meant, choices)
    elsewhere = "" if near else suggest_elsewhere(name, group)
    elsewhere = elsewhere and f"{elsewhere} "
    unknown = not (near or elsewhere or custom or empty or CONFIG_DIR in os.environ)
    mine = "; if it is your own option, add --config-dir DIR" if unknown else ""
    return f"{where}{what}: no such option; {elsewhere}{nearest(meant, choices)}{custom}{empty}{mine}"


def _no_logger(group: str, value: str) -> str:
    is_meant = group == "logger" and value.lower() in ("none", "null", "off", "false")
    return "; for no logger, write logger=[]" if is_meant else ""


def suggest_elsewhere(name: str, group: str = "") -> str:
    """Suggests where a word belongs: as a Gymnasium id, as another group's option, or as a boolean key.

    Args:
        name: the word, typed alone or as a group's option.
        group: that group, if any.
    """
    if group in ("", "env") and GYMNASIUMS.fullmatch(name):
        return f"did you mean env.id={name}?"
    if not group and name.lower() in HINTS:
        return HINTS[name.lower()].format(value="…")
    found = [f"{each}={name}" for each in ("experiment", *GROUPS) if each != group and name in options(each)]
    found += [f"{each}={names[name.lower()]}" for each, names in OPTIONS.items() if not group and name.lower() in names]
    found += [f"{group}.{name}=true" for option in options(group) if keys(group, option).get(name) is False][:1]
    return f"did you mean {' or '.join(found)}?" if found and name != "none" else ""
