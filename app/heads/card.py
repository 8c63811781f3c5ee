"""A model card in Hugging Face form (YAML front matter and Markdown), written from a report. Light."""

import json
from collections.abc import Mapping
from typing import Any

Report = Mapping[str, Any]


def model_card(report: Report, *, licence: str = "other") -> str:
    """Return the card of a head version; `report` is what training returned, or its stored JSON."""
    sections = [_front_matter(report, licence), _summary(report), _figures(report), _training(report)]
    return "\n\n".join(sections) + "\n"


def _front_matter(report: Report, licence: str) -> str:
    figures = report["out_of_fold"]
    metrics = [
        {"type": "roc_auc", "name": "AUC, out of fold", "value": round(figures["auc"], 4)},
        {
            "type": "balanced_accuracy",
            "name": "Balanced accuracy, out of fold",
            "value": round(figures["balanced_accuracy"], 4),
        },
        {"type": "recall", "name": f"Recall of {report['positive']}", "value": round(_recall(report), 4)},
    ]
    result = {
        "task": {"type": "image-classification"},
        "dataset": {"name": f"{report['task']} training rows", "type": report["training_digest"]},
        "metrics": metrics,
    }
    fields = {
        "license": licence,
        "library_name": "onnx",
        "pipeline_tag": "image-classification",
        "tags": ["x-ray", "penumbra", report["task"]],
        "model-index": [{"name": f"{report['task']} {report['algorithm']}", "results": [result]}],
    }
    # A JSON value is a YAML value: no YAML writer is needed, and nothing in a name can break out of its quotes.
    lines = [f"{name}: {json.dumps(value)}" for name, value in fields.items()]
    return "\n".join(["---", *lines, "---"])


def _recall(report: Report) -> float:
    return float(report["out_of_fold"]["per_class"][report["positive"]]["recall"])


def _summary(report: Report) -> str:
    features = report["feature_set"]
    return (
        f"# {report['task']}: {report['algorithm']}\n\n"
        f"Tells {', '.join(report['classes'])} apart from stored X-ray features. A scan is **{report['positive']}** "
        f"when that probability is at least {report['threshold']:.4f} (policy: {report['policy']}).\n\n"
        f"Reads the `{report['pooling']}` vectors of feature set {features['name']} (`{features['digest']}`) "
        "and no others. A decision aid, not a diagnosis and no clearance: a person decides."
    )


def _figures(report: Report) -> str:
    figures = report["out_of_fold"]
    interval = figures["auc_interval"]
    low, high = interval["low"], interval["high"]
    alone = "subject" if report["grouped"] else "row (no subjects were given)"
    head = "| class | precision | recall | F1 | rows |\n|---|---|---|---|---|"
    rows = [
        f"| {name} | {one['precision']:.3f} | {one['recall']:.3f} | {one['f1']:.3f} | {one['support']} |"
        for name, one in figures["per_class"].items()
    ]
    return (
        f"## Figures\n\nOut of fold: each row scored by models that saw no row of its {alone}. "
        "A new site or scanner is a shift that these figures do not show.\n\n"
        f"AUC {figures['auc']:.4f} (95 % interval {low:.4f} to {high:.4f}, {interval['resampled']}s resampled), "
        f"balanced accuracy {figures['balanced_accuracy']:.4f}, Brier score {figures['brier']:.4f}.\n\n"
        + "\n".join([head, *rows])
    )


def _training(report: Report) -> str:
    libraries = ", ".join(f"{name} {version}" for name, version in report["libraries"].items())
    parity = report["parity"]
    return (
        f"## Training\n\n{report['rows']} rows of {report['groups']} subjects, {report['folds']} folds by subject, "
        f"seed {report['seed']}. Parameters: `{json.dumps(report['params'], sort_keys=True)}`, class weight: "
        f"`{json.dumps(report['class_weight'])}`. Digest of ids, classes and feature set: "
        f"`{report['training_digest']}`.\n\n"
        f"The ONNX graph differs from its trainer by at most {parity['max_difference']:.1e} on {parity['rows']} rows "
        f"(bound {parity['bound']:g}). {libraries}."
    )
