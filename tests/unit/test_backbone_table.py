"""The table of backbones: its scans, its vectors, what is kept, and what it says of folders and weights that fail."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.errors import ConfigurationError, InvalidInput
from app.features.weights import resolve
from app.imaging import Preprocessing, prepare
from benchmarks import backbone_table
from benchmarks.backbone import corpus, vectors, writing
from benchmarks.backbone.prepared import SIDE, Facts, Prepared
from benchmarks.backbone.prepared import prepare as prepare_set
from benchmarks.backbone.vectors import Backbone, Selection, Vectors, where


@dataclass(frozen=True)
class Even:
    """A job that makes one even picture."""

    level: float
    count: int = 1

    @property
    def key(self) -> str:
        return repr(self)

    def make(self) -> list[tuple[np.ndarray, Facts]]:
        return [(np.full((SIDE, SIDE), self.level, np.float32), {"level": self.level})] * self.count


class CountingExtractor:
    """Makes vectors of the mean of a scan, and counts how many it was asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def extract(self, batch: np.ndarray) -> Vectors:
        self.asked += len(batch)
        mean = batch.mean(axis=(1, 2))[:, None]
        return Vectors(np.repeat(mean, 1024, axis=1), np.repeat(1 - mean, 1024, axis=1))


def scans(count: int = 3) -> Prepared:
    pixels = np.arange(count, dtype=np.uint16)[:, None, None] * np.ones((1, SIDE, SIDE), np.uint16)
    return Prepared("fake", pixels, [{"y": i % 2, "view": "plain"} for i in range(count)], f"{count:0<64d}")


def backbone(cache: Path) -> Backbone:
    return Backbone("v0", "v0.npz", resolve("densenet121-xray", None), "fp32", cache)


def test_scans_are_prepared_once_and_again_when_the_code_changed(tmp_path: Path) -> None:
    jobs = [Even(0.0), Even(1.0, count=2)]
    made = prepare_set("even", jobs, tmp_path, code=lambda: "a")
    assert made.pixels[:, 0, 0].tolist() == [0, 65535, 65535]
    assert made.column("level").tolist() == [0.0, 1.0, 1.0]
    kept = next((tmp_path / "scans").iterdir()) / "facts.json"
    before = kept.stat().st_mtime_ns
    assert prepare_set("even", jobs, tmp_path, code=lambda: "a").digest == made.digest
    assert kept.stat().st_mtime_ns == before
    assert prepare_set("even", jobs, tmp_path, code=lambda: "b", keep=True).code == "a"
    assert kept.stat().st_mtime_ns == before
    assert prepare_set("even", jobs, tmp_path, code=lambda: "b").code == "b"
    assert kept.stat().st_mtime_ns > before


def test_a_set_whose_code_changes_while_it_is_made_is_not_kept(tmp_path: Path) -> None:
    digests = iter(["a", "b"])
    with pytest.raises(InvalidInput, match="changed while even was prepared: run it again"):
        prepare_set("even", [Even(0.0)], tmp_path, code=lambda: next(digests))
    assert not list((tmp_path / "scans").iterdir())


def test_vectors_are_extracted_once_and_again_where_the_file_is_damaged(tmp_path: Path) -> None:
    extractor = CountingExtractor()
    found = []
    for damage in (False, False, True):
        one = backbone(tmp_path)
        one.__dict__["_extractor"] = extractor
        for file in (tmp_path / "vectors").glob("*.npz") if damage else ():
            file.write_bytes(file.read_bytes()[:5000])
        found.append(one.vectors(scans()))
    assert extractor.asked == 6
    assert all(np.array_equal(one.avg, found[0].avg) and np.array_equal(one.max, found[0].max) for one in found)


def test_vectors_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    class Broken:
        def extract(self, batch: np.ndarray) -> Vectors:
            return Vectors(np.full((len(batch), 1024), np.nan, np.float32), np.zeros((len(batch), 1024), np.float32))

    one = backbone(tmp_path)
    one.__dict__["_extractor"] = Broken()
    with pytest.raises(ConfigurationError, match="v0 makes avg vectors that are not finite"):
        one.vectors(scans())
    assert not list(tmp_path.rglob("*.npz"))


def test_a_selection_joins_rows_of_sets_in_order(tmp_path: Path) -> None:
    one = backbone(tmp_path)
    one.__dict__["_extractor"] = CountingExtractor()
    joined = Selection((*where(scans(3), "y", 1).parts, *where(scans(4), "y", 0).parts))
    assert joined.column("y").tolist() == [1, 0, 0]
    assert joined.vectors(one).avg.shape == (len(joined), 1024) == (3, 1024)


def folder_of(root: Path, **files: list[str]) -> Path:
    for place, names in files.items():
        folder = root / place.replace("__", "/")
        folder.mkdir(parents=True)
        for name in names:
            grey = np.random.default_rng(list(f"{place}/{name}".encode())).integers(0, 256, (30, 40), np.uint8)
            Image.fromarray(grey).save(folder / name, "JPEG")
    return root


def test_patients_are_read_from_names_and_copies_are_left_out(tmp_path: Path) -> None:
    root = folder_of(
        tmp_path,
        chest__train__NORMAL=["IM-0115-0001.jpeg", "NORMAL2-IM-0115-0001.jpeg", "IM-0115-0002.jpeg"],
        chest__train__PNEUMONIA=["person1_bacteria_1.jpeg", "person1_virus_2.jpeg", "odd.jpeg"],
    )
    first = root / "chest/train/NORMAL/IM-0115-0001.jpeg"
    (first.parent / "NORMAL2-IM-9999-0001.jpeg").write_bytes(first.read_bytes())
    found = corpus.chest(root, None)
    assert [(one.y, one.subject) for one in found] == [
        (0, "IM-0115"), (0, "IM-0115"), (0, "NORMAL2-IM-0115"), (1, "odd.jpeg"), (1, "person1"), (1, "person1"),
    ]  # fmt: skip


