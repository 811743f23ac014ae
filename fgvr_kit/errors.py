"""What can go wrong, as types. Standard library only.

- FgvrError                  anything that is told to the user without a traceback
  - UsageError               wrong usage or configuration (exit 2)
    - SettingsError          fgvr.toml, an environment variable or --set
    - DatasetError           the image folder, classes.csv, attributes.csv
    - WorkspaceError         no workspace here, or it cannot be used
    - PromptError            a prompt file is missing or does not render
    - PluginError            no such backend, family or recipe
    - MissingExtra           an optional package is not installed
  - StoreError               the database cannot be read
  - ImageError               one image cannot be decoded
  - BackendError             a model did not answer
    - BackendRefused         ... and will not: wrong key, unknown model, quota
    - RequestRejected        ... to this request, and will not; others may be answered
  - ModelError               weights cannot be loaded, or do not fit the recipe
  - PartlyDone               stopped early, resumable (exit 4)
"""

from __future__ import annotations

from typing import ClassVar


class FgvrError(Exception):
    """Something the user can act on: what happened, where, why, and the next move.

    code: stable, for scripts ("dataset-no-images"); tests assert on it, not on the wording.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self, message: str, *, code: str, hint: str, where: str | None = None, why: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint
        self.where = where
        self.why = why

    def lines(self) -> list[tuple[str, str]]:
        """(word, text) pairs in the order in which they are shown, two to four of them."""
        pairs = [("error", self.message), ("where", self.where), ("why", self.why), ("hint", self.hint)]
        return [(word, text) for word, text in pairs if text]


class UsageError(FgvrError):
    exit_code = 2


class SettingsError(UsageError):
    pass


class DatasetError(UsageError):
    pass


class WorkspaceError(UsageError):
    pass


class PromptError(UsageError):
    pass


class PluginError(UsageError):
    pass


class MissingExtra(UsageError):
    """A package of an extra is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed",
            code="missing-extra",
            hint=f"pip install 'fgvr-kit[{extra}]'",
        )


class StoreError(FgvrError):
    pass


class ImageError(FgvrError):
    def __init__(
        self,
        reason: str,
        *,
        where: str,
        code: str = "image-unreadable",
        hint: str = "replace or remove the file",
    ) -> None:
        super().__init__(reason, code=code, where=where, hint=hint)
        self.reason = reason


class BackendError(FgvrError):
    """A model did not answer. retry_after: seconds the server asked us to wait, if it said so."""

    retry_after: float | None = None
    transient: ClassVar[bool] = True


class BackendRefused(BackendError):
    transient = False


class RequestRejected(BackendError):
    transient = False


class ModelError(FgvrError):
    pass


class PartlyDone(FgvrError):
    exit_code = 4
