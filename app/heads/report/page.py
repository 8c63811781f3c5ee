"""One self-contained HTML page of a report: no script, nothing from outside, light and dark. Loads matplotlib."""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from app.heads.report import consulted, plots
from app.heads.report.caveats import caveats
from app.heads.report.words import environment, facts, figure, percent, plain, share

Report = Mapping[str, Any]
MOST_THUMBNAIL_BYTES = 1_000_000  # a page stays below two megabytes
_CSS = Path(__file__).parent / "templates" / "page.css"


def render_page(report: Report, *, title: str, thumbnails: Mapping[str, bytes] | None = None) -> str:
    """Return the page of `report`, what training returned or its stored JSON.

    `thumbnails` are JPEGs by image id, for the worst errors and the scans most alike to them; those beyond
    `MOST_THUMBNAIL_BYTES` are left out.
    """
    tests = report.get("tests", [])
    return environment().get_template("page.html").render(
        report=report,
        title=title,
        positive=report["positive"],
        css=Markup(_CSS.read_text(encoding="utf-8")),  # noqa: S704  # our own file
        contract=report["contract"],
        contract_rows=_contract_rows(report["contract"]),
        measured_rows=_measured_rows(report["contract"]),
        promise_rows=_promise_rows(report["contract"]),
        calibration_rows=facts(report["calibration_report"], leave_out=("methods", "before", "after", "bins")),
        method_rows=_method_rows(report["calibration_report"]),
        cards=_cards(report),
        cards_note=_cards_note(report),
        caveats=caveats(report),
        plots=_plots(report),
        test_section=Markup(consulted.section(tests)),  # noqa: S704  # escaped by its template
        test_caveat=Markup(consulted.caveat(tests)),  # noqa: S704  # escaped
        errors=_errors(report["worst"], _pictures(report["worst"], thumbnails or {})),
        roc_rows=_roc_rows(report),
        sweep_rows=_sweep_rows(report),
        reliability_rows=_reliability_rows(report),
        learning_rows=_learning_rows(report),
        candidate_rows=_candidate_rows(report),
        reproduce_rows=_reproduce_rows(report),
    )  # fmt: skip


def _plots(report: Report) -> dict[str, Any]:
    curves, threshold = report["curves"], report["threshold"]
    own = next((row for row in report["sweep"] if row["threshold"] == threshold), None)
    points, grid = report["learning_curve"]["points"], report["grid"]
    drawn = {
        "roc": plots.roc(curves["roc"], own) if curves else "",
        "precision_recall": plots.precision_recall(curves["precision_recall"], own) if curves else "",
        "sweep": plots.sweep(report["sweep"], threshold, report["review_from"]),
        "histogram": plots.histogram(report["histogram"], threshold),
        "reliability": plots.reliability(report["reliability"]["bins"]),
        "learning_curve": plots.learning_curve(report["learning_curve"]) if len(points) > 1 else "",
        "search": plots.search(grid, report["chosen"]) if len(grid) > 1 else "",
    }
    overall = report["slices"]["overall"]
    sliced = {
        name: Markup(plots.slices(name, found, overall, number=number))  # noqa: S704  # drawn, its texts escaped
        for number, (name, found) in enumerate(report["slices"]["by"].items())
        if len(found) > 1
    }
    return {name: Markup(svg) for name, svg in drawn.items()} | {"slices": _Some(sliced)}  # noqa: S704


class _Some(dict[str, Any]):
    """A slice of one value has no plot: nothing, where a template would else fail."""

    def __missing__(self, name: str) -> str:
        return ""


def _cards(report: Report) -> list[dict[str, Any]]:
    figures, name = report["out_of_fold"], report["positive"]
    one = figures["per_class"][name]
    shown = [
        ("AUC", figures["auc"], figures["auc_interval"]),
        (f"Recall of {name}", one["recall"], one["intervals"]["recall"]),
        ("False-alarm rate", one["false_positive_rate"], one["intervals"]["false_positive_rate"]),
        (f"Precision of {name}", one["precision"], one["intervals"]["precision"]),
        ("Accuracy", figures["accuracy"], figures["accuracy_interval"]),
    ]
    if report["review_from"] is not None:
        shown.append(("Share sent to review", figures["review_share"], None))
    return [
        {"name": label, "value": value, "low": interval and interval["low"], "high": interval and interval["high"]}
        for label, value, interval in shown
        if value is not None
    ]


