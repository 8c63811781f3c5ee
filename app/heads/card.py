"""A model card in Hugging Face form (YAML front matter and Markdown), written from a report. Light."""

import json
from collections.abc import Mapping
from typing import Any

from app.heads.report.caveats import caveats, of_tests, sentence

Report = Mapping[str, Any]


def model_card(report: Report, *, licence: str = "other") -> str:
    """Return the card of a head version; `report` is what training returned, or its stored JSON.

    `tests` in it, a list, are what the head scored on test rows since.
    """
    sections = [
        _front_matter(report, licence),
        _summary(report),
        _intended_use(report),
        _contract(report),
        _figures(report),
        *map(test_section, report.get("tests", [])),
        _calibration(report),
        _limits(report),
        _training(report),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _front_matter(report: Report, licence: str) -> str:
    fields = {
        "license": licence,
        "library_name": "onnx",
        "pipeline_tag": "image-classification",
        "tags": ["x-ray", "penumbra", report["task"]],
        "model-index": [{"name": f"{report['task']} {report['algorithm']}", "results": _results(report)}],
    }
    # A JSON value is a YAML value: no YAML writer is needed, and nothing in a name can break out of its quotes.
    lines = [f"{name}: {json.dumps(value)}" for name, value in fields.items()]
    return "\n".join(["---", *lines, "---"])


def _results(report: Report) -> list[dict[str, Any]]:
    """One result for the out-of-fold rows, and one for each set of test rows."""
    name = (report.get("dataset") or {}).get("name", f"{report['task']} training rows")
    rows = [(name, report["training_digest"], "train, out of fold", report["out_of_fold"])]
    rows += [(test["dataset"], test["digest"], "test", test["figures"]) for test in report.get("tests", [])]
    return [
        {
            "task": {"type": "image-classification"},
            "dataset": {"name": dataset, "type": digest, "split": split},
            "metrics": _metrics(report["positive"], figures, "out of fold" if split != "test" else "test rows"),
        }
        for dataset, digest, split, figures in rows
    ]


def _metrics(positive: str, figures: Report, rows: str) -> list[dict[str, Any]]:
    named = [
        ("roc_auc", f"AUC, {rows}", figures["auc"]),
        ("balanced_accuracy", f"Balanced accuracy, {rows}", figures["balanced_accuracy"]),
        ("recall", f"Recall of {positive}", figures["per_class"][positive]["recall"]),
    ]
    return [{"type": kind, "name": name, "value": round(value, 4)} for kind, name, value in named if value is not None]


def _summary(report: Report) -> str:
    features, band = report["feature_set"], report.get("review_from")
    review = "" if band is None else f", and goes to **review** from {band:.4f} on"
    return (
        f"# {report['task']}: {report['algorithm']}\n\n"
        f"Tells {', '.join(report['classes'])} apart from stored X-ray features. A scan is **{report['positive']}** "
        f"when that probability is at least {report['threshold']:.4f}{review} "
        f"(policy: {report.get('decides_by', report['policy'])}).\n\n"
        f"Reads the `{report['pooling']}` vectors of feature set {features['name']} (`{features['digest']}`) "
        "and no others. A decision aid, not a diagnosis and no clearance: a person decides."
    )


def _intended_use(report: Report) -> str:
    return (
        "## Intended use\n\n"
        f"To order and preselect scans for people who judge them: which are likely **{report['positive']}**, which are "
        f"not, {'and which nobody should decide unseen' if report.get('review_from') is not None else 'and how sure'}. "
        "For scans of the kind that it was trained on, through the same feature set. Not to be used alone where a "
        "wrong answer harms somebody, nor on other kinds of scans, sites or devices before it was tested on theirs."
    )


def _contract(report: Report) -> str:
    promised = report.get("contract", {}).get("sentence")
    if not promised:
        return ""
    scope = "It speaks of scans drawn like the training rows were, from subjects that were not among them."
    return f"## Contract\n\n{promised}." + (f"\n\n{scope}" if report["contract"].get("promises") else "")


def _figures(report: Report) -> str:
    alone = "subject" if report["grouped"] else "row (no subjects were given)"
    return (
        f"## Figures\n\nOut of fold: each row scored by models that saw no row of its {alone}. "
        "A new site or scanner is a shift that these figures do not show.\n\n" + _measured(report["out_of_fold"])
    )


def test_section(test: Report) -> str:
    """Return what a head scored on the test rows of one dataset, as a section of its card."""
    return (
        f"## Test rows of {test['dataset']}\n\nDigest `{test['digest']}`. They took no part in training and were "
        f"scored once for this head; {test['consultations']} head{'s have' if test['consultations'] > 1 else ' has'} "
        f"been scored on them.\n\n" + _measured(test["figures"])
    )


def _measured(figures: Report) -> str:
    interval = figures["auc_interval"]
    auc = "AUC not defined: one class only" if figures["auc"] is None else f"AUC {figures['auc']:.4f}"
    if interval:
        bounds = f"{interval['low']:.4f} to {interval['high']:.4f}"
        auc += f" (95 % interval {bounds}, {interval['resampled']}s resampled)"
    balanced, review = figures["balanced_accuracy"], figures.get("review_share") or 0.0
    said = [
        auc,
        *([] if balanced is None else [f"balanced accuracy {balanced:.4f}"]),
        f"Brier score {figures['brier']:.4f}",
    ]
    said += [f"{review:.1%} left to review"] if review else []
    names = {"precision": "precision", "recall": "recall", "f1": "F1"}
    names |= {"false_positive_rate": "false positives", "false_negative_rate": "false negatives"}
    names = {key: name for key, name in names.items() if all(key in one for one in figures["per_class"].values())}
    head = [f"| class | {' | '.join(names.values())} | rows |", f"|---|{'---|' * len(names)}---|"]
    rows = [
        f"| {name} | {' | '.join(_cell(one, key) for key in names)} | {one['support']} |"
        for name, one in figures["per_class"].items()
    ]
    return f"{', '.join(said)}.\n\n" + "\n".join([*head, *rows])


def _cell(one: Report, key: str) -> str:
    bounds = one.get("intervals", {}).get(key)
    return f"{one[key]:.3f}" + (f" ({bounds['low']:.3f}-{bounds['high']:.3f})" if bounds else "")


def _calibration(report: Report) -> str:
    found = report.get("reliability")
    if not found:
        return ""
    method = report.get("calibration_report", {}).get("method", "none")
    stated = report.get("prevalence")
    mix = (
        "" if stated is None else f" Probabilities are then moved to a stated share of {stated:g} {report['positive']}."
    )
    return (
        f"## Calibration\n\nMethod: {method}. Brier score {found['brier']:.4f}, expected calibration error "
        f"{found['expected_calibration_error']:.4f}, of probabilities whose calibration had not seen the row.{mix}"
    )


def _limits(report: Report) -> str:
    if "reliability" not in report:  # a report of an earlier version says less than this needs
        return ""
    texts = [*map(sentence, of_tests(report.get("tests", []))), *caveats(report)]
    return "## Limits\n\n" + "\n".join(f"- {text}" for text in texts)


def _training(report: Report) -> str:
    libraries = ", ".join(f"{name} {version}" for name, version in report["libraries"].items())
    parity, dataset = report["parity"], report.get("dataset")
    frozen = f" Dataset {dataset['name']}." if dataset else ""
    copies = report.get("augmented_rows")
    augmented = f" {copies:,} augmented copies ({report['augmentation']}) in training folds." if copies else ""
    return (
        f"## Training\n\n{report['rows']} rows of {report['groups']} subjects, {report['folds']} folds by subject, "
        f"seed {report['seed']}. Parameters: `{json.dumps(report['params'], sort_keys=True)}`, class weight: "
        f"`{json.dumps(report['class_weight'])}`.{frozen} Digest of ids, classes and feature set: "
        f"`{report['training_digest']}`.{augmented}\n\nThe ONNX graph differs from its trainer by at most "
        f"{parity['max_difference']:.2g} on {parity['rows']} rows (bound {parity['bound']:g}). {libraries}."
    )
