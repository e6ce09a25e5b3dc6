"""The sentences and captions of an inspection say what the figures show."""

import numpy as np
import pytest

from dqn_lab.analysis.inspect import figures
from dqn_lab.analysis.inspect.material import Chart, Insight, Walk
from dqn_lab.analysis.inspect.page import _sentence, _sentence_without_label


def insight(rewards=(1.0, 1.0, 1.0), over=0.0, names=("left", "right"), charts=()):
    """Returns an insight into a policy whose max Q exceeds the actual return by `over` throughout."""
    rewards = np.array(rewards)
    actual = np.append(np.cumsum(rewards[::-1])[::-1], 0.0)
    q_values = np.stack([actual + over, actual + over - 1], 1)
    walk = Walk(seed=0, obs=np.zeros((len(rewards) + 1, 1)), q_values=q_values, actions=np.zeros(len(rewards), int),
                rewards=rewards, discount=1.0, truncated=False)  # fmt: skip
    return Insight(label="final policy", task="Chain-v0", policy="final", step=9, dimensions=["x"], action_names=names,
                   walk=walk, returns=np.array([3.0]), counts=np.array([3, 0]), charts=charts)  # fmt: skip


def chart(*actions):
    places = np.array([(10.0 * i, 0.0) for i in range(len(actions))])
    return Chart(title="every cell", picture=np.full((10, 40, 3), 255, np.uint8), places=places,
                 actions=np.array(actions), values=np.zeros(len(actions)))  # fmt: skip


@pytest.mark.parametrize(("rewards", "over", "said"), [
    ((1, 1, 1), -1.0, "max Q is on average 1.00 lower than the actual discounted return, by 50\u00a0% of that return."),
    ((-1, -1, -1), 1.0, "max Q is on average 1.00 higher than the actual discounted return, by 50\u00a0% of that"),
    ((-1, 5, -1), 1.0, "max Q is on average 1.00 higher than the actual discounted return."),  # of both signs
    ((1, 1, 1), 1e-4, "max Q equals the actual discounted return."),  # to the digits shown
])  # fmt: skip
def test_the_share_is_of_returns_of_one_sign(rewards, over, said):
    text = _sentence(insight(rewards, over))
    assert text.startswith("final policy: in a greedy episode of 3 steps, ")
    assert said in text
    assert _sentence_without_label(insight(rewards, over)).startswith("In a greedy episode")


def test_a_maps_caption_explains_what_is_drawn():
    assert figures.legend_of([insight(charts=[chart(0, 1)])]) == "Arrows: the greedy action. Numbers: max Q."
    two = insight(names=("left", "pick up"), charts=[chart(0, -1), chart(1, 1)])
    assert figures.legend_of([two]) == (
        "Arrows: the greedy action (P: pick up). No mark: all actions have the same value."
    )


def test_marks_keep_their_distance_whatever_cells_are_missing():
    places = np.array([(0.0, 0.0), (30.0, 0.0), (40.0, 0.0), (40.0, 20.0)])
    assert figures._spacing(places) == 10
    assert figures._spacing(places[:1]) == 0
