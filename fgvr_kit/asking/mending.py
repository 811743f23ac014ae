"""What a model is told when its reply cannot be used: prompts/mend/reply.md, filled."""

from __future__ import annotations

import json

from fgvr_kit.asking.replies import Mend
from fgvr_kit.backends.base import Request
from fgvr_kit.prompts import Prompts

PROMPT = "mend/reply"


def mend_with(prompts: Prompts) -> Mend:
    """The words of the workspace's prompt, for `engine.ask`. Raises PromptError for a file that is not right."""
    template = prompts.get(PROMPT)

    def told(request: Request, said: str) -> str:
        schema = "" if request.schema is None else json.dumps(request.schema, ensure_ascii=False)
        return template.render(schema=schema, options=request.options).text

    return told
