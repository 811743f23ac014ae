"""What is trained when: everything that decides the weights of the toy VLM."""

from __future__ import annotations

from dataclasses import dataclass

SEED = 1
HELD_OUT_SEED = 1000


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides the weights.

    look_steps of look_rows pictures teach the vision tower facts. talk_steps of rows pictures with words follow;
    every third of them looks alone again, every tenth has fewer, longer rows. The rates fall with the square root of
    the step, and to nothing over the last `falling` of the talk steps. Things that fill the picture come first:
    their share falls from easy_first to easy_last while it looks.
    """

    look_steps: int = 1200
    look_rows: int = 96
    talk_steps: int = 4200
    rows: int = 32
    length: int = 256
    long_rows: int = 14
    long_length: int = 576
    matrix_rate: float = 1e-2
    other_rate: float = 5e-3
    patch_rate: float = 1e-3
    warm_steps: int = 60
    even_steps: int = 250
    easy_first: float = 0.9
    easy_last: float = 0.3
    falling: float = 0.35
    facts_weight: float = 0.5

    @property
    def steps(self) -> int:
        return self.look_steps + self.talk_steps

    def rate(self, step: int) -> float:
        """The share of the learning rates at a step."""
        warm = min(1.0, (step + 1) / self.warm_steps)
        slower = min(1.0, self.even_steps / (step + 1)) ** 0.5
        fall = self.falling * self.talk_steps
        return warm * slower * min(1.0, (self.steps - step) / max(fall, 1.0))

    def easy(self, step: int) -> float:
        """The share of pictures that are easy."""
        left = max(0.0, 1 - step / max(self.look_steps, 1))
        return self.easy_last + (self.easy_first - self.easy_last) * left

    def shape(self, step: int) -> tuple[int, int]:
        """(rows, length) of a step; length 0 is looking alone."""
        talked = step - self.look_steps
        if talked < 0 or talked % 3 == 2:
            return self.look_rows, 0
        return (self.long_rows, self.long_length) if talked % 10 == 1 else (self.rows, self.length)
