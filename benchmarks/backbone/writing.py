"""results.md: one table of all backbones, and the tables behind each of its columns."""

from collections.abc import Iterable, Sequence
from typing import Any

from app.heads.pooling import Pooling
from benchmarks.backbone.hard import THRESHOLDS
from benchmarks.backbone.questions import HEADLINE, QUESTIONS

Results = dict[str, Any]
WHERE = {
    "each": "each scanner's own empties",
    "own": "all held-out empties",
    "transferred": "empties of random scanners",
}


def markdown(results: Results) -> str:
    """All that was measured; sections that were left out are left out."""
    sections = results["sections"]
    parts = [_head(results), _overview(results)]
    parts += [_question(one.name, one.title, sections) for one in QUESTIONS if one.name in sections]
    if "containers" in sections:
        parts.append(_containers(sections["containers"]))
    if "hard" in sections:
        parts += [_curve(sections["hard"]), _cases(sections["hard"])]
    if "change" in sections:
        parts.append(_change(sections["change"]))
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _head(results: Results) -> str:
    about, weights = results["about"], results["weights"]
    brief = " These are the small sets of `--brief`: figures for ablations, not for claims." if about["brief"] else ""
    if about["outdated"]:
        brief += f" Scans kept of an earlier state of the simulator: {', '.join(about['outdated'])}."
    listed = table(
        ("backbone", "file", "digest"),
        [(name, one["file"], f"`{one['digest'][:16]}`") for name, one in weights.items()],
    )
    return f"""# Backbones compared by their features

{about["when"]}, {about["machine"]}, {about["libraries"]}; {about["seconds"]} s, of which vectors that were kept from
an earlier run took none. DenseNet121 throughout, engine openvino/{about["precision"]} for all.{brief}

```console
$ {about["command"]}
```

{listed}

Every figure comes from the same head: logistic regression on features standardised as in Penumbra's own heads, classes
weighing the same, C from {about["grid"]} by least held-out loss within the training rows. Headline pooling: **both**
(average and max together). Seeds: {about["seeds"]}. Intervals are 95 %: of AUC and of differences by bootstrap over
subjects ({about["replicates"]} resamples), of shares exact (Clopper and Pearson)."""


def _overview(results: Results) -> str:
    sections = results["sections"]
    rows = [[name, *(cell for _, cell in _cells(sections, name))] for name in results["weights"]]
    head = ["backbone", *(title for title, _ in _cells(sections, next(iter(results["weights"]))))]
    return "## All of it\n\n" + table(head, rows)


def _cells(sections: Results, name: str) -> list[tuple[str, str]]:
    """Title and content of each column for one backbone."""
    found = []
    for question in QUESTIONS:
        if question.name in sections:
            one = sections[question.name]["backbones"][name][HEADLINE.value]
            found.append((f"{question.name}: AUC, accuracy", f"{one['auc']:.4f}, {one['accuracy']:.4f}"))
    if "containers" in sections:
        part = sections["containers"]
        for view, by_name in part["views"].items():
            one = by_name[name][HEADLINE.value]
            errors = one["policies"][part["policies"][0]]["errors"]
            found.append((f"real containers, {view}: AUC, errors of {part['real']}", f"{one['auc']:.3f}, {errors}"))
    if "hard" in sections:
        one = sections["hard"]["backbones"][name][HEADLINE.value]
        found += [(f"half found from, kg ({WHERE[way]})", _kg(one[way]["half_found_kg"])) for way in THRESHOLDS]
    if "change" in sections:
        one = sections["change"]["backbones"][name][HEADLINE.value]
        found.append(("nuisance / 50 kg", f"{one['standardised']['ratio']['all']:.2f}"))
    return found


def _question(name: str, title: str, sections: Results) -> str:
    part = sections[name]
    note = next(one.note for one in QUESTIONS if one.name == name)
    rows = [
        [backbone, pooling, _with(one["auc"], one["auc_low"], one["auc_high"]), f"{one['accuracy']:.4f}",
         str(one["errors"]), ", ".join(f"{c:g}" for c in one["c"])]
        for backbone, by_pooling in part["backbones"].items() for pooling, one in by_pooling.items()
    ]  # fmt: skip
    text = (
        f"## {title}\n\n{part['images']:,} images of {part['subjects']:,} subjects, {part['positive']:,} positive "
        f"({note}); each scored by a head that saw nothing of its subject, five folds.\n\n"
    )
    text += table(("backbone", "pooling", "AUC (95 %)", "accuracy", "errors", "C of each fold"), rows)
    if not part["differences"]:
        return text
    differences = [
        [f"{one['of']} - {one['from']}", _signed(one["difference"]), f"{_signed(one['low'])} to {_signed(one['high'])}"]
        for one in part["differences"]
    ]
    return text + "\n\n" + table(("difference of AUC, both", "", "95 %, subjects drawn together"), differences)


def _containers(part: Results) -> str:
    head = ["backbone", "pooling", "simulated AUC", "real AUC", *(f"errors at {one}" for one in part["policies"])]
    text = (
        f"## Empty or loaded: trained on {part['simulated']:,} simulated scans, tested on {part['real']} real ones "
        f"({part['real_loaded']} loaded)\n\nThresholds come from simulated scans, out of fold; the first policy is "
        "what Penumbra does by default. Errors: loaded scans missed + empty scans called loaded."
    )
    for view, by_name in part["views"].items():
        rows = [
            [backbone, pooling, f"{one['simulated_auc']:.4f}", f"{one['auc']:.3f}",
             *map(_errors, one["policies"].values())]
            for backbone, by_pooling in by_name.items() for pooling, one in by_pooling.items()
        ]  # fmt: skip
        named = "the `container` profile, first region" if view == "container" else "plain pixels, as displayed"
        text += f"\n\nPrepared as {named}:\n\n" + table(head, rows)
    return text


