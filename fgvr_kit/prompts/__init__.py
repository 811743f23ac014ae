"""Prompts are files: TOML front matter between +++ lines, then a Jinja template.

Front matter: `about` (one sentence), `needs` (variables the template may use), `answer` (what is expected
back), `source` (whose idea it is), optionally `system` (the system message).
A file in the workspace's prompts/ wins over one of the domain's template, and that over the shipped one.
`{% include "parts/NAME.md" %}` takes in another file of the same folders.
"""

from fgvr_kit.prompts.sandbox import Part
from fgvr_kit.prompts.search import PARTS, Origin, Prompts
from fgvr_kit.prompts.template import Prompt, PromptTemplate

__all__ = ["PARTS", "Origin", "Part", "Prompt", "PromptTemplate", "Prompts"]
