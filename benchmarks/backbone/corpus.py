"""The real scans of the corpus: which files, their classes and their subjects."""

import csv
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from app.errors import InvalidInput
from app.imaging import Limits, Preprocessing, load
from benchmarks.backbone.prepared import Facts, Picture

LIMITS = Limits(max_bytes=1 << 28, max_pixels=80_000_000, min_side=16)
SUBJECT = re.compile(r"^(person\d+|(?:NORMAL2-)?IM-\d+)")
VIEWS = {"plain": Preprocessing()} | {name: Preprocessing.of_profile(name) for name in ("container", "chest")}
SUFFIXES = {".jpg", ".jpeg", ".png"}


def views_of(source: bytes | Path, views: Sequence[str], facts: Facts) -> list[Picture]:
    """The first region of a scan as each of `views` prepares it."""
    return [(load(source, LIMITS, VIEWS[view]), {**facts, "view": view}) for view in views]


class Drawn:
    """A job that draws one scan, as all its fields say, and has it prepared in each of its views."""

    views: tuple[str, ...]

    @property
    def key(self) -> str:
        return repr((self, [VIEWS[view].digest for view in self.views]))

    @property
    def count(self) -> int:
        return len(self.views)


@dataclass(frozen=True)
class File:
    """A scan of the corpus."""

    path: Path = field(repr=False)
    sha256: str
    y: int
    subject: str
    views: tuple[str, ...] = ("plain",)

    @property
    def key(self) -> str:
        return repr((self.sha256, self.y, self.subject, [VIEWS[view].digest for view in self.views]))

    @property
    def count(self) -> int:
        return len(self.views)

    def make(self) -> list[Picture]:
        return views_of(self.path, self.views, {"y": self.y, "subject": self.subject})


def chest(corpus: Path, most: int | None) -> list[File]:
    """Paediatric films; 1 is pneumonia. The patient is in the file's name."""
    return _subset(_folders(corpus, "chest/train", ("NORMAL", "PNEUMONIA"), patient), most)


def original_size(corpus: Path) -> list[File]:
    """Some of the same films before they were squashed to squares."""
    return _folders(corpus, "chest/original_size", ("NORMAL", "PNEUMONIA"), patient)


def covid(corpus: Path, most: int | None) -> list[File]:
    """Films of two collections, one a class; 1 is COVID. Patients are not known."""
    return _subset(_folders(corpus, "covid/train", ("NORMAL", "COVID"), lambda name: name), most)


def orientation(corpus: Path) -> list[File]:
    """Frontal and lateral films; 1 is lateral. The patient is in the manifest."""
    manifest = corpus / "orientation/manifest.csv"
    if not manifest.is_file():
        raise InvalidInput(f"The corpus {corpus} has no orientation/manifest.csv: name its folder with --corpus.")
    with manifest.open(newline="") as lines:
        patients = {Path(row["file"]).name: row["patient"] for row in csv.DictReader(lines)}
    return _folders(corpus, "orientation", ("frontal", "lateral"), lambda name: patients.get(name) or name)


def containers(corpus: Path) -> list[File]:
    """Real container scans; 1 is loaded."""
    found = _folders(corpus, "container", ("empty", "loaded"), lambda name: name)
    return [replace(file, views=("container", "plain")) for file in found]


def patient(name: str) -> str:
    """Whom a film of the Kermany collection shows, by its file's name; the name itself where it does not say."""
    found = SUBJECT.match(name)
    return found[1] if found else name


def _folders(corpus: Path, within: str, classes: tuple[str, str], subject_of: Any) -> list[File]:
    """The images of two class folders, each content once. Raises InvalidInput for a folder that is not there."""
    found: dict[str, File] = {}
    for y, name in enumerate(classes):
        folder = corpus / within / name
        if not folder.is_dir():
            raise InvalidInput(f"The corpus {corpus} has no folder {within}/{name}: name its folder with --corpus.")
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
        if not paths:
            raise InvalidInput(f"Folder {folder} holds no .jpg, .jpeg or .png.")
        for path in paths:
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            found.setdefault(sha256, File(path, sha256, y, subject_of(path.name)))
    return list(found.values())


def _subset(files: list[File], most: int | None, seed: int = 0) -> list[File]:
    """Whole subjects, drawn at random, until each class has its share of `most`."""
    if most is None or most >= len(files):
        return files
    kept: list[File] = []
    for y in (0, 1):
        of_class = [file for file in files if file.y == y]
        kept += _drawn(of_class, round(most * len(of_class) / len(files)), seed)
    return kept


def _drawn(files: Iterable[File], count: int, seed: int) -> list[File]:
    by_subject: dict[str, list[File]] = {}
    for file in files:
        by_subject.setdefault(file.subject, []).append(file)
    subjects, kept = list(by_subject), list[File]()
    for index in np.random.default_rng(seed).permutation(len(subjects)):
        if len(kept) >= count:
            break
        kept += by_subject[subjects[index]]
    return kept
