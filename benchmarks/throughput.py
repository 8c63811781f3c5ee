"""`python -m benchmarks.throughput`: the pipeline against what its parts allow, and the engine against others.

On a processor the stages share the cores, so that no pipeline can be faster than 1 / (1/forward + 1/decode). What is
counted runs from queued jobs of stored files to committed vectors and predictions, by the real worker on the real
embedded Postgres; the upload is not part of it. What is compared is measured in turn, round by round, and the median
of the rounds' ratios counts: a slow minute slows both sides.
"""

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from multiprocessing.pool import Pool
from pathlib import Path

from benchmarks import benchmark_app, end_to_end, stations
from benchmarks.end_to_end import Run
from benchmarks.original_films import CORPUS, original_films
from benchmarks.stations import Pace

FEATURE_SETS = ("densenet121-xray", "densenet121-chest")
FORWARD_IMAGES, DECODED_FILES = 320, 240


@dataclass
class Rounds:
    """What was measured of a feature set, round by round; `forward` and `decode` have one more, before the first."""

    forward: list[Pace] = field(default_factory=list)
    decode: list[Pace] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    def limits(self) -> list[float]:
        """What the parts allow each run, by what they did before and after it."""
        forward, decode = (
            [(a.per_second + b.per_second) / 2 for a, b in pairwise(each)] for each in (self.forward, self.decode)
        )
        return [1 / (1 / f + 1 / d) for f, d in zip(forward, decode, strict=True)]

    def ratios(self) -> list[float]:
        return [run.per_second / limit for run, limit in zip(self.runs, self.limits(), strict=True)]

    def cpu_ratios(self) -> list[float]:
        """The processor time of the parts over that of the whole; what is not theirs is the rest of the pipeline's."""
        parts = [f.cpu + d.cpu for f, d in zip(self.forward, self.decode, strict=True)]
        return [
            (a + b) / 2 / (run.worker_cpu + run.postgres_cpu)
            for (a, b), run in zip(pairwise(parts), self.runs, strict=True)
        ]


@dataclass
class Peers:
    """Images a second of our engine and of others on the same graph, in turn."""

    ours: list[float] = field(default_factory=list)
    app: list[float] = field(default_factory=list)
    predict: list[float] = field(default_factory=list)
    function: list[float] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="films in each run")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each feature set")
    parser.add_argument("--feature-set", action="append", help=f"{' and '.join(FEATURE_SETS)} without it")
    parser.add_argument("--without-peers", action="store_true", help="leave out benchmark_app and Keras")
    parser.add_argument("--json", action="store_true", help="print every round as JSON")
    given = parser.parse_args()
    names = given.feature_set or list(FEATURE_SETS)
    context = multiprocessing.get_context("spawn")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="penumbra-bench-") as folder, context.Pool(1) as pool:
        cache = Path(folder) / "cache"
        engine, images = pool.apply(stations.open_forward, (names[0], str(cache), FORWARD_IMAGES))
        measured = _pipelines(Path(folder), names, given, pool)
        peers = None
        if not given.without_peers:
            with context.Pool(1) as keras:
                peers = _peers(pool, keras, cache, engine, images, given.rounds)
    if given.json:
        rounds = {name: asdict(found) for name, found in measured.items()}
        json.dump({**rounds, "peers": asdict(peers) if peers else None}, sys.stdout, indent=1)
        return 0
    print(f"{_machine()}; load before: {load:.1f}; engine {engine}, passes of {images}; {given.count} JPEG files "
          f"({'films of the corpus' if CORPUS.is_dir() else 'simulated scans'}), {given.rounds} rounds\n")  # fmt: skip
    _print(measured, peers)
    return 0


def _pipelines(folder: Path, names: Sequence[str], given: argparse.Namespace, pool: Pool) -> dict[str, Rounds]:
    """Each feature set's rounds: the parts, a run, the parts again, and so on; the feature sets in turn."""
    data = folder / "data"
    data.mkdir()
    (data / "cache").symlink_to(folder / "cache", target_is_directory=True)
    found = {name: Rounds() for name in names}
    with end_to_end.opened(data, names, original_films(given.count)) as store:
        paths = sorted(str(path) for path in store.settings.blobs.rglob("*") if path.is_file())[:DECODED_FILES]
        with end_to_end.worker(store, folder / "worker.log") as process:
            end_to_end.run(store, names[0], process)  # warms up code, caches, connections
            for turn in range(given.rounds + 1):
                for name, rounds in found.items():
                    rounds.forward.append(pool.apply(stations.forward))
                    rounds.decode.append(pool.apply(stations.decode, (name, paths)))
                    if turn < given.rounds:
                        rounds.runs.append(end_to_end.run(store, name, process))
    return found


def _peers(ours: Pool, keras: Pool, cache: Path, engine: str, images: int, rounds: int) -> Peers:
    """Our engine, OpenVINO's app and Keras, in turn."""
    keras.apply(stations.open_keras)
    found = Peers()
    precision = engine.partition("/")[2].partition("/")[0]
    for _ in range(rounds):
        found.ours.append(ours.apply(stations.forward).per_second)
        found.app.append(benchmark_app.throughput(cache, precision, images))
        found.predict.append(keras.apply(stations.keras_predict).per_second)
        found.function.append(keras.apply(stations.keras_function).per_second)
    return found


def _print(measured: dict[str, Rounds], peers: Peers | None) -> None:
    columns = list(measured)
    print("| what | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
    lines: dict[str, Callable[[Rounds], str]] = {
        "forward pass alone, images/s": lambda r: _median([pace.per_second for pace in r.forward]),
        "decode and resize alone, images/s": lambda r: _median([pace.per_second for pace in r.decode]),
        "limit 1 / (1/forward + 1/decode)": lambda r: _median(r.limits()),
        "files to committed vectors, images/s": lambda r: _median([run.per_second for run in r.runs]),
        "end to end / limit (>= 0.9)": lambda r: _median(r.ratios(), ".3f"),
        "processor time of an image: forward, decode": lambda r: _cpu(r.forward, r.decode),
        "the same, end to end: worker, Postgres": lambda r: _cpu_of_runs(r.runs),
        "parts / whole, of the processor's time": lambda r: _median(r.cpu_ratios(), ".3f"),
    }
    for what, of in lines.items():
        print(f"| {what} | " + " | ".join(of(rounds) for rounds in measured.values()) + " |")
    if peers is None:
        return
    print("\n| engine on the same graph, images/s | | ours / it |\n|---|---|---|")
    print(f"| ours | {_median(peers.ours)} | |")
    for what, figures in (
        ("OpenVINO's benchmark_app (>= 0.95)", peers.app),
        ("Keras `predict`, fp32", peers.predict),
        ("`tf.function`, fp32", peers.function),
    ):
        ratios = [ours / other for ours, other in zip(peers.ours, figures, strict=True)]
        print(f"| {what} | {_median(figures)} | {_median(ratios, '.3f')} |")


def _median(values: Sequence[float], form: str = ".1f") -> str:
    """The median, with the least and the largest."""
    return f"**{statistics.median(values):{form}}** ({min(values):{form}} to {max(values):{form}})"


def _cpu(*parts: Sequence[Pace]) -> str:
    return ", ".join(f"{statistics.median(pace.cpu for pace in part) * 1000:.1f} ms" for part in parts)


def _cpu_of_runs(runs: Sequence[Run]) -> str:
    worker, postgres = (statistics.median(getattr(run, of) for run in runs) for of in ("worker_cpu", "postgres_cpu"))
    return f"{worker * 1000:.1f} ms, {postgres * 1000:.1f} ms"


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
