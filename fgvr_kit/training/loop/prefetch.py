"""Steps made ready while the model learns the one before: photographs are opened and encoded in a thread.

A step hangs on its place alone (steps.py), so what is made ahead is what would have been made in time: runs are
the same bit for bit, resumed ones too. A thread, since processes would copy the model's memory and pass all
pixels through a pipe, and decoding holds no lock.

Not used by the trainer yet: tokenizers 0.23.3 ended 2 of 12 short trainings with a segmentation fault in the second
thread (encode_batch of a copied tokenizer, while the first thread was in a forward pass), and once the tests.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from torch.utils.data import Dataset

from fgvr_kit.training.data.steps import Micro, Place, Steps


class Ahead(Dataset[list[Micro]]):
    """The steps at [epoch, n]; when one is taken, the next of its epoch is begun.

    Not the first of the next epoch: examples may look different by then (InstructRows.set_epoch).
    waited: seconds that takers spent waiting since the beginning.
    """

    def __init__(self, steps: Steps, clock: Callable[[], float] = time.perf_counter) -> None:
        self.steps = steps
        self.waited = 0.0
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "steps ahead")
        self._begun: dict[Place, Future[list[Micro]]] = {}

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, place: Place) -> list[Micro]:
        """Raises what making the step raised, when it is its turn."""
        began = self._clock()
        found = self._begun.pop(place, None) or self._begin(place)
        for other in self._begun.values():  # somebody went elsewhere
            other.cancel()
        self._begun.clear()
        step = found.result()
        self.waited += self._clock() - began
        epoch, n = place
        if n + 1 < len(self):
            self._begun[epoch, n + 1] = self._begin((epoch, n + 1))
        return step

    def _begin(self, place: Place) -> Future[list[Micro]]:
        return self._thread.submit(self.steps.__getitem__, place)
