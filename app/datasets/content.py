"""What a dataset says, apart from the store that it lies in."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Entry(NamedTuple):
    """One row: the region `ordinal` of the image with these bytes, its class, its subject and its split."""

    sha256: bytes
    ordinal: int
    class_name: str
    subject: str
    split: str


def digest(entries: Iterable[Entry], *, feature_set: str, classes: Sequence[str], positive: str) -> str:
    """Return SHA-256 (hex) of what the rows say, whatever their order and the ids that a store gave them.

    `feature_set` is the digest of the vectors' feature set: the vectors follow from it and the images' bytes.
    """
    running = hashlib.sha256(json.dumps(["penumbra-dataset-1", feature_set, list(classes), positive]).encode())
    for entry in sorted(entries):
        running.update(b"\n" + json.dumps([entry.sha256.hex(), *entry[1:]]).encode())
    return running.hexdigest()


def counts(entries: Iterable[Entry], *, splits: Sequence[str], classes: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return rows by split and class; every split and class is named, also those without a row."""
    found = {split: dict.fromkeys(classes, 0) for split in splits}
    for entry in entries:
        found[entry.split][entry.class_name] += 1
    return found