def _errors(found: Results | None) -> str:
    return "too few scans" if found is None else f"{found['errors']} ({found['missed']} + {found['false_alarms']})"


def _curve(part: Results) -> str:
    masses = [f"{kg:g}" for kg in part["masses_kg"]]
    text = (
        f"## Hidden loads: recall at 1 % false alarms, by mass\n\nHeads learned from {part['trained']:,} scans of the "
        f"training scanners and of scanners drawn at random ({part['trained_loaded']:,} loaded). Tested on scanners "
        f"that none was trained on: {part['scenes']} scenes, each with every mass, and {part['empties']} empties; "
        "plain pixels.\n\n"
        "![Recall by mass](mass-curve.png)"
    )
    for way in THRESHOLDS:
        rows = []
        for backbone, by_pooling in part["backbones"].items():
            for pooling, one in by_pooling.items():
                found = one[way]
                alarms, half = found["false_alarms"]["share"], _kg(found["half_found_kg"])
                shares = [f"{point['share']:.2f}" for point in found["curve"].values()]
                rows.append([backbone, pooling, *shares, half, f"{alarms:.3f}"])
        head = ["backbone", "pooling", *(f"{kg} kg" for kg in masses), "half found from, kg", "false alarms"]
        text += f"\n\nThreshold at 1 % among {WHERE[way]}:\n\n" + table(head, rows)
    auc = [
        [backbone, pooling, *(f"{one['auc'][kg]:.3f}" for kg in masses)]
        for backbone, by_pooling in part["backbones"].items() for pooling, one in by_pooling.items()
    ]  # fmt: skip
    text += "\n\nAUC against the same empties, without a threshold:\n\n"
    text += table(["backbone", "pooling", *(f"{kg} kg" for kg in masses)], auc)
    return text + _scanners(part) + _places(part) + _curve_differences(part)


def _scanners(part: Results) -> str:
    first = next(iter(part["backbones"].values()))[HEADLINE.value]["by_scanner"]
    rows = [
        [backbone, pooling, *(f"{found['mean_recall']:.3f}, {found['mean_auc']:.3f}"
                              for found in one["by_scanner"].values())]
        for backbone, by_pooling in part["backbones"].items() for pooling, one in by_pooling.items()
    ]  # fmt: skip
    text = "\n\nOne scanner at a time, its threshold at 1 % of its own empties; mean recall and AUC over the masses:"
    return text + "\n\n" + table(["backbone", "pooling", *first], rows)


def _places(part: Results) -> str:
    masses = [f"{kg:g}" for kg in part["masses_kg"]]
    rows = []
    for backbone, by_pooling in part["backbones"].items():
        for place, by_mass in by_pooling[HEADLINE.value]["by_place"].items():
            found = [by_mass.get(kg, {"found": 0, "of": 0}) for kg in masses]
            rows.append([backbone, place, *(f"{one['found']} of {one['of']}" for one in found)])
    text = "\n\nWhere the loads are that are found, both poolings, thresholds at 1 % of each scanner's own empties:"
    return text + "\n\n" + table(["backbone", "place", *(f"{kg} kg" for kg in masses)], rows)


def _curve_differences(part: Results) -> str:
    if not part["differences"]:
        return ""
    rows = [
        [f"{pair['of']} - {pair['from']}", *(_with(pair[way]["difference"], pair[way]["low"], pair[way]["high"], 3)
                                             for way in THRESHOLDS)]
        for pair in part["differences"]
    ]  # fmt: skip
    head = ["difference of mean recall, both (95 %)", *(WHERE[way] for way in THRESHOLDS)]
    return "\n\n" + table(head, rows)


def _cases(part: Results) -> str:
    first = next(iter(part["backbones"].values()))[HEADLINE.value]
    cases = list(first["own"]["cases"])
    text = "## Hard cases on held-out scanners, both poolings\n\nRecall of loaded cases, false alarms of empty ones."
    for way in THRESHOLDS:
        rows = [
            [backbone, *(f"{one[HEADLINE.value][way]['cases'][case]['share']:.2f}" for case in cases)]
            for backbone, one in part["backbones"].items()
        ]
        head = [case if case in first["loaded_cases"] else f"{case} (false alarms)" for case in cases]
        text += f"\n\nThreshold among {WHERE[way]}:\n\n" + table(["backbone", *head], rows)
    return text


def _change(part: Results) -> str:
    text = (
        f"## What moves an embedding: nuisances against a hidden load of 50 kg\n\n{part['scenes']} scenes, plain "
        f"pixels. Ratio of median cosine distances, nuisance over load; below 1 the load moves the embedding more. "
        f"Standardised as heads see vectors (scale of {part['reference']:,} training scans), and raw."
    )
    for pooling in (HEADLINE, Pooling.AVG, Pooling.MAX):
        rows, head = [], list[str]()
        for backbone, by_pooling in part["backbones"].items():
            for space, one in by_pooling[pooling.value].items():
                head = ["backbone", "vectors", "load (distance)", *one["ratio"]]
                rows.append([backbone, space, f"{one['load']:.2g}", *(f"{r:.2f}" for r in one["ratio"].values())])
        text += f"\n\nPooling {pooling.value}:\n\n" + table(head, rows)
    return text


def _kg(mass: float | None) -> str:
    return "never" if mass is None else f"{mass:.3g}"


def _signed(value: float) -> str:
    return f"{value:+.4f}"


def _with(value: float, low: float, high: float, digits: int = 4) -> str:
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
