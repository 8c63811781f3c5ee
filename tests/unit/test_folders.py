"""What an import finds in a folder."""

from pathlib import Path

from app.models import Task
from app.services.folders import left_out, scan_class_folders

TASK = Task(name="pneumonia", question="?", classes=["normal", "pneumonia"], positive="pneumonia")


def put(folder: Path, *names: str) -> None:
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(b"x")


def test_class_folders_are_found_whatever_their_case(tmp_path: Path) -> None:
    put(tmp_path / "NORMAL", "a.jpg")
    put(tmp_path / "Pneumonia", "b.jpg", ".hidden")
    entries = scan_class_folders(tmp_path, TASK, source=None, subject=None)
    assert [(entry.path.name, entry.label) for entry in entries] == [("a.jpg", "normal"), ("b.jpg", "pneumonia")]


def test_a_misspelt_class_folder_is_reported(tmp_path: Path) -> None:
    put(tmp_path / "normal", "a.jpg")
    put(tmp_path / "pnuemonia", "b.jpg", "c.jpg")
    put(tmp_path / "notes")
    put(tmp_path / ".cache", "d")
    [(folder, code, message)] = left_out(tmp_path, TASK)
    assert (Path(folder).name, code) == ("pnuemonia", "unknown-class")
    assert "2 files" in message
