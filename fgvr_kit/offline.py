"""--offline: from `go_offline()` on, nothing in this process reaches beyond this machine.

Two bolts. Libraries that know a word for it are told (Hugging Face, Weights & Biases). And every connection and
name lookup that Python makes is looked at before it happens, whoever makes it; code that does its own (native
extensions, other programs) only has the first bolt.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from types import FrameType
from typing import Any

from fgvr_kit.errors import FgvrError

VARIABLE = "FGVR_OFFLINE"
"""Set to "1" by go_offline(), so that programs started from here can do as much."""

_TOLD = {
    VARIABLE: "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1", "WANDB_MODE": "offline",
}  # fmt: skip
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "ftp_proxy")
_LOOKUPS = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}
_SENDS = {"socket.connect", "socket.sendto", "socket.sendmsg"}
_INSIDE = {getattr(socket, name) for name in ("AF_UNIX", "AF_NETLINK", "AF_ALG") if hasattr(socket, name)}

_is_on = False
_is_hooked = False


class Offline(FgvrError, OSError):
    """Somebody wanted the network (code "offline").

    An OSError too: libraries take it for a network that is not there, and go on with what they have.
    """


def go_offline() -> None:
    """Refuse every connection and name lookup but those of this machine, for the rest of the process.

    Raises Offline in whoever tries. Proxies are forgotten: one on this machine would carry it on.
    """
    global _is_on, _is_hooked
    os.environ.update(_TOLD)
    for name in _PROXIES:
        os.environ.pop(name, None)
        os.environ.pop(name.upper(), None)
    if hub := sys.modules.get("huggingface_hub.constants"):  # it has read its variable by now
        hub.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
    if not _is_hooked:
        sys.addaudithook(_look)
        _is_hooked = True
    _is_on = True


def behind(error: BaseException | None) -> Offline | None:
    """The refusal that an error of a library comes from, if that is what it comes from."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        if isinstance(current, Offline):
            return current
        seen.add(id(current))
        waiting += [current.__cause__, current.__context__]
        waiting += current.exceptions if isinstance(current, BaseExceptionGroup) else []
    return None


def _look(event: str, args: tuple[Any, ...]) -> None:
    if not event.startswith("socket.") or not _is_on:
        return
    if event in _LOOKUPS:
        if not _is_here(args[0]):
            raise _refusal(args[0])
    elif event in _SENDS:
        sock, address = args[0], args[-1]
        if address is None or sock.family in _INSIDE:
            return
        is_internet = sock.family in (socket.AF_INET, socket.AF_INET6)
        if not (is_internet and _is_here(address[0])):
            raise _refusal(address[0] if is_internet else address)


def _is_here(host: Any) -> bool:
    """Whether a name or address is this machine by its looks: asking would be a lookup."""
    if isinstance(host, bytes | bytearray):
        host = host.decode("ascii", "replace")
    if host is None or host == "":
        return True
    name = str(host).rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    return address.is_loopback or address.is_unspecified  # 0.0.0.0 leads to this machine


def _refusal(host: Any) -> Offline:
    shown = host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else str(host)
    return Offline(
        f"{shown} was not contacted: --offline is on",
        code="offline",
        why=_who_asked(sys._getframe(2)),
        hint="leave --offline out, or name a server on this machine, a local model, or replay:FILE",
    )


def _who_asked(frame: FrameType | None) -> str | None:
    """The nearest module that is not of Python itself, and the nearest of ours."""
    nearest = ours = None
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        top = module.partition(".")[0]
        if top not in sys.stdlib_module_names and module != __name__:
            nearest = nearest or module
            ours = ours or (module if top == "fgvr_kit" else None)
        frame = frame.f_back
    if nearest is None or nearest == ours:
        return nearest and f"asked for by {nearest}"
    return f"asked for by {nearest}" + (f", for {ours}" if ours else "")
