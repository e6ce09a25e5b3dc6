from dqn_lab.exploration.none import Greedy


class Unsure(Greedy):
    """Acts at random where Q-values differ by less than a margin, which falls to 0 over `duration` steps."""

    columns = ("margin",)  # of episodes.csv

    def __init__(self, num_actions, *, margin: float = 1.0, duration: int = 10_000):
        super().__init__(num_actions)
        self.margin, self.duration = margin, duration

    def select(self, q_values, draw, env_index, progress):
        values = q_values()  # [A]
        is_unsure = values.max() - values.min() < self.report(progress)["margin"]
        return int(draw() * self.num_actions) if is_unsure else int(values.argmax())

    def report(self, progress):
        return {"margin": self.margin * max(0.0, 1 - progress.step / self.duration)}