def test_a_subset_takes_whole_subjects_of_each_class_by_its_share() -> None:
    files = [corpus.File(Path(f"{y}-{i}"), f"{y}-{i}", y, f"{y}-{i // 3}") for y in (0, 1) for i in range(60 + 180 * y)]
    kept = corpus._subset(files, 100)
    subjects = {one.subject for one in kept}
    assert all((one in kept) == (one.subject in subjects) for one in files)
    assert [sum(one.y == y for one in kept) for y in (0, 1)] == pytest.approx([20, 80], abs=2)


def test_a_file_is_prepared_as_the_product_prepares_it(tmp_path: Path) -> None:
    path = tmp_path / "scan.png"
    grey = np.random.default_rng(0).integers(0, 256, (50, 60), np.uint8)
    Image.fromarray(grey).save(path)
    [(pixels, facts)] = corpus.File(path, "", 1, "someone").make()
    assert np.array_equal(pixels, prepare(grey.astype(np.float32) / 255, Preprocessing()))
    assert facts == {"y": 1, "subject": "someone", "view": "plain"}


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({}, "has no folder covid/train/NORMAL: name its folder with --corpus"),
        ({"covid__train__NORMAL": [], "covid__train__COVID": ["a.jpg"]}, "covid/train/NORMAL holds no .jpg"),
    ],
)
def test_a_corpus_that_lacks_something_says_what(tmp_path: Path, made: dict[str, list[str]], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        corpus.covid(folder_of(tmp_path, **made), None)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (["v1=absent.npz"], "absent.npz do not exist"),
        (["v1=damaged.npz"], "damaged.npz cannot be read"),
        (["v1=other.npz"], "other.npz lack 604 of 604 arrays"),
        (["v1=damaged.npz", "v1=other.npz"], "Two weights have one name"),
    ],
)
def test_weights_that_cannot_be_used_are_named_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], weights: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = Path(str(resolve("densenet121-xray", None).path)).read_bytes()
    Path("damaged.npz").write_bytes(whole[: len(whole) // 2])
    np.savez("other.npz", kernel=np.zeros(3, np.float32))
    asked = [word for one in weights for word in ("--weights", one)]
    assert backbone_table.main(["--corpus", str(tmp_path), "--out", "out", *asked]) == 2
    assert said in capsys.readouterr().err
    assert not Path("out").exists()


def test_a_missing_corpus_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = resolve("densenet121-xray", None).path
    out = ["--out", str(tmp_path / "out")]
    assert backbone_table.main(["--corpus", str(tmp_path / "absent"), "--weights", f"v0={weights}", *out]) == 2
    assert "absent is no folder: name it with --corpus" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["v0", "=v0.npz", "v0="])
def test_weights_need_a_name_and_a_file(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        backbone_table.main(["--corpus", ".", "--out", ".", "--weights", word])
    assert "say NAME=FILE.npz" in capsys.readouterr().err


class Known(Backbone):
    """A backbone whose vectors say a scan's class, with noise."""

    def vectors(self, scans: Prepared) -> Vectors:
        rng = np.random.default_rng(len(scans.facts))
        y = np.array([fact.get("y", 0) for fact in scans.facts], np.float32)[:, None]
        avg, top = (rng.standard_normal((len(y), 12)).astype(np.float32) + y for _ in range(2))
        return Vectors(avg, top)


@pytest.mark.slow
def test_the_whole_table_is_written_for_a_small_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    films = {y: [f"{y}-{i}.jpg" for i in range(10)] for y in "ab"}
    root = folder_of(
        tmp_path / "corpus",
        chest__train__NORMAL=films["a"], chest__train__PNEUMONIA=films["b"], container__empty=films["a"][:2],
        container__loaded=films["b"], covid__train__NORMAL=films["a"], covid__train__COVID=films["b"],
        orientation__frontal=films["a"], orientation__lateral=films["b"],
    )  # fmt: skip
    (root / "orientation/manifest.csv").write_text("file,patient\norientation/frontal/a-1.jpg,somebody\n")
    small = backbone_table.Sizes(
        films=None,
        covid=None,
        day=24,
        extra=12,
        unknown=16,
        masses_kg=(5.0, 500.0),
        per_mass=3,
        empties=6,
        per_case=1,
        scenes=2,
    )
    monkeypatch.setattr(backbone_table, "FULL", small)
    monkeypatch.setattr(backbone_table, "Backbone", Known)
    weights = resolve("densenet121-xray", None).path
    asked = ["--weights", f"ImageNet={weights}", "--weights", f"v0={weights}", "--out", str(tmp_path / "out")]
    assert backbone_table.main(["--corpus", str(root), *asked]) == 0
    results = json.loads((tmp_path / "out/results.json").read_text())
    assert list(results["sections"]) == list(backbone_table.SECTIONS)
    assert results["sections"]["chest"]["images"] == 20
    text = (tmp_path / "out/results.md").read_text()
    assert str(tmp_path) not in text
    assert text.count("| v0 |") > 15
    assert (tmp_path / "out/mass-curve.png").stat().st_size > 10_000


def test_a_table_is_markdown() -> None:
    assert writing.table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_bf16_is_asked_of_no_processor_that_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.features.engines.processor.has_bf16", lambda: False)
    assert vectors.usable_precision("bf16") == vectors.usable_precision("fp32") == "fp32"
