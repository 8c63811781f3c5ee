"""`python -m benchmarks.backbone_table`: one table of what backbones' features are worth.

Each backbone is DenseNet121 with weights of its own; scans, heads and figures are the same for all. Prepared scans
and vectors are kept in the cache: a run that adds a backbone costs that backbone's vectors, and the heads.
"""

import argparse
import json
import os
import platform
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from app.errors import AppError, InvalidInput
from app.features.engines.processor import model_name
from benchmarks.backbone import change, containers, corpus, figures, hard, judging, plot, questions
from benchmarks.backbone.prepared import Job, Prepared, prepare
from benchmarks.backbone.sizes import BRIEF, FULL, Sizes
from benchmarks.backbone.vectors import Backbone, Selection, usable_precision, where, whole
from benchmarks.backbone.writing import markdown

Work = Callable[[Sequence[Backbone]], dict[str, Any]]
SECTIONS = (*(one.name for one in questions.QUESTIONS), "containers", "hard", "change")


@dataclass(frozen=True)
class Scans:
    """Where the scans of a run come from: keep takes simulated ones though the simulator has changed since."""

    corpus: Path
    sizes: Sizes
    cache: Path
    keep: bool
    made: list[Prepared] = field(default_factory=list)

    def simulated(self, name: str, jobs: Sequence[Job]) -> Prepared:
        from benchmarks.backbone import simulated

        self.made.append(prepare(name, jobs, self.cache, code=simulated.code, keep=self.keep))
        return self.made[-1]

    @property
    def outdated(self) -> list[str]:
        """Sets that an earlier simulator made."""
        from benchmarks.backbone import simulated

        return [one.name for one in self.made if one.code != simulated.code()]


def measure(scans: Scans, backbones: Sequence[Backbone], wanted: Sequence[str]) -> dict[str, Any]:
    """Every section that is wanted, by name. Raises InvalidInput for what the corpus lacks."""
    films = [
        (one.name, questions.scans_of(one, scans.corpus, scans.sizes, scans.cache))
        for one in questions.QUESTIONS if one.name in wanted
    ]  # fmt: skip
    works = [(name, partial(questions.measure, found)) for name, found in films] + _simulated(scans, wanted)
    return {name: timed(name, lambda work=work: work(backbones)) for name, work in works}


def _simulated(scans: Scans, wanted: Sequence[str]) -> list[tuple[str, Work]]:
    """The sections that need simulated scans, which are prepared here."""
    if not {"containers", "hard", "change"} & set(wanted):
        return []
    from benchmarks.backbone import simulated

    sizes, found = scans.sizes, list[tuple[str, Work]]()
    real = prepare("containers", corpus.containers(scans.corpus), scans.cache) if "containers" in wanted else None
    day = scans.simulated("day", simulated.day(sizes.day))
    extra = scans.simulated("extra", simulated.extra(sizes.extra))
    unknown = scans.simulated("unknown", simulated.unknown(sizes.unknown))
    plain = [part for one in (day, unknown) for part in where(one, "view", "plain").parts]
    learned = Selection((*plain, *whole(extra).parts))
    if real is not None:
        found.append(("containers", partial(containers.measure, (day, unknown), real)))
    if "hard" in wanted:
        found.append(("hard", partial(hard.measure, learned, scans.simulated("hard", simulated.hard(sizes)))))
    if "change" in wanted:
        found.append(
            ("change", partial(change.measure, scans.simulated("scenes", simulated.scenes(sizes.scenes)), learned))
        )
    return found


