"""Shell completion: commands here, everything behind `train` by Hydra."""

from __future__ import annotations

import os

from dqn_lab.cli import COMMANDS


def main(arguments: list[str]) -> int:
    """Installs completion, or answers a shell's query, which stands in COMP_LINE."""
    from dqn_lab.cli import train

    words = os.environ.get("COMP_LINE", "").split(" ")
    if any(word.startswith("query=") for word in arguments):
        if len(words) <= 2:
            print(" ".join(COMMANDS))
            return 0
        if words[1] == "components":
            from dqn_lab.registry import GROUPS

            print(" ".join(GROUPS))
            return 0
        if words[1] != "train":
            return 0
        os.environ["COMP_LINE"] = " ".join([words[0], *words[2:]])
    return train.main(arguments)
