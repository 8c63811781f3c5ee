"""Originals: kept once, whole, under their digest; what was not kept is gone."""

import os
import threading
import time
from pathlib import Path

import pytest

from app.blobs import BlobStore, Incoming
from app.errors import ConfigurationError, NotFound, UnusableImage
from tests.waiting import PATIENCE


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


def received(blobs: BlobStore, content: bytes) -> Incoming:
    file = blobs.receive(1_000)
    file.write(content)
    return file


def files(tmp_path: Path) -> set[Path]:
    return {path for path in (tmp_path / "blobs").rglob("*") if path.is_file()}


def test_an_original_is_kept_once_and_leaves_nothing_else_behind(blobs: BlobStore, tmp_path: Path) -> None:
    for _ in range(2):
        with received(blobs, b"scan") as file:
            blobs.keep([file])
    assert blobs.existing(file.sha256).read_bytes() == b"scan"
    assert files(tmp_path) == {blobs.path(file.sha256)}


def test_what_was_received_and_not_kept_is_gone(blobs: BlobStore, tmp_path: Path) -> None:
    with received(blobs, b"scan"):
        assert len(files(tmp_path)) == 1
    assert files(tmp_path) == set()


def test_a_file_past_its_bound_is_refused_while_it_comes_in(blobs: BlobStore, tmp_path: Path) -> None:
    with blobs.receive(10) as file:
        file.write(b"0123456789")
        with pytest.raises(UnusableImage, match="more than 10 bytes"):
            file.write(b"x")
    assert files(tmp_path) == set()


def test_many_that_keep_the_same_bytes_at_once_all_succeed(blobs: BlobStore, tmp_path: Path) -> None:
    start, trouble = threading.Barrier(8), []

    def keep() -> None:
        try:
            start.wait()
            for number in range(20):
                with received(blobs, b"scan %d" % number) as first, received(blobs, b"scan %d" % number) as second:
                    blobs.keep([first, second])
                    assert blobs.existing(first.sha256).read_bytes() == b"scan %d" % number
        except BaseException as error:
            trouble.append(error)

    threads = [threading.Thread(target=keep) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=PATIENCE)
    assert trouble == []
    assert len(files(tmp_path)) == 20


def test_every_folder_that_a_kept_file_is_found_by_is_synced(
    blobs: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in a folder that the disk does not know yet is lost with the power."""
    synced: list[Path] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").resolve())
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    with received(blobs, b"scan") as file:
        blobs.keep([file])
    target = blobs.path(file.sha256)
    assert synced[0].parent.name == "incoming"
    assert set(synced[1:]) == {target.parent, target.parent.parent, tmp_path / "blobs"}


def test_a_lost_original_is_named_with_the_remedy(blobs: BlobStore) -> None:
    with pytest.raises(NotFound, match="restore the blob folder from its backup"):
        blobs.existing(b"\x00" * 32)


def test_what_killed_processes_left_half_received_is_removed_after_a_day(blobs: BlobStore, tmp_path: Path) -> None:
    old, young = received(blobs, b"old"), received(blobs, b"young")
    old.close()
    young.close()
    os.utime(old.path, (time.time() - 90_000,) * 2)
    assert blobs.forget_abandoned() == 1
    assert files(tmp_path) == {young.path}


def test_a_folder_that_cannot_be_made_is_a_setting_to_change(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="set PENUMBRA_BLOB_DIR"):
        BlobStore(tmp_path / "file" / "blobs")
