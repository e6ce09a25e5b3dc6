"""Other libraries' names, and their equivalents here."""

from __future__ import annotations

import re

from dqn_lab._paths import GROUPS
from dqn_lab.cli._options import choices, keys, run_keys

SYNONYMS = {  # another library's name: our names, of which the first in the composition wins
    "learning_rate": ("lr",), "alpha": ("lr",), "gamma": ("discount",), "buffer_size": ("capacity",),
    "memory_size": ("capacity",), "replay_size": ("capacity",), "epsilon": ("epsilon", "start", "end"),
    "eps": ("epsilon", "start", "end"), "n_steps": ("n_step",), "num_episodes": ("episodes",),
    "total_timesteps": ("steps",), "num_steps": ("steps",), "train_freq": ("train.interval",),
    "train_frequency": ("train.interval",), "gradient_steps": ("num_updates",), "hidden_size": ("hidden",),
    "net_arch": ("hidden",), "env_id": ("env.id",), "model": ("network",), "algo": ("experiment",),
    "recipe": ("experiment",), "agent": ("experiment",), "algorithm": ("experiment",), "policy": ("network",),
    "size": ("capacity",), "hidden_sizes": ("hidden",), "layers": ("hidden",), "max_steps": ("steps",),
    "eval_freq": ("evaluation.interval",), "n_eval_episodes": ("evaluation.num_episodes",),
    "start_e": ("start",), "end_e": ("end",), "exploration_initial_eps": ("start",), "exploration_final_eps": ("end",),
    "epsilon_start": ("start",), "epsilon_end": ("end",), "epsilon_min": ("end",), "eps_start": ("start",),
    "eps_end": ("end",), "epsilon_decay": ("decay",), "eps_decay": ("decay",), "loss": ("value",),
    "activation_fn": ("activation",),
}  # fmt: skip
_LINEAR = (
    "ε falls over a number of steps: exploration=linear exploration.unit=steps exploration.duration=… "
    "(the fraction × the run's steps)"
)
_COPY = "write target.interval={value} target.unit=steps"
_ONE = "a run has one environment; several runs are `train -m seed=0,1,2`"
HINTS = {  # names of things that are set differently here: what to write
    "exploration_fraction": _LINEAR, "target_update_interval": _COPY, "target_network_frequency": _COPY,
    "target_update_freq": _COPY, "num_envs": _ONE, "n_envs": _ONE, "double_q": "write bootstrap=double",
    "double_dqn": "write bootstrap=double",
    "seeds": "a run has one seed, as in seed=3; several runs are `train -m seed=0,1,2`",
    "control": "the first variant is the control, unless a question's file names another",
    "epsilon": "ε goes from exploration.start to exploration.end; a constant one is exploration=constant "
               "exploration.epsilon={value}", "prioritized_replay": "write buffer=prioritized",
    "policy_kwargs": "the network has keys of its own, as in network.hidden=[64,64] network.activation=tanh",
    "tensorboard_log": "write logger=[csv,tensorboard]", "progress_bar": "write display=bar",
    "log_interval": "every episode is logged; evaluation.interval says how often the policy is evaluated",
    **dict.fromkeys(("out", "directory", "log_dir", "save_path"), "write hydra.run.dir={value}"),
    "callback": "there are no callbacks; logger, evaluation.… and checkpoint.… say what is recorded",
    "stats_window_size": "the score last_100 is the mean over the last 100 training episodes",
    "target_tau": "write target=polyak target.tau={value}",
    "replay_buffer_class": "write buffer=uniform, or buffer=prioritized",
    "optimize_memory_usage": "buffer.capacity says how much memory replay takes",
    **dict.fromkeys(("replay_ratio", "train.replay_ratio", "utd_ratio", "updates_per_step"),
                    "updates per environment step: train.interval=1 train.num_updates={value}"),
    "per": "write buffer=prioritized", "verbose": "write display=lines, or display=none",
    **dict.fromkeys(("config_dir", "configdir", "config_path"), "write --config-dir {value}"),
    "hydra.launcher.n_jobs": "several jobs at once: hydra/launcher=joblib hydra.launcher.n_jobs={value}",
}  # fmt: skip
OF_A_QUESTION = {  # what is typed after a sweep's name though it is none of the run's keys: what to write
    "seeds": "write seed='{value}'", "n_jobs": "write hydra.launcher.n_jobs={value}",
    "metric": "a question's file names its metric; `report DIR --metric {value}` shows another",
    "control": "a question's file names its control; `report DIR --control {value}` takes another",
    **dict.fromkeys(("variants", "grid", "base"), "belongs in a question's file: `sweep FILE.yaml`"),
}  # fmt: skip
OPTIONS = {  # other names of options, in lower case
    "experiment": {"ddqn": "double_dqn", "double": "double_dqn", "per": "prioritized", "qrdqn": "qr_dqn"},
    "network": {"cnn": "nature_cnn", "conv": "nature_cnn", "cnnpolicy": "nature_cnn", "mlppolicy": "mlp64",
                "mlp": "mlp64"},
    "value": {"mse": "expected", "squared": "expected", "mean": "expected", "c51": "categorical", "qr": "quantile",
              "qr_dqn": "quantile", "iqn": "implicit_quantile", "smooth_l1": "huber"},
    "target": {"soft": "polyak", "hard": "periodic"}, "logger": {"tb": "tensorboard", "wb": "wandb"},
    "bootstrap": {"double_q": "double", "ddqn": "double"},
    "buffer": {"replay": "uniform", "per": "prioritized"},
    "exploration": {"epsilon_greedy": "linear", "eps_greedy": "linear", "e_greedy": "linear", "egreedy": "linear",
                    "softmax": "boltzmann", "greedy": "none"},
}  # fmt: skip


def of_a_question(name: str, value: str) -> str:
    """Says how to write a word of `OF_A_QUESTION`, typed after a sweep's name."""
    if name == "seeds" and value.isdigit():
        return f"write seed='range({value})' for {value} seeds, or seed={value} for this one seed"
    return OF_A_QUESTION[name].format(value=value.strip("'\""))


GYMNASIUMS = re.compile(r"([\w.]+:)?([\w-]+/)?[\w.-]+-v\d+")  # names of environments there


def is_an_override(name: str) -> bool:
    """Returns whether `written` gives an override for a name, not an explanation."""
    return HINTS.get(name, "write ").startswith("write ")


def written(name: str, value: str) -> str:
    """Returns the override that sets a key, by our name or another library's, in the default composition."""
    if name in HINTS:
        return HINTS[name].format(value=value).removeprefix("write ")
    word = "env.id" if name == "env" and GYMNASIUMS.fullmatch(value) else SYNONYMS.get(name, (name,))[0]
    run, groups = run_keys(), choices({})
    if word in run or word in GROUPS or "." in word:
        return f"{word}={value}"
    owners = [key for key, part in run.items() if isinstance(part, dict) and word in part]
    owners += [group for group in GROUPS if any(word in keys(group, option) for option in groups[group])]
    return f"{f'{owners[0]}.' if owners else ''}{word}={value}"
