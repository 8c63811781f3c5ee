"""What `backbone train --wait` does once a network is trained: fill its feature set, train heads, compare them."""

import time
from typing import Any

from app.cli.comparison import cells
from app.cli.follow import follow
from app.cli.output import console, print_table, progress_bar
from app.cli.store import Store, actor
from app.db import transaction
from app.errors import Unavailable
from app.models import BackboneTraining, Dataset, Head
from app.services import backbone_heads, backbones, backfill, recipes, stats

LOOK_SECONDS = 0.5


def compare(store: Store, training: BackboneTraining) -> list[dict[str, Any]]:
    """Wait for the vectors, train the default head on them and, where there is none, on the former ones.

    What each scored on the same test rows. Raises Unavailable when no extraction worker is alive.
    """
    _filled(store, training)
    with transaction(store.sessions) as session:
        before = backbones.dataset_of(session, training)
        after = backbone_heads.frozen_alike(session, training, author=actor())
        known = backbone_heads.newest_head(session, before)
    heads = [("before", before, known or _trained(store, before)), ("after", after, _trained(store, after))]
    found = []
    with transaction(store.sessions) as session:
        for when, dataset, head in heads:
            figures = backbone_heads.test_figures(session, head)
            found.append({
                "when": when, "dataset": dataset.full_name, "version": head.version, "algorithm": head.algorithm,
                "positive": dataset.positive, "figures": figures,
            })  # fmt: skip
    return found


def print_compared(found: list[dict[str, Any]]) -> None:
    """Both heads on the test rows, which neither the network nor they have seen."""
    tested = [one for one in found if one["figures"]]
    if not tested:
        console.print("The dataset has no test rows, so nothing here tells what the training was worth.")
        return
    console.print(f"{tested[0]['figures']['rows']} test rows, seen by neither network nor heads:", style="bold")
    rows = [
        [one["when"], one["dataset"], f"v{one['version']}", *cells(one["figures"], one["positive"])] for one in tested
    ]
    print_table(["", "dataset", "head", "AUC", "accuracy", f"recall of {tested[0]['positive']}", "false alarms"], rows)


def _trained(store: Store, dataset: Dataset) -> Head:
    with transaction(store.sessions) as session:
        job, head = recipes.queue(
            session, dataset.task, {"params": {"C": [0.001, 0.01, 0.1]}}, dataset=dataset.full_name, feature_set=None,
            otherwise=None, author=actor(),
        )  # fmt: skip
    follow(store, job, f"head on {dataset.full_name}")
    with transaction(store.sessions) as session:
        return session.get_one(Head, head.id)


def _filled(store: Store, training: BackboneTraining) -> None:
    """Return when no image waits for its vectors in the new feature set."""
    patience = time.monotonic() + store.settings.alive_seconds
    with progress_bar("extracting") as (bar, line):
        while True:
            with transaction(store.sessions) as session:
                feature_set = backbone_heads.feature_set_of(session, training)
                now = backfill.coverage(session, feature_set)
                alive = stats.alive_workers(session, within_seconds=store.settings.alive_seconds)
            bar.update(line, completed=now.done, total=now.applicable)
            if not now.pending:
                return
            if any(worker.kind == "extract" for worker in alive):
                patience = time.monotonic() + store.settings.alive_seconds
            elif time.monotonic() > patience:
                raise Unavailable(
                    f"Feature set {training.name} waits for {now.pending:,} images, but no extraction worker runs on "
                    "this store; start `penumbra up` (or `penumbra worker extract`)."
                )
            time.sleep(LOOK_SECONDS)
