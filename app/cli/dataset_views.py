"""How datasets are shown on the terminal."""

from typing import Any

from app.cli.output import console, print_table
from app.models import Dataset, Split
from app.services import datasets


def print_dataset(dataset: Dataset) -> None:
    """A dataset for people: its rows, and what must be known of them."""
    console.print(f"{dataset.full_name} of {dataset.task}, {dataset.rows:,} rows")
    print_table(
        ["split", *dataset.classes],
        [[split, *(dataset.counts[split][name] for name in dataset.classes)] for split in Split],
    )
    for note in datasets.notes(dataset):
        console.print(note)
    for pair in dataset.findings.get("duplicates", {}).get("worst", [])[:5]:
        files = " and ".join(str(name or sha[:12]) for name, sha in zip(pair["files"], pair["sha256"], strict=True))
        console.print(f"  {files}: cosine {pair['cosine']}, in {' and '.join(pair['splits'])}")


def said(dataset: Dataset) -> dict[str, Any]:
    """A dataset for programs."""
    names = ("id", "name", "version", "task", "classes", "positive", "digest", "rows", "counts")
    told = {name: getattr(dataset, name) for name in (*names, "selection", "split", "findings", "author")}
    return {**told, "notes": datasets.notes(dataset), "created_at": dataset.created_at}


def words(what: dict[str, Any]) -> str:
    """What was selected, or how it was divided, in a line."""
    return ", ".join(f"{name} {value}" for name, value in what.items()) or "everything"