def _cards_note(report: Report) -> str:
    level = percent(report["out_of_fold"]["intervals"]["level"])
    decided = " Rates are of the rows that are decided, review left out." if report["review_from"] is not None else ""
    return f"Out of fold, with {level} intervals; bars run from 0 to 1.{decided}"


def _pictures(worst: Sequence[Report], thumbnails: Mapping[str, bytes]) -> dict[str, str]:
    wanted = [one["image_id"] for one in worst] + [a["image_id"] for one in worst for a in one.get("alike", [])]
    found: dict[str, str] = {}
    spent = 0
    for image_id in dict.fromkeys(wanted):
        content = thumbnails.get(image_id)
        if content is None or spent + len(content) > MOST_THUMBNAIL_BYTES:
            continue
        spent += len(content)
        found[image_id] = f"data:image/jpeg;base64,{base64.b64encode(content).decode('ascii')}"
    return found


def _errors(worst: Sequence[Report], pictures: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            **one,
            "thumbnail": pictures.get(one["image_id"]),
            "probability": one["probabilities"][one["given"]],
            "alike": [{**other, "thumbnail": pictures.get(other["image_id"])} for other in one.get("alike", [])],
        }
        for one in worst
    ]


def _row(*cells: str, own: bool = False) -> dict[str, Any]:
    return {"cells": cells, "own": own}


def _roc_rows(report: Report) -> list[dict[str, Any]]:
    if not report["curves"]:
        return []
    curve = report["curves"]["roc"]
    points = zip(curve["false_positive_rate"], curve["recall"], curve["threshold"], strict=True)
    return [_row(share(x), share(y), figure(cut)) for x, y, cut in points]


def _sweep_rows(report: Report) -> list[dict[str, Any]]:
    names = ("recall", "false_alarm_rate", "precision", "balanced_accuracy", "positive_share", "review_share")
    return [
        _row(
            figure(row["threshold"]),
            *(share(row[name]) for name in names),
            own=row["threshold"] == report["threshold"],
        )
        for row in report["sweep"]
    ]


def _reliability_rows(report: Report) -> list[dict[str, Any]]:
    return [
        _row(f"{one['rows']:,}", *(share(one[name]) for name in ("said", "seen", "low", "high")))
        for one in report["reliability"]["bins"]
    ]


def _contract_rows(contract: Report) -> list[tuple[str, str]]:
    rows = facts(contract, leave_out=("sentence", "promises", "measured", "review"))
    if review := contract.get("review"):
        bounds = f"{percent(review['low'])} to {percent(review['high'])}"
        rows.append(
            ("review", f"{percent(review['value'])} of the rows ({bounds}): {review['rows']:,} of {review['n']:,}")
        )
    return rows


def _measured_rows(contract: Report) -> list[dict[str, Any]]:
    return [
        _row(name.replace("_", " "), one["class"], *(share(one[key]) for key in ("value", "low", "high")),
             f"{one['n']:,}", figure(one["effective_n"]))
        for name, one in contract.get("measured", {}).items()
    ]  # fmt: skip


def _promise_rows(contract: Report) -> list[dict[str, Any]]:
    names = ("metric", "class", "target", "confidence", "n", "effective_n", "misses", "seen", "bound")
    return [_row(*(plain(one.get(name, "–")) for name in names)) for one in contract.get("promises", [])]


def _method_rows(calibration: Report) -> list[dict[str, Any]]:
    methods = {"as trained": calibration.get("before"), **calibration.get("methods", {})}
    return [
        _row(name, figure(one["log_loss"]), figure(one["brier"]), figure(one["ece"]), own=name == calibration["method"])
        for name, one in methods.items()
        if one
    ]


def _learning_rows(report: Report) -> list[dict[str, Any]]:
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


def _candidate_rows(report: Report) -> list[dict[str, Any]]:
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


def _reproduce_rows(report: Report) -> list[tuple[str, str]]:
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
