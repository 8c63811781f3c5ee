"""DICOM through the API: stored without identity, known when it comes again, judged like any other scan."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from app.config import Settings
from app.db import transaction
from app.errors import ConfigurationError
from app.imaging.formats import DICOM
from app.services import folders, tasks
from app.services.deidentification import pseudonym_key
from tests.conftest import TestStore, calling
from tests.dicom_files import IDENTITY, dicom, ramp
from tests.integration.calls import upload

NAME = "Zweistein_Albertine.dcm"
FILM = dicom(ramp(64, 80, np.uint16, 5), ViewPosition="PA", BodyPartExamined="CHEST", **IDENTITY)


def stored_bytes(store: TestStore) -> bytes:
    """Everything in the blob folder, and every text of the database that could hold what was sent."""
    files = b"".join(path.read_bytes() for path in store.settings.blobs.rglob("*") if path.is_file())
    tables = ("image", "region", "job", "audit_event")
    rows = [str(store.scalar(f"SELECT json_agg(t) FROM {table} t")) for table in tables]
    return files + "".join(rows).encode()


def sent(client: TestClient, *contents: bytes, **options: Any) -> dict[str, Any]:
    answer = upload(client, *contents, **options)
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()["images"][0]


@pytest.mark.usefixtures("worker")
def test_a_film_is_extracted_and_its_facts_are_kept(client: TestClient, store: TestStore) -> None:
    image = sent(client, FILM, names=[NAME], wait=60)
    assert (image["state"], image["media_type"], image["width"], image["height"]) == ("ready", DICOM, 80, 64)
    assert store.scalar("SELECT facts ->> 'view' FROM image") == "PA"
    assert store.scalar("SELECT facts ->> 'body_part' FROM image") == "CHEST"
    assert client.get(f"/v1/images/{image['id']}/thumbnail").headers["content-type"] == "image/jpeg"


def test_the_store_holds_no_identifying_value(client: TestClient, store: TestStore) -> None:
    sent(client, FILM, names=[NAME])
    words = [*IDENTITY.values(), "Zweistein", "Albertine", "4711"]
    held = stored_bytes(store).lower()
    assert [word for word in words if word.lower().encode() in held] == []


def test_subject_and_name_are_pseudonyms_and_no_date_is_kept(client: TestClient) -> None:
    image = sent(client, FILM, names=[NAME])
    assert image["subject"].startswith("anon-")
    assert image["name"].endswith(".dcm")
    assert "zweistein" not in image["name"].lower()
    assert image["captured_at"] is None


def test_the_same_film_is_the_same_image(client: TestClient, store: TestStore) -> None:
    first = upload(client, FILM, names=[NAME])
    again = upload(client, FILM, names=["other.dcm"])
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["images"][0]["id"] == again.json()["images"][0]["id"]
    kept = client.get(f"/v1/images/{first.json()['images'][0]['id']}/content")
    assert kept.headers["content-type"] == DICOM
    assert upload(client, kept.content).status_code == 200  # what is handed out is what is stored
    assert store.scalar("SELECT count(*) FROM image") == 1


def test_films_of_one_patient_are_one_subject(client: TestClient) -> None:
    others = [
        dicom(ramp(step=step), PatientID=who, SOPInstanceUID=f"1.2.{step}")
        for step, who in ((1, "A-1"), (2, "A-1"), (3, "B-2"))
    ]
    subjects = [image["subject"] for image in upload(client, *others).json()["images"]]
    assert subjects[0] == subjects[1] != subjects[2]


def test_what_the_sender_says_counts_more(client: TestClient) -> None:
    said = {"subject": "patient 7", "captured_at": "2026-01-02T03:04:05Z"}
    image = sent(client, FILM, **said)
    assert image["subject"] == "patient 7"
    assert image["captured_at"].startswith("2026-01-02T03:04:05")


def test_nothing_received_is_left_behind(client: TestClient, store: TestStore) -> None:
    sent(client, FILM)
    upload(client, dicom(ramp(), BurnedInAnnotation="YES"))
    assert list((store.settings.blobs / "incoming").iterdir()) == []


@pytest.fixture
def keeping(store: TestStore) -> Iterator[TestClient]:
    with calling(store, keep_dicom_identity=True) as client:
        yield client


def test_a_setting_keeps_files_as_they_come(keeping: TestClient) -> None:
    image = sent(keeping, FILM, names=[NAME])
    assert keeping.get(f"/v1/images/{image['id']}/content").content == FILM
    assert (image["subject"], image["name"]) == (IDENTITY["PatientID"], NAME)
    assert image["captured_at"].startswith("2026-03-16T13:14:15")


def test_a_setting_keeps_the_moment_alone(store: TestStore) -> None:
    with calling(store, keep_dicom_dates=True) as client:
        image = sent(client, FILM)
        assert image["captured_at"].startswith("2026-03-16T13:14:15")
        assert b"20260316" not in client.get(f"/v1/images/{image['id']}/content").content


def test_each_frame_is_a_region(client: TestClient, store: TestStore) -> None:
    sent(client, dicom(np.stack([ramp(step=step) for step in (1, 2, 3)])))
    assert store.scalar("SELECT frames FROM image") == 3
    assert store.scalar("SELECT array_agg((ordinal, frame, width, height)::text ORDER BY ordinal) FROM region") == [
        "(0,0,60,40)", "(1,1,60,40)", "(2,2,60,40)",
    ]  # fmt: skip


def test_a_folder_of_films_is_imported_twice_and_stored_once(store: TestStore, tmp_path: Path) -> None:
    (tmp_path / "normal").mkdir()
    (tmp_path / "normal" / NAME).write_bytes(FILM)
    with transaction(store.sessions) as session:
        task = tasks.named(session, "pneumonia")
        entries = folders.scan_class_folders(tmp_path, task, source=None, subject=None)
    first = folders.run(store.sessions, store.blobs, store.settings, "pneumonia", entries, author="test")
    again = folders.run(store.sessions, store.blobs, store.settings, "pneumonia", entries, author="test")
    assert (first.created, first.labelled, again.created, again.known) == (1, 1, 0, 1)
    assert first.by_path == again.by_path


# The key


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    key = pseudonym_key(settings)
    assert len(key) == 32
    assert pseudonym_key(settings) == key
    assert stat.S_IMODE(settings.pseudonym_key_file.stat().st_mode) == 0o600
    assert [path.name for path in settings.data_dir.iterdir()] == ["pseudonym.key"]


def test_the_setting_s_key_comes_first(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, pseudonym_key=SecretStr("a long enough secret"))
    assert pseudonym_key(settings) == b"a long enough secret"
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_is_none_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "pseudonym.key").write_text("spoilt")
    with pytest.raises(ConfigurationError, match="PENUMBRA_PSEUDONYM_KEY"):
        pseudonym_key(Settings(data_dir=tmp_path))


# Real films


@pytest.mark.corpus
@pytest.mark.usefixtures("worker")
def test_the_films_of_the_corpus_come_through(client: TestClient, corpus: Path) -> None:
    films = sorted((corpus / "chest/dicom_samples").glob("*.dcm"))
    images = upload(client, *[film.read_bytes() for film in films], wait=60).json()["images"]
    assert [image["state"] for image in images] == ["ready"] * 5
    assert len({image["subject"] for image in images}) == 5
