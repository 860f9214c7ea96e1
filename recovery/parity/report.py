"""The report as JSON: the same numbers that the page and the terminal show."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from recovery.parity import audit as auditing
from recovery.parity import maps, reading, survival
from recovery.parity.answers import Answers
from recovery.parity.audit import Audit
from recovery.parity.columns import Floats
from recovery.parity.contrasts import Contrast
from recovery.parity.customers import WINDOW_DAYS, Within
from recovery.parity.kernel import Ints
from recovery.parity.public import Uplift, WentPublic
from recovery.parity.reading import Cases
from recovery.parity.tables import Told, silent

VERSION = 1
STRATA = {"type": ("type",), "type,month": ("type", "month"), "load": ("type", "load")}


def make(
    path: Path,
    plan: maps.Map,
    *,
    reference: str | None = None,
    strata: str = "type",
    by_stratum: bool = False,
    snapshot: str = "",
    told: Told = silent,
) -> tuple[dict[str, Any], Audit]:
    """Read a file, audit it, and return the report with the audit behind it. Raises Unusable."""
    cases = reading.read(path, plan, snapshot=snapshot, told=told)
    if "month" in STRATA[strata] and not (cases.month >= 0).any():
        cases.notes.append("The file has no opened dates, so months are not known and do not make cases alike.")
    audit = auditing.audit(cases, reference=reference, strata_by=STRATA[strata], by_stratum=by_stratum)
    return of(audit, file=path.name, by_stratum=by_stratum, modified=path.stat().st_mtime), audit


def of(audit: Audit, *, file: str, by_stratum: bool, modified: float) -> dict[str, Any]:
    """Write an audit as the report's JSON object. modified: POSIX time, the as-of time of a file that has no times at
    all.
    """
    cases = audit.cases
    notes = list(audit.notes)
    snapshot = cases.snapshot
    if snapshot is None:
        snapshot = datetime.fromtimestamp(int(modified), UTC)
        notes.append("The file has no times: the snapshot is when the file was last changed.")
    categories = [each.name for each in cases.outcomes if each.kind == "category"]
    if categories:
        notes.append(f"Categories are counted, not compared: {', '.join(categories)}.")
    made: dict[str, Any] = {
        "schema_version": VERSION,
        "file": file,
        "snapshot": snapshot.isoformat(),
        "reference": audit.reference,
        "strata_by": list(audit.strata_by),
        "rows": {"read": cases.read, "kept": len(cases), "rejected": dict(sorted(cases.rejected.items()))},
        "channels": _channels(cases),
    }
    if by_stratum:
        made["strata"] = _strata(audit)
    made["crude"] = [line for each in audit.crude for line in _lines(each)]
    made["contrasts"] = [line for each in audit.contrasts for line in _lines(each)]
    if audit.by_type:
        made["by_type"] = [line for each in audit.by_type for line in _lines(each)]
    if audit.within is not None:
        made["within_customer"] = _within(audit.within)
    if audit.went_public is not None:
        made["went_public"] = _went_public(audit.went_public)
    if cases.response is not None:
        made["response"] = {
            "outcome": cases.response.name,
            "mature_hours": cases.response.mature_hours,
            "mature_hours_given": cases.response.given,
            "answered": cases.response.answered,
            "mature": cases.response.mature,
        }
    made["standardised"] = audit.standardised
    made["notes"] = notes
    return made


def _channels(cases: Cases) -> dict[str, Any]:
    found = {}
    order = np.argsort(cases.channel, kind="stable")
    bounds = np.searchsorted(cases.channel[order], np.arange(len(cases.channels) + 1))
    names = {name: code for code, name in enumerate(cases.channels)}
    for name in dict.fromkeys([*cases.channels, *cases.rejected_by_channel]):
        code = names.get(name)
        rows = order[bounds[code] : bounds[code + 1]] if code is not None else order[:0]
        found[name] = summary(
            cases, rows, rejected=cases.rejected_by_channel.get(name, 0), excluded=name in cases.excluded
        )
    return dict(sorted(found.items(), key=lambda each: -int(each[1]["n"])))


def _strata(audit: Audit) -> dict[str, Any]:
    cases, count = audit.cases, len(audit.cases.channels)
    key = audit.stratum * count + cases.channel
    order = np.argsort(key, kind="stable")
    codes, starts = np.unique(key[order], return_index=True)
    found: dict[str, Any] = {}
    for code, rows in zip(codes, np.split(order, starts[1:]), strict=True):
        stratum, channel = divmod(int(code), count)
        name = cases.channels[channel]
        found.setdefault(audit.strata[stratum], {})[name] = summary(
            cases, rows, rejected=0, excluded=name in cases.excluded
        )
    return found


def summary(cases: Cases, rows: Ints, *, rejected: int, excluded: bool) -> dict[str, Any]:
    """What one channel's kept rows show; rows: their positions. Percentiles interpolate linearly."""
    closed = cases.closed[rows]
    known = ~np.isnan(cases.hours[rows]) if cases.timed else np.zeros(len(rows), dtype=bool)
    hours, events = cases.hours[rows][known], closed[known]
    median, p90 = _percentiles(hours[events], 50, 90)
    times, share = survival.curve(hours, events)
    promised = cases.promised_hours[rows]
    promised = promised[~np.isnan(promised)]
    middle, low, high = _percentiles(promised, 50, 10, 90)
    stands = cases.timed or bool(closed.any())
    return {
        "n": len(rows),
        "closed": int(closed.sum()),
        "open": int((~closed).sum()) if stands else 0,
        "rejected": rejected,
        "excluded": excluded,
        "closed_median_hours": median,
        "closed_p90_hours": p90,
        "km_median_hours": survival.quantile(times, share, 0.5),
        "km_p90_hours": survival.quantile(times, share, 0.9),
        "promised_hours": {"n": len(promised), "median": middle, "p10": low, "p90": high} if cases.promises else None,
        "promise_kept": {"kept": int(cases.kept[rows].sum()), "due": int(cases.due[rows].sum())}
        if cases.promises
        else None,
        "outcomes": {each.name: _outcome(each, each.values[rows]) for each in cases.outcomes},
    }


