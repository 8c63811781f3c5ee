"""One self-contained HTML page of a report: no script, nothing from outside, light and dark. Loads matplotlib."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from app.heads.report import consulted, plots, tables
from app.heads.report.caveats import caveats
from app.heads.report.words import environment, facts, percent

Report = Mapping[str, Any]
MOST_THUMBNAIL_BYTES = 1_000_000  # a page stays below two megabytes
_ENDED = {
    "all candidates": "it ended when all were tried",
    "trials": "it ended when its trials were spent",
    "seconds": "it ended when its time was spent",
}
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
        only=_single_values(report["slices"]["by"]),
        ended=_ENDED.get(report["stopped_by"], report["stopped_by"]),
        contract_rows=tables.contract_rows(report["contract"]),
        measured_rows=tables.measured_rows(report["contract"]),
        promise_rows=tables.promise_rows(report["contract"]),
        calibration_rows=facts(report["calibration_report"], leave_out=("methods", "before", "after", "bins")),
        method_rows=tables.method_rows(report["calibration_report"]),
        cards=_cards(report),
        cards_note=_cards_note(report),
        caveats=caveats(report),
        plots=_plots(report),
        test_section=Markup(consulted.section(tests)),  # noqa: S704  # escaped by its template
        test_caveat=Markup(consulted.caveat(tests)),  # noqa: S704  # escaped
        errors=_errors(report["worst"], _pictures(report["worst"], thumbnails or {})),
        roc_rows=tables.roc_rows(report),
        sweep_rows=tables.sweep_rows(report),
        reliability_rows=tables.reliability_rows(report),
        learning_rows=tables.learning_rows(report),
        candidate_rows=tables.candidate_rows(report),
        reproduce_rows=tables.reproduce_rows(report),
    )  # fmt: skip


def _plots(report: Report) -> dict[str, Any]:
    curves, threshold = report["curves"], report["threshold"]
    own = _own_lines(report)
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


def _own_lines(report: Report) -> dict[str, Any]:
    """The lines of the sweep at the head's own thresholds, by what a plot calls them."""
    band = report["review_from"]
    names = {report["threshold"]: "this head" if band is None else f"{report['positive']} from here"}
    if band is not None:
        names[band] = "review from here"
    return {names[row["threshold"]]: row for row in report["sweep"] if row["threshold"] in names}


class _Some(dict[str, Any]):
    """A slice of one value has no plot: nothing, where a template would else fail."""

    def __missing__(self, name: str) -> str:
        return ""


def _cards(report: Report) -> list[dict[str, Any]]:
    """The figures of the first screen. With a band they are the contract's: a scan sent to review is no miss."""
    figures, name = report["out_of_fold"], report["positive"]
    one, measured = figures["per_class"][name], report["contract"].get("measured")
    recall = one["recall"], one["intervals"]["recall"]
    alarms = one["false_positive_rate"], one["intervals"]["false_positive_rate"]
    if report["review_from"] is not None and measured:
        recall, alarms = ((part["value"], part) for part in (measured["recall"], measured["false_alarms"]))
    shown = [
        ("AUC", figures["auc"], figures["auc_interval"]),
        (f"Recall of {name}", *recall),
        ("False-alarm rate", *alarms),
        (f"Precision of {name}", one["precision"], one["intervals"]["precision"]),
        ("Accuracy", figures["accuracy"], figures["accuracy_interval"]),
    ]
    if report["review_from"] is not None:
        shown.append(("Share sent to review", figures["review_share"], report["contract"].get("review")))
    return [
        {"name": label, "value": value, "low": interval and interval["low"], "high": interval and interval["high"]}
        for label, value, interval in shown
        if value is not None
    ]


def _cards_note(report: Report) -> str:
    level = percent(report["out_of_fold"]["intervals"]["level"])
    band = " A scan sent to review is neither missed nor a false alarm; precision and accuracy are of the rows decided."
    said = f"Out of fold, with {level} intervals; bars run from 0 to 1."
    return said + (band if report["review_from"] is not None else "")


def _single_values(by: Report) -> str:
    """Slices that are none: everything has one value."""
    return ", ".join(f"{name} {found[0]['value']}" for name, found in by.items() if len(found) == 1)


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
