"""What a step may spend on its calls: the settings of [ask], the price of the model, and a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from fgvr_kit.asking.budget import Budget
from fgvr_kit.asking.engine import Asked
from fgvr_kit.asking.estimate import Estimator
from fgvr_kit.asking.limits import Limits
from fgvr_kit.asking.prices import price_of
from fgvr_kit.backends.base import Backend
from fgvr_kit.types import Notice
from fgvr_kit.workspace import Workspace


def limits_of(
    workspace: Workspace, backend: Backend, before: Iterable[Asked] = (), *, batch: bool = False
) -> Limits:
    """What [ask] leaves for one backend.

    before: what this step has asked already: max_calls counts for a step, the budget for all that was asked since
    the workspace was opened.  Raises SettingsError for a budget where the price is unknown ("price-unknown").
    """
    settings = workspace.settings.ask
    price = price_of(backend, workspace.root)
    # 0 means no limit: a step that has used up its calls is left with none, which is less than one.
    most = settings.max_calls and max(settings.max_calls - sum(each.n_new for each in before), -1)
    if not settings.budget:
        return Limits(most, price)
    budget = Budget(max(settings.budget - workspace.spent, 1e-9), price, batch)
    return Limits(most, price, budget, Estimator(backend, sizes_of(workspace)))


def notices_about(limits: Limits) -> Iterator[Notice]:
    """A budget that has no effect is told: who set one believes that it holds."""
    if limits.budget is not None and (note := limits.budget.note):
        yield Notice(
            note, code="budget-idle", hint="a line in prices.toml gives the model a price, if it has one"
        )


def sizes_of(workspace: Workspace) -> Callable[[str], tuple[int, int] | None]:
    """Pixel hash -> (width, height) of the images of a workspace."""
    return workspace.store.sizes().get
