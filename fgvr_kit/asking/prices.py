"""What a model costs: USD a million tokens, from the user's own file or from the library genai-prices.

A user's prices stand in `prices.toml`, in the workspace or in the user's configuration folder (the workspace's
wins), one line a model, named as for --backend; a star stands for anything:

    "openai:my-model" = { input = 0.15, output = 0.60 }
    "openai:gpt-4o*" = { input = 2.50, output = 10.0, cached = 1.25, batch = 0.5 }

They are no section of fgvr.toml, because a price belongs to a contract and not to a dataset. Nothing is fetched:
genai-prices brings its list along, and a newer list comes with a newer version of it.
"""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from fgvr_kit.backends.base import Backend, Server
from fgvr_kit.errors import SettingsError

FILE_NAME = "prices.toml"
BATCH = 0.5
"""Share of the price that OpenAI asks for in its batch API, where genai-prices does not know it
(https://developers.openai.com/api/docs/guides/batch)."""
MILLION = 1_000_000

Kind = Literal["given", "listed", "local", "unknown"]


@dataclass(frozen=True, slots=True)
class Price:
    """USD a million tokens; None where nobody knows.

    kind: "given" by the user, "listed" by genai-prices, "local" (no price by nature), "unknown".  source: the
    same in words, for people.  cached: of input tokens that the server had in its cache.  batch_input and
    batch_output: through the provider's batch API.
    """

    spec: str
    kind: Kind
    source: str
    input: float | None = None
    output: float | None = None
    cached: float | None = None
    batch_input: float | None = None
    batch_output: float | None = None

    @property
    def is_known(self) -> bool:
        return self.input is not None and self.output is not None

    @property
    def is_free(self) -> bool:
        return self.input == 0 and self.output == 0

    def cost(
        self, input_tokens: float, output_tokens: float, *, cached: float = 0, batch: bool = False
    ) -> float | None:
        """USD of these tokens; None when the price is unknown. cached: how many of input_tokens were cached."""
        reading, writing = (self.batch_input, self.batch_output) if batch else (self.input, self.output)
        if reading is None or writing is None:
            return None
        again = reading if self.cached is None else min(reading, self.cached)
        fresh = max(0.0, input_tokens - cached)
        return (fresh * reading + cached * again + output_tokens * writing) / MILLION


class GivenPrice(BaseModel):
    """A line of prices.toml, in USD a million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached: float | None = Field(None, ge=0)
    """Of input tokens that the server had in its cache; without it, as `input`."""
    batch: float = Field(BATCH, ge=0, le=1)
    """Share of the price in the provider's batch API."""


_FILE: TypeAdapter[dict[str, GivenPrice]] = TypeAdapter(dict[str, GivenPrice])


def price_of(backend: Backend, workspace: Path, *, config: Path | None = None) -> Price:
    """The price of a backend's model: as given in prices.toml, else as listed, else unknown. No network.

    config: the user's configuration folder; None: the system's place for it.
    Raises SettingsError when a prices.toml is not right (codes "prices-toml", "prices-value").
    """
    host = backend.host if isinstance(backend, Server) else None
    return find_price(backend.spec, host, given_prices(workspace, config))


def find_price(spec: str, host: str | None, given: Mapping[str, GivenPrice]) -> Price:
    """The price of "room:model" at a server. host: "https://api.openai.com", None where there is no server."""
    if own := _given(spec, given):
        return _price_given(spec, own)
    room, _, model = spec.partition(":")
    if is_local(room, model, host):
        return Price(spec, "local", "local: no price", 0, 0, 0, 0, 0)
    listed = _listed(spec, model, host) if host else None
    return listed or Price(spec, "unknown", "unknown")


def is_local(room: str, model: str, host: str | None) -> bool:
    """Nobody sends a bill: a model in this process, a recording, one's own machine, Ollama without its cloud."""
    if room in ("clip", "replay", "transformers"):
        return True
    name = urlsplit(host or "").hostname or ""
    if room == "ollama":
        return not model.endswith(("-cloud", ":cloud")) and not name.endswith("ollama.com")
    return _is_loopback(name)


def _is_loopback(name: str) -> bool:
    if name in ("localhost", "0.0.0.0", "::") or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:  # a name
        return False


# --- prices.toml --------------------------------------------------------------------------------------------


def given_prices(workspace: Path, config: Path | None = None) -> dict[str, GivenPrice]:
    """The prices that the user wrote down, those of the workspace over those of the configuration folder."""
    if config is None:
        import platformdirs

        config = platformdirs.user_config_path("fgvr-kit")
    return _read(config / FILE_NAME) | _read(workspace / FILE_NAME)


def _read(file: Path) -> dict[str, GivenPrice]:
    if not file.is_file():
        return {}
    try:
        return _FILE.validate_python(tomllib.loads(file.read_text(encoding="utf-8-sig")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{FILE_NAME} is not valid TOML: {error}", code="prices-toml", where=str(file), hint=_EXAMPLE
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise SettingsError(
            f"{key} in {FILE_NAME}: {first['msg'][0].lower()}{first['msg'][1:]}",
            code="prices-value",
            where=str(file),
            hint=_EXAMPLE,
        ) from error


_EXAMPLE = 'a line is like "openai:my-model" = { input = 0.15, output = 0.60 }, in USD a million tokens'


def _given(spec: str, given: Mapping[str, GivenPrice]) -> GivenPrice | None:
    """The line of this very model, else that of the longest pattern that fits it."""
    if spec in given:
        return given[spec]
    fitting = [pattern for pattern in given if "*" in pattern and _fits(spec, pattern)]
    return given[max(fitting, key=len)] if fitting else None


def _fits(spec: str, pattern: str) -> bool:
    return fnmatchcase(spec, pattern.replace("[", "[[]").replace("?", "[?]"))


def _price_given(spec: str, own: GivenPrice) -> Price:
    return Price(
        spec,
        "given",
        FILE_NAME,
        own.input,
        own.output,
        own.cached,
        own.input * own.batch,
        own.output * own.batch,
    )


# --- genai-prices -------------------------------------------------------------------------------------------


def _listed(spec: str, model: str, host: str) -> Price | None:
    """As genai-prices lists it. The address decides the provider: one model costs differently at each."""
    from genai_prices.data_snapshot import get_snapshot

    try:
        provider, known = get_snapshot().find_provider_model(model, None, None, _with_slash(host))
    except LookupError:
        return None
    now = datetime.now(UTC)
    standard, batch = known.get_prices(now), known.get_prices(now, {"processing": "batch"})
    reading, writing = _rate(standard, "input_mtok"), _rate(standard, "output_mtok")
    if model.endswith(":free"):  # OpenRouter's free models are listed without any price
        reading, writing = reading or 0.0, writing or 0.0
    if reading is None or writing is None:
        return None  # known, but not its price: the library would reckon with 0
    share = BATCH if provider.id == "openai" and batch == standard else 1
    return Price(
        spec, "listed", f"genai-prices {version('genai-prices')}: {provider.id} {known.id}",
        reading, writing, _rate(standard, "cache_read_mtok"),
        (_rate(batch, "input_mtok") or reading) * share, (_rate(batch, "output_mtok") or writing) * share,
    )  # fmt: skip


def _with_slash(host: str) -> str:
    return host if urlsplit(host).path else f"{host}/"


def _rate(prices: Any, name: str) -> float | None:
    """The base rate: where a dearer tier exists, it begins at far more tokens than one image and its questions."""
    rate = getattr(prices, name, None)
    rate = getattr(rate, "base", rate)
    return None if rate is None else float(rate)
