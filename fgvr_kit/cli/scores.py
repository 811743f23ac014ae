"""Table `scores` as people read it: a line for each contender and protocol."""

from __future__ import annotations

from collections.abc import Sequence

from fgvr_kit.types import Score

_DIFFERENCE, _P = "difference from ", "p of difference from "


def table_of(scores: Sequence[Score]) -> tuple[list[str], list[list[str]]]:
    """(header, rows), in the order in which contenders and protocols come; columns that are empty are left out."""
    lines: dict[tuple[str, str], dict[str, Score]] = {}
    for score in scores:
        if not score.class_name:
            lines.setdefault((score.model, score.protocol), {})[score.metric] = score
    columns = {
        "model": [model for model, _ in lines],
        "protocol": _short([protocol for _, protocol in lines]),
        "accuracy": [_value(line, "accuracy") for line in lines.values()],
        "95 % interval": [_interval(line.get("accuracy")) for line in lines.values()],
        "macro": [_value(line, "macro accuracy") for line in lines.values()],
        "top-5": [_value(line, "top-5 accuracy") for line in lines.values()],
        **_differences(list(lines.values())),
        "images": [f"{next(iter(line.values())).n:,}" for line in lines.values()],
        "note": [next(iter(line.values())).note or "" for line in lines.values()],
    }
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    return list(shown), [list(row) for row in zip(*shown.values(), strict=True)]


def _short(protocols: Sequence[str]) -> list[str]:
    """ "closed8-<hash>" as "closed8", where no other protocol is called so."""
    kinds = {protocol: protocol.partition("-")[0] for protocol in protocols}
    return [kinds[p] if list(kinds.values()).count(kinds[p]) == 1 else p for p in protocols]


def _differences(lines: Sequence[dict[str, Score]]) -> dict[str, list[str]]:
    """A column for each contender that others are compared with."""
    names = dict.fromkeys(metric for line in lines for metric in line if metric.startswith(_DIFFERENCE))
    return {
        "against " + name.removeprefix(_DIFFERENCE): [_difference(line, name) for line in lines]
        for name in names
    }


def _difference(line: dict[str, Score], name: str) -> str:
    if name not in line:
        return ""
    p = line.get(_P + name.removeprefix(_DIFFERENCE))
    return f"{100 * line[name].value:+.1f} {_interval(line[name])}" + (_p(p.value) if p else "")


def _p(value: float) -> str:
    return " p < 0.001" if value < 0.001 else f" p = {value:.3f}"


def _value(line: dict[str, Score], metric: str) -> str:
    return f"{100 * line[metric].value:.1f}" if metric in line else ""


def _interval(score: Score | None) -> str:
    if score is None or score.low == score.high:
        return ""
    return f"[{100 * score.low:.1f}, {100 * score.high:.1f}]"
