"""Where the files that ship with the package lie: prompts/, templates/, examples/.

In a wheel they lie inside the package; in a checkout (also an editable install) beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).resolve().parent


def folder(name: Literal["prompts", "templates", "examples"]) -> Path:
    """The shipped folder. Raises FileNotFoundError when the installation is broken."""
    checkout = _PACKAGE.parent
    # The checkout first: an editable install may hold stale copies inside the package.
    if (checkout / "pyproject.toml").is_file() and (checkout / name).is_dir():
        return checkout / name
    if (_PACKAGE / name).is_dir():
        return _PACKAGE / name
    raise FileNotFoundError(f"{name}/ is missing beside {_PACKAGE}: reinstall fgvr-kit")


def cache_folder() -> Path:
    """Where things that can be made again are kept for all workspaces ($FGVR_CACHE, or the system's place)."""
    import os

    import platformdirs

    chosen = os.environ.get("FGVR_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("fgvr-kit")