def _percentiles(values: Floats, *wanted: int) -> list[float | None]:
    if len(values) == 0:
        return [None] * len(wanted)
    return [float(each) for each in np.percentile(values, wanted)]


def _outcome(answers: Answers, values: Floats) -> dict[str, Any]:
    values = values[~np.isnan(values)]
    if answers.kind == "bool":
        yes = int((values == 1).sum())
        return {"kind": "bool", "n": len(values), "true": yes, "share": yes / len(values) if len(values) else None}
    if answers.kind in ("category", "ordinal"):
        counts = np.bincount(values.astype(int), minlength=len(answers.labels))
        return {
            "kind": "category",
            "n": len(values),
            "counts": {label: int(count) for label, count in zip(answers.labels, counts, strict=True) if count},
        }
    if answers.kind in maps.NUMBERS:
        mean = float(values.mean()) if len(values) else None
        apart = int((values < 1 if answers.kind == "ratio" else values > 0).sum())
        return {"kind": answers.kind, "n": len(values), "mean": mean, "apart": apart}
    median, p90 = _percentiles(values, 50, 90)
    return {
        "kind": "duration",
        "n": len(values),
        "negative": int((values < 0).sum()),
        "median": median,
        "p90": p90,
        "max": float(values.max()) if len(values) else None,
        "unit": answers.unit,
    }


def _within(within: Within) -> dict[str, Any]:
    return {
        "window_days": WINDOW_DAYS,
        "customers": within.customers,
        "pairs": within.pairs,
        "pairs_of_different_types": within.of_different_types,
        "contrasts": [
            line | {"customers": each.customers, "channel_first": each.channel_first}
            for each in within.lines
            for line in _lines(each.contrast)
        ],
    }


def _went_public(found: WentPublic) -> dict[str, Any]:
    return {
        "public_channels": list(found.channels),
        "customers": found.customers,
        "left_out": found.left_out,
        "whole": _uplift(found.whole),
        "months": [_uplift(each) for each in found.months],
    }


def _uplift(uplift: Uplift) -> dict[str, Any]:
    return {
        "month": uplift.month,
        "cases": uplift.cases,
        "went_public": uplift.went_public,
        "resolved_before": uplift.resolved_before,
        "resolved_after": uplift.resolved_after,
        "expected_after": uplift.expected_after,
        "hazard_ratio": uplift.ratio.value,
        "low": uplift.ratio.low,
        "high": uplift.ratio.high,
        "p": uplift.tested.p,
        "p_holm": uplift.p_holm,
        "verdict": uplift.verdict,
        "resolutions_needed": uplift.resolutions_needed,
    }


def _lines(contrast: Contrast) -> Iterator[dict[str, Any]]:
    rank = contrast.log_rank
    for effect in contrast.tested.effects:
        yield {
            "metric": contrast.metric,
            "channel": contrast.channel,
            "versus": contrast.versus,
            "stratum": contrast.stratum,
            "n": contrast.n,
            "n_versus": contrast.n_versus,
            "effect": effect.kind,
            "estimate": effect.value,
            "low": effect.low,
            "high": effect.high,
            "p": contrast.tested.p,
            "test": contrast.tested.test,
            "p_holm": contrast.p_holm,
            "p_bh": contrast.p_bh,
            "log_rank": None
            if rank is None
            else {"observed": rank.observed, "expected": rank.expected, "z": rank.z, "p": rank.p, "p_bh": rank.p_bh},
            "verdict": contrast.verdict,
            "n_needed": contrast.n_needed,
        }
