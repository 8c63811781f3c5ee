"""The starter heads are made by one command: from scans to files that a fresh store takes."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.features.weights import CURRENT, KNOWN
from app.heads.scoring import Head
from app.simulator import write_folder
from benchmarks import starters
from benchmarks.starter_cards import Origin, RealScans, data_and_licence
from tests.conftest import FakeExtractor, TestStore, extracting, training
from tests.integration.calls import scan

PREPARED = "densenet121-container"


@pytest.fixture
def work(store: TestStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> starters.Work:
    """Work on the test's store, with commands that run in this process."""
    monkeypatch.setenv("PENUMBRA_DATABASE_URL", store.url)
    monkeypatch.setenv("PENUMBRA_DATA_DIR", str(store.settings.data_dir))

    def here(_: starters.Work, *words: str) -> Any:
        ended = CliRunner().invoke(app, [*words, "--json"])
        assert ended.exit_code == 0, (words, ended.output, ended.exception)
        return json.loads(ended.stdout)

    monkeypatch.setattr(starters.Work, "penumbra", here)
    (tmp_path / "out").mkdir()
    return starters.Work(store.settings.data_dir, tmp_path / "out", 40)


def test_heads_on_plain_and_prepared_pixels_are_written_with_their_cards(
    store: TestStore, work: starters.Work, tmp_path: Path
) -> None:
    write_folder(tmp_path / "real", 6, 1)
    sets = [starters.PLAIN, PREPARED]
    with extracting(store, *(FakeExtractor(KNOWN[name].spec) for name in sets)), training(store):
        work.penumbra("features", "add", PREPARED)
        rows = starters.make(work, "container", None, sets, tmp_path / "real")
    assert [row[1] for row in rows] == sets
    assert sorted(path.name for path in work.out.iterdir()) == sorted(
        f"{stem}.{suffix}"
        for stem in ("empty-container", f"empty-container.{PREPARED}")
        for suffix in ("json", "md", "onnx")
    )
    for name, row in zip(sets, rows, strict=True):
        stem = work.out / starters.KINDS["container"].stem(name)
        head = Head.load(Path(f"{stem}.onnx").read_bytes())
        head.self_check()
        assert (head.metadata.task, head.metadata.feature_set) == ("empty-container", KNOWN[name].spec.digest)
        report, card = json.loads(Path(f"{stem}.json").read_text()), Path(f"{stem}.md").read_text()
        assert report["class_weight"] == "balanced"
        assert card.count("## Data and licence") == 1
        assert report["rows"] > 60  # of a day's 40 scans, and of 40 by random scanners
        assert "`penumbra simulate --count 40 --seed 7 --out SCANS`" in card
        assert "`penumbra simulate --count 40 --seed 7 --out SCANS --scanner random`" in card
        assert "On the 6 real scans" in card
        assert "of 6 wrong" in row[-1]


def test_films_are_grouped_by_patient_and_their_card_names_the_backbone(
    store: TestStore, work: starters.Work, tmp_path: Path
) -> None:
    for name, folder, light in (("IM-{}-0001.png", "NORMAL", 0.3), ("person{}_virus_1.png", "PNEUMONIA", 0.7)):
        (tmp_path / "films" / folder).mkdir(parents=True)
        for number in range(12):
            path = tmp_path / "films" / folder / name.format(f"{number:04}" if folder == "NORMAL" else number)
            path.write_bytes(scan(number, light=light))
    with extracting(store, FakeExtractor(KNOWN[starters.PLAIN].spec)), training(store):
        starters.make(work, "chest", tmp_path / "films", [starters.PLAIN], None)
    report = json.loads((work.out / "pneumonia.json").read_text())
    assert (report["rows"], report["groups"]) == (24, 24)
    card = (work.out / "pneumonia.md").read_text()
    assert "24 different films (24 files)" in card
    assert CURRENT.file.replace(".npz", ".md") in card


def test_a_card_says_what_is_known_and_nothing_else() -> None:
    report = {"rows": 10, "out_of_fold": {"auc": 0.9}}
    films = Origin("pneumonia", report, 11, Path("v9.md"), (), prepared=True, plain_auc=0.8)
    assert "Out of fold its AUC is 0.9000, that of the head on plain pixels 0.8000." in data_and_licence(films)
    scans = Origin("empty-container", report, 10, Path("v9.md"), ("penumbra simulate",), prepared=True)
    assert "real scans" not in data_and_licence(scans)
    said = data_and_licence(
        Origin(
            "empty-container", report, 10, Path("v9.md"), (), False, None, RealScans({"empty": 3, "loaded": 25}, 1.0, 1)
        )
    )
    assert "On the 28 real scans that the developers have (3 empty, 25 loaded" in said
    assert "makes one error" in said
