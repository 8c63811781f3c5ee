"""The tables of a page: the values behind each plot, and what is needed to do it again. Light."""

import json
from collections.abc import Mapping
from typing import Any

from app.heads.report.words import facts, figure, percent, plain, share

Report = Mapping[str, Any]


def _row(*cells: str, own: bool = False) -> dict[str, Any]:
    return {"cells": cells, "own": own}


def roc_rows(report: Report) -> list[dict[str, Any]]:
    if not report["curves"]:
        return []
    curve = report["curves"]["roc"]
    points = zip(curve["false_positive_rate"], curve["recall"], curve["threshold"], strict=True)
    return [_row(share(x), share(y), figure(cut)) for x, y, cut in points]


def sweep_rows(report: Report) -> list[dict[str, Any]]:
    names = ("recall", "false_alarm_rate", "precision", "balanced_accuracy", "positive_share", "review_share")
    return [
        _row(
            figure(row["threshold"]),
            *(share(row[name]) for name in names),
            own=row["threshold"] == report["threshold"],
        )
        for row in report["sweep"]
    ]


def reliability_rows(report: Report) -> list[dict[str, Any]]:
    return [
        _row(f"{one['rows']:,}", *(share(one[name]) for name in ("said", "seen", "low", "high")))
        for one in report["reliability"]["bins"]
    ]


def contract_rows(contract: Report) -> list[tuple[str, str]]:
    rows = facts(contract, leave_out=("sentence", "promises", "measured", "review"))
    if review := contract.get("review"):
        bounds = f"{percent(review['low'])} to {percent(review['high'])}"
        rows.append(
            ("review", f"{percent(review['value'])} of the rows ({bounds}): {review['rows']:,} of {review['n']:,}")
        )
    return rows


def measured_rows(contract: Report) -> list[dict[str, Any]]:
    return [
        _row(name.replace("_", " "), one["class"], *(share(one[key]) for key in ("value", "low", "high")),
             f"{one['n']:,}", figure(one["effective_n"]))
        for name, one in contract.get("measured", {}).items()
    ]  # fmt: skip


def promise_rows(contract: Report) -> list[dict[str, Any]]:
    names = ("metric", "class", "target", "confidence", "n", "effective_n", "misses", "seen", "bound")
    return [_row(*(plain(one.get(name, "–")) for name in names)) for one in contract.get("promises", [])]


def method_rows(calibration: Report) -> list[dict[str, Any]]:
    methods = {"as trained": calibration.get("before"), **calibration.get("methods", {})}
    return [
        _row(name, figure(one["log_loss"]), figure(one["brier"]), figure(one["ece"]), own=name == calibration["method"])
        for name, one in methods.items()
        if one
    ]


def learning_rows(report: Report) -> list[dict[str, Any]]:
    return [
        _row(
            percent(one["share"]),
            f"{one['rows']:,}",
            f"{one['subjects']:,}",
            share(one["auc"]),
            " ".join(map(share, one["fold_auc"])),
        )
        for one in report["learning_curve"]["points"]
    ]


def candidate_rows(report: Report) -> list[dict[str, Any]]:
    grid = report["grid"]
    order = sorted(range(len(grid)), key=lambda i: -grid[i]["auc"])
    return [
        _row(
            share(grid[i]["auc"]), grid[i]["algorithm"], grid[i]["pooling"], _params(grid[i]["params"]),
            figure(grid[i].get("seconds")), own=i in report["chosen"],
        )
        for i in order
    ]  # fmt: skip


def _params(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {figure(value) if isinstance(value, float) else value}" for name, value in params.items())


def reproduce_rows(report: Report) -> list[tuple[str, str]]:
    features, dataset = report["feature_set"], report.get("dataset") or {}
    copies = f"{report['augmentation']}, {report['augmented_rows']:,}" if report["augmentation"] else ""
    rows = [
        ("Dataset", dataset.get("name", "")),
        ("Digest of the rows", report["training_digest"]),
        ("Rows by class", ", ".join(f"{name} {number:,}" for name, number in report["class_counts"].items())),
        ("Augmented copies", copies),
        ("Feature set", f"{features['name']}, {features['digest']}"),
        ("Algorithm", f"{report['algorithm']} on {report['pooling']}"),
        ("Parameters", json.dumps(report["params"], sort_keys=True)),
        ("Class weight", json.dumps(report["class_weight"])),
        ("Sampling", report["sampling"] or "as the rows are"),
        ("Calibration asked for", report["calibration"]),
        ("Seed", str(report["seed"])),
        ("Trained", report["created_at"]),
        ("Seconds", ", ".join(f"{name} {value:g}" for name, value in report["seconds"].items())),
        ("ONNX against its trainer", _parity(report["parity"])),
        ("Versions", ", ".join(f"{name} {found}" for name, found in report["libraries"].items())),
        ("Search", json.dumps({"spaces": report["spaces"], **report["search"]}, sort_keys=True)),
    ]
    return [(name, value) for name, value in rows if value]


def _parity(parity: Report) -> str:
    return (
        f"{parity['max_difference']:.2g} at most, on {parity['rows']:,} rows (bound {parity['bound']:g}); "
        f"{parity['decisions_changed']} decisions changed"
    )
