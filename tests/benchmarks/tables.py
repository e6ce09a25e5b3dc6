"""Rewrites the READMEs' answers and tables from the results included with the lab.

    python tests/benchmarks/tables.py            # says which READMEs would change
    python tests/benchmarks/tables.py --write    # changes them

In a README a generated part stands between `<!-- answer: QUESTION -->`, or another of `PARTS`, and `<!-- end -->`. A
test checks that the READMEs contain what this program would write.
"""

import argparse
import re
import textwrap
from pathlib import Path

import peers_learning
import published
import results

from dqn_lab.analysis import answer, compare, load_shipped, summarize
from dqn_lab.cli.sweep import find_question
from dqn_lab.tasks import find_task

ROOT = Path(__file__).parents[2]
READMES = [ROOT / name for name in ("README.md", "sweeps/README.md", "tests/README.md")]
PART = re.compile(r"(<!-- (\w+): ([\w, ]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
WIDTH = 120


def quotation(question):
    """Returns a question's answer, as the report says it, as a quotation."""
    return said(load_shipped(question), "final_return", question)


def early(question):
    """Returns the answer that the evaluations after a fifth of the steps would give."""
    evaluations = load_shipped(question, table="evaluations")
    return said(evaluations[evaluations["step"] == evaluations["step"].max() / 5], "return_mean", question)


def said(scores, metric, question):
    """Returns the report's sentence as a quotation."""
    control = re.search(r"^control: (.*)$", find_question(question).read_text(encoding="utf-8"), re.MULTILINE)[1]
    sentence = answer(compare(scores, metric, control=control))
    return textwrap.fill(sentence, WIDTH, initial_indent="> ", subsequent_indent="> ", break_on_hyphens=False)


def variants(question):
    """Returns a table with a row for each variant."""
    scores = load_shipped(question)
    threshold = find_task(scores["task"].iloc[0]).threshold
    solved = f"runs at {plain(threshold, 0)} or above"
    lines = [
        f"| variant | seeds | mean | 95 % interval | median | 10th percentile | IQM | {solved} |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in summarize(scores, threshold=threshold).to_dict("records"):
        share = f"{100 * row['success_low']:.0f}–{100 * row['success_high']:.0f} %"
        shown = "mean", "mean_low", "mean_high", "median", "p10", "iqm"
        mean, low, high, *others = (plain(row[key]) for key in shown)
        interval = f"{low} to {high}" if "−" in low else f"{low}–{high}"
        cells = [mean, interval, *others, f"{row['successes']} of {row['seeds']} ({share})"]
        lines.append(f"| {row['variant']} | {row['seeds']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plain(value, digits=1):
    """Writes a number with a true minus sign."""
    return f"{value:.{digits}f}".replace("-", "−")


def recipes(questions):
    """Returns a table with a row for each recipe of several questions, and the runs that missed if they are few."""
    return results.table([Path(question) for question in questions.split(", ")], threshold=None)


PARTS = {
    "answer": quotation, "early": early, "variants": variants, "recipes": recipes,
    "published": lambda _: published.table(published.read()),
    "peers": lambda _: peers_learning.table(peers_learning.read(peers_learning.DATA)),
}  # fmt: skip


def written(text):
    """Returns a README's text with its generated parts rewritten."""
    return PART.sub(lambda part: f"{part[1]}\n{PARTS[part[2]](part[3])}\n\n{part[5]}", text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="change the READMEs")
    args = parser.parse_args()
    stale = 0
    for path in READMES:
        text = path.read_text(encoding="utf-8")
        if (new := written(text)) == text:
            print(f"{path.relative_to(ROOT)}: agrees with the data")
        elif args.write:
            path.write_text(new, encoding="utf-8")
            print(f"{path.relative_to(ROOT)}: written anew")
        else:
            stale += 1
            print(f"{path.relative_to(ROOT)}: differs from the data; --write writes it anew")
    return int(stale > 0)


if __name__ == "__main__":
    raise SystemExit(main())
