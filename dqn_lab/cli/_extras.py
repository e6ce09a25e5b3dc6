"""Optional dependencies that some options need."""

from __future__ import annotations

from importlib.util import find_spec

EXTRAS = {  # override: the extra that it needs, and the plugin in that extra
    **dict.fromkeys(("hydra/launcher=submitit_local", "hydra/launcher=submitit_slurm", "hydra/launcher=slurm"),
                    ("submitit", "hydra_submitit_launcher")),
    **dict.fromkeys(("hydra/launcher=ray", "hydra/launcher=ray_local"), ("ray", "hydra_ray_launcher")),
    "hydra/sweeper=optuna": ("optuna", "hydra_optuna_sweeper"),
}  # fmt: skip


def missing_extra(override: str) -> str | None:
    """Returns an error message if an override needs an extra that is not installed."""
    extra, plugin = EXTRAS.get(override.lstrip("+"), ("", ""))
    if not extra or find_spec(f"hydra_plugins.{plugin}") is not None:
        return None
    return f'{override}: needs an extra: pip install "dqn-lab[{extra}]"'
