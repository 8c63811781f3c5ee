"""What a sceptic should know before believing a report, said from its own figures. Light."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import mean, stdev
from typing import Any

Report = Mapping[str, Any]
FEW_ROWS = 100
FLAT = 0.001  # of AUC between the two largest training sizes; and a standard error at least, over the folds


def caveats(report: Report) -> list[str]:
    """Return sentences, the gravest first; what `of_tests` says stands before them."""
    return [sentence(text) for text in _clauses(report)]


def sentence(clause: str) -> str:
    return f"{clause[:1].upper()}{clause[1:]}."


def of_tests(tests: Sequence[Report]) -> Iterator[str]:
    """Yield what the test rows, or their absence, mean for the figures."""
    if not tests:
        yield (
            "no test row was scored yet: every figure is out of fold, from the rows that parameters, calibration and "
            "threshold were chosen on"
        )
    for test in tests:
        yield _said(test)
        if test["consultations"] > 1:
            yield (
                f"{test['consultations']} heads were scored on the test rows of {test['dataset']}: choosing the best "
                "of them by these figures makes them flatter it"
            )


def _said(test: Report) -> str:
    figures = test["figures"]
    auc, interval, balanced = figures["auc"], figures["auc_interval"], figures["balanced_accuracy"]
    said = [] if auc is None else [f"AUC {auc:.4f} ({interval['low']:.4f} to {interval['high']:.4f})"]
    said += [] if balanced is None else [f"balanced accuracy {balanced:.4f}"]
    return f"on {figures['rows']:,} test rows of {test['dataset']}, scored once: {', '.join(said) or 'nothing decided'}"


def _clauses(report: Report) -> Iterator[str]:
    yield from _of_size(report)
    yield from (note.rstrip(".") for note in report.get("notes", []))
    yield from _of_slices(report)
    yield from _of_calibration(report)
    yield from _of_learning(report)
    yield "a new site, scanner or mix of goods is a shift that no figure here shows"


def _of_size(report: Report) -> Iterator[str]:
    for name, one in report["out_of_fold"]["per_class"].items():
        independent = one.get("independent_rows", one["support"])
        if independent < FEW_ROWS:
            yield (
                f"class '{name}' has {one['support']} decided rows, worth {independent:g} independent ones: "
                "its rates are known coarsely, as their intervals say"
            )


def _of_slices(report: Report) -> Iterator[str]:
    by = report.get("slices", {}).get("by", {})
    flagged = [f"{name} {part['value']}" for name, found in by.items() for part in found if part["differs"]]
    total = sum(len(found) for found in by.values())
    if flagged:
        shown = ", ".join(flagged[:4]) + (", …" if len(flagged) > 4 else "")
        yield f"{len(flagged)} of {total} slices differ from the whole ({shown}): see Slices"
    if by and not any(len(found) > 1 for found in by.values()):
        yield "all rows are alike in what slices tell apart (one source, one size): whether it holds elsewhere is open"


def _of_calibration(report: Report) -> Iterator[str]:
    if report.get("prevalence"):
        yield (
            f"probabilities are stated for a share of {report['prevalence'] * 100:g} % {report['positive']}, not for "
            "the mix of the training rows; reliability is judged at the rows' own mix, before that shift"
        )
    elif (error := report.get("reliability", {}).get("expected_calibration_error", 0.0)) > 0.05:
        yield f"probabilities are off by {error:.3f} on average: read them as a ranking, not as chances"


def _of_learning(report: Report) -> Iterator[str]:
    points = report.get("learning_curve", {}).get("points", [])
    if len(points) < 2:
        return
    before, last = points[-2]["fold_auc"], points[-1]["fold_auc"]
    gains = [after - earlier for after, earlier in zip(last, before, strict=False)]  # fold by fold
    gain = mean(gains)
    if len(gains) > 1 and gain > max(FLAT, stdev(gains) / len(gains) ** 0.5):
        yield (
            f"the learning curve still rises (AUC +{gain:.4f} from {points[-2]['share'] * 100:g} % of the subjects "
            "to all): more scans would help"
        )
