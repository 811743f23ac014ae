"""What a step may spend on its calls: the settings of [ask], the price of the model, and a budget."""

from __future__ import annotations

from collections.abc import Callable

from fgvr_kit.asking.budget import Budget
from fgvr_kit.asking.estimate import Estimator
from fgvr_kit.asking.limits import Limits
from fgvr_kit.asking.prices import price_of
from fgvr_kit.backends.base import Backend
from fgvr_kit.workspace import Workspace


def limits_of(workspace: Workspace, backend: Backend, *, spent: float = 0.0, batch: bool = False) -> Limits:
    """The limits of [ask] for one backend. spent: USD that this step has spent already, on another one.

    Raises SettingsError for a budget where the price is unknown ("price-unknown").
    """
    settings = workspace.settings.ask
    price = price_of(backend, workspace.root)
    if not settings.budget:
        return Limits(settings.max_calls, price)
    budget = Budget(max(settings.budget - spent, 1e-9), price, batch)
    return Limits(settings.max_calls, price, budget, Estimator(backend, sizes_of(workspace)))


def sizes_of(workspace: Workspace) -> Callable[[str], tuple[int, int] | None]:
    """Pixel hash -> (width, height) of the images of a workspace."""
    return workspace.store.sizes().get
