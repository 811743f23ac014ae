"""The workspace's database: the only room that speaks SQL."""

import sys

if "pandas" not in sys.modules:
    # sqlite-utils imports pandas where it finds it, to know its types: most of a second before every command.
    sys.modules["pandas"] = None  # type: ignore[assignment]
    try:
        import sqlite_utils  # noqa: F401
    finally:
        del sys.modules["pandas"]

from fgvr_kit.store.store import Store

__all__ = ["Store"]