def timed(name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    began = time.perf_counter()
    found = work()
    print(f"section {name}: {time.perf_counter() - began:.1f} s", file=sys.stderr, flush=True)
    return found


def write(results: dict[str, Any], out: Path) -> None:
    """results.json, results.md and, where it was measured, mass-curve.png."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (out / "results.md").write_text(markdown(results))
    if "hard" in results["sections"]:
        plot.plot(results["sections"]["hard"], questions.HEADLINE.value, out / "mass-curve.png")


def about(given: argparse.Namespace, sizes: Sizes, precision: str, seconds: float) -> dict[str, Any]:
    weights = " ".join(f"--weights {shlex.quote(f'{name}={Path(file).name}')}" for name, file in given.weights)
    options = " --brief" * given.brief + " --keep-scans" * given.keep_scans
    if given.only != list(SECTIONS):
        options += f" --only {','.join(given.only)}"
    libraries = ", ".join(f"{name} {version(name)}" for name in ("openvino", "scikit-learn", "numpy", "pillow"))
    return {
        "when": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores of {model_name()}",
        "libraries": f"Python {platform.python_version()}, {libraries}",
        "command": f"python -m benchmarks.backbone_table --corpus CORPUS {weights} --out OUT{options}",
        "precision": precision,
        "brief": given.brief,
        "sizes": sizes.to_json(),
        "grid": ", ".join(f"{c:g}" for c in judging.GRID),
        "folds": judging.FOLDS,
        "inner_folds": judging.INNER_FOLDS,
        "seeds": f"{judging.SEED} for folds and subsets, {figures.SEED} for resamples; simulated scans 7 to 13",
        "replicates": figures.REPLICATES,
        "seconds": round(seconds),
    }


def named(text: str) -> tuple[str, str]:
    name, sign, file = text.partition("=")
    if not (sign and name.strip() and file):
        raise argparse.ArgumentTypeError(f"{text!r}: say NAME=FILE.npz, such as v1=weights/v1.npz")
    return name.strip(), file


def sections(text: str) -> list[str]:
    chosen = text.split(",")
    if unknown := set(chosen) - set(SECTIONS):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: say some of {', '.join(SECTIONS)}")
    return chosen


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backbone_table", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="folder of real scans")
    parser.add_argument(
        "--weights", type=named, action="append", required=True, metavar="NAME=FILE",
        help="DenseNet121 weights as .npz; the others are held against the first and the second",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="folder for results.md, results.json, mass-curve.png")
    parser.add_argument("--cache", type=Path, help="folder for scans and vectors; without it nothing is kept")
    parser.add_argument(
        "--keep-scans", action="store_true", help="take simulated scans of the cache though the simulator has changed"
    )
    parser.add_argument("--brief", action="store_true", help="small sets: under a minute for one more backbone")
    parser.add_argument("--precision", default="bf16", choices=["bf16", "fp32"], help="of all backbones")
    parser.add_argument("--only", type=sections, default=list(SECTIONS), help="sections, by commas")
    return parser.parse_args(given)


def run(given: argparse.Namespace, cache: Path) -> None:
    """Raises AppError for weights and folders that are not as they should be, before anything is measured."""
    began, sizes = time.perf_counter(), BRIEF if given.brief else FULL
    names = [name for name, _ in given.weights]
    if len(set(names)) < len(names):
        raise InvalidInput(f"Two weights have one name ({', '.join(names)}): give each its own.")
    if not given.corpus.is_dir():
        raise InvalidInput(f"The corpus {given.corpus} is no folder: name it with --corpus.")
    precision = usable_precision(given.precision)
    backbones = [Backbone.of(name, file, precision, cache) for name, file in given.weights]
    scans = Scans(given.corpus, sizes, cache, given.keep_scans)
    found = measure(scans, backbones, given.only)
    results = {
        "about": about(given, sizes, precision, time.perf_counter() - began) | {"outdated": scans.outdated},
        "weights": {one.name: {"file": one.file, "digest": one.digest} for one in backbones},
        "sections": found,
    }
    write(results, given.out)
    print(f"{given.out / 'results.md'}: {time.perf_counter() - began:.0f} s", file=sys.stderr)


def main(arguments_given: Sequence[str] | None = None) -> int:
    given = arguments(arguments_given)
    try:
        if given.cache is not None:
            run(given, given.cache)
        else:
            with tempfile.TemporaryDirectory(prefix="penumbra-backbones-") as cache:
                run(given, Path(cache))
    except AppError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
