"""What every section of fgvr.toml is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of every section: unknown keys are errors, docstrings under the fields describe them."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, frozen=True)
