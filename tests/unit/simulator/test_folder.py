import hashlib
import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.errors import InvalidInput
from app.simulator import Case, Summary, encode_jpeg, port_day, write_folder
from app.simulator import folder as scans_on_disk

COUNT = 8


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "truth.jsonl").read_text().splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(tmp_path, COUNT, seed=2)
    return tmp_path


def test_jpeg_keeps_the_pixels_closely() -> None:
    scan = next(port_day(1, seed=1, scanner="port"))
    with Image.open(BytesIO(encode_jpeg(scan))) as image:
        assert (image.format, image.mode) == ("JPEG", "L")
        assert np.abs(np.asarray(image, int) - scan.pixels).mean() < 3


def test_scans_in_colours_are_jpegs_in_colours() -> None:
    scan = next(port_day(1, seed=1, scanner="dual-energy"))
    with Image.open(BytesIO(encode_jpeg(scan))) as image:
        assert (image.format, image.mode, image.size[::-1]) == ("JPEG", "RGB", scan.pixels.shape[:2])


def test_files_lie_in_class_folders_with_one_line_of_truth_each(folder: Path) -> None:
    records = lines(folder)
    assert [record["index"] for record in records] == list(range(COUNT))
    for record, scan in zip(records, port_day(COUNT, seed=2), strict=True):
        assert record["file"] == f"{scan.truth.class_name}/scan-2-{record['index']:06d}.jpg"
        assert record["container_number"] == scan.truth.container_number
        assert (folder / str(record["file"])).read_bytes() == encode_jpeg(scan)


def test_a_second_run_writes_nothing(folder: Path) -> None:
    before, stamps = digests(folder), [path.stat().st_mtime_ns for path in sorted(folder.rglob("*.jpg"))]
    summary = write_folder(folder, COUNT, seed=2)
    assert (summary.written, summary.kept) == (0, COUNT)
    assert digests(folder) == before
    assert [path.stat().st_mtime_ns for path in sorted(folder.rglob("*.jpg"))] == stamps


def test_a_run_after_a_kill_adds_what_is_missing(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    whole = digests(folder)
    truth = folder / "truth.jsonl"
    truth.write_text(truth.read_text()[:-40])
    Path(folder / str(lines_but_last(folder)[3]["file"])).write_bytes(b"half a file")
    assert write_folder(folder, COUNT, seed=2).written == 2
    assert {name: digest for name, digest in digests(folder).items() if name != "truth.jsonl"} == {
        name: digest for name, digest in whole.items() if name != "truth.jsonl"
    }
    assert sorted(int(str(record["index"])) for record in lines(folder)) == list(range(COUNT))


def lines_but_last(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "truth.jsonl").read_text().splitlines()[:-1]]


def test_a_longer_day_extends_a_shorter_one(folder: Path) -> None:
    summary = write_folder(folder, COUNT + 2, seed=2)
    assert (summary.written, summary.kept) == (2, COUNT)


def test_the_summary_counts_the_classes(folder: Path) -> None:
    summary = write_folder(folder, COUNT, seed=2)
    assert summary == Summary(
        written=0,
        kept=COUNT,
        empty=len(list((folder / "empty").glob("*.jpg"))),
        loaded=len(list((folder / "loaded").glob("*.jpg"))),
    )
    assert min(summary.empty, summary.loaded) > 0


def test_progress_is_told_after_every_scan(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    write_folder(tmp_path, 3, seed=1, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_negative_numbers_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        write_folder(tmp_path / "out", -1, seed=1)
    assert not (tmp_path / "out").exists()


def test_the_number_of_processes_changes_no_byte(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other, seen = tmp_path_factory.mktemp("two"), list[tuple[int, int]]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scans_on_disk, "ALONE_BELOW", 2)
        patch.setattr(scans_on_disk, "CHUNK", 3)
        write_folder(other, COUNT, seed=2, processes=2, on_progress=lambda done, total: seen.append((done, total)))
    assert digests(other) == digests(folder)
    assert seen == [(number, COUNT) for number in range(1, COUNT + 1)]


def test_scans_of_another_wish_lie_beside_those_that_are_there(folder: Path) -> None:
    before = digests(folder)
    summary = write_folder(folder, 2, seed=2, scanner="log-6mv", case=Case.HIDDEN_LOAD, mass_kg=20)
    assert (summary.written, summary.loaded, summary.empty) == (2, 2, 0)
    after = digests(folder)
    assert before.items() - after.items() == {("truth.jsonl", before["truth.jsonl"])}
    assert "loaded/scan-2-000000-log-6mv-hidden-load-20kg.jpg" in after
    assert write_folder(folder, 2, seed=2, scanner="log-6mv", case=Case.HIDDEN_LOAD, mass_kg=20).kept == 2


def test_the_truth_on_disk_is_whole(folder: Path) -> None:
    write_folder(folder, 1, seed=3, scanner="port", mass_kg=20)
    record = lines(folder)[-1]
    assert {
        "case": "hidden-load",
        "scanner": "port",
        "cargo_mass_kg": 20.0,
        "class_name": "loaded",
    }.items() <= record.items()
    assert record["place"]
    assert len(record["boxes"]) == 1  # type: ignore[arg-type]
    assert len(record["container_box"]) == 4  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"scanner": "porto"}, {"case": "fog"}, {"mass_kg": 900}])
def test_a_wish_that_cannot_be_is_refused_before_anything_is_written(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        write_folder(tmp_path / "out", 1, seed=1, **wrong)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
