"""The workspace's database: the only room that speaks SQL."""

from fgvr_kit.store.store import Store

__all__ = ["Store"]
