"""What an upload's form may say, and what is refused without storing anything half-way."""

import json
import resource
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from tests.conftest import TestStore, calling
from tests.integration.calls import file_part, form, is_problem, post_form, scan, stored, upload

DECLARED_EMPTY = '{"empty-container": "empty"}'


def untouched(store: TestStore) -> bool:
    """Whether no row, no audit event and no blob was left behind."""
    files = [path for path in store.settings.blobs.rglob("*") if path.is_file()]
    rows = store.scalar(
        "SELECT (SELECT count(*) FROM image) + (SELECT count(*) FROM job) + (SELECT count(*) FROM declaration) "
        "+ (SELECT count(*) FROM audit_event WHERE action = 'image.upload')"
    )
    return rows == 0 and not files


def test_single_fields_describe_every_file(client: TestClient) -> None:
    images = stored(
        client, scan(1), scan(2),
        subject="MSCU1234567", source="gate-3", captured_at="2026-05-01T10:00:00+02:00",
        tags="export, night ,,reefer", declared=DECLARED_EMPTY,
    )  # fmt: skip
    for image in images:
        assert (image["subject"], image["source"]) == ("MSCU1234567", "gate-3")
        assert image["captured_at"] == "2026-05-01T08:00:00Z"
        assert image["tags"] == ["export", "night", "reefer"]
        assert image["declared"] == {"empty-container": "empty"}


def test_a_metadata_list_describes_each_file(client: TestClient) -> None:
    metadata = json.dumps([{"subject": "A", "tags": ["x"]}, {"subject": "B", "declared": {"pneumonia": "normal"}}])
    first, second = stored(client, scan(1), scan(2), metadata=metadata)
    assert (first["subject"], first["tags"], first["declared"]) == ("A", ["x"], {})
    assert (second["subject"], second["tags"], second["declared"]) == ("B", [], {"pneumonia": "normal"})


def test_fields_may_come_after_the_files(client: TestClient) -> None:
    field = b'Content-Disposition: form-data; name="subject"\r\n\r\nMSCU1234567'
    answer = post_form(client, form(file_part(scan()), field))
    assert answer.json()["images"][0]["subject"] == "MSCU1234567"


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"declared": "{"}, "declared"),
        ({"declared": '["empty"]'}, "declared"),
        ({"declared": '{"empty-container": 1}'}, "declared"),
        ({"declared": "[" * 100_000}, "declared"),
        ({"declared": '{"no-such-task": "empty"}'}, "no-such-task"),
        ({"declared": '{"empty-container": "pneumonia"}'}, "pneumonia"),
        ({"captured_at": "2026-05-01T10:00:00"}, "timezone"),
        ({"captured_at": "yesterday"}, "captured_at"),
        ({"captured_at": "1066-10-14T10:00:00Z"}, "1895"),
        ({"subject": "x" * 257}, "256"),
        ({"subject": "a\x00b"}, "NUL"),
        ({"tags": ",".join(f"t{i}" for i in range(65))}, "64"),
        ({"metadata": "[]"}, "0 entries for 1 files"),
        ({"metadata": "[{}, {}]"}, "2 entries for 1 files"),
        ({"metadata": "{}"}, "list"),
        ({"metadata": '[{"colour": "grey"}]'}, "colour"),
        ({"metadata": "[{}]", "subject": "A"}, "not both"),
        ({"colour": "grey"}, "unknown field colour"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_a_form_that_cannot_be_used_stores_nothing(
    client: TestClient, store: TestStore, fields: dict[str, str], word: str
) -> None:
    problem = is_problem(upload(client, scan(), **fields), 422)
    assert word in problem["detail"]
    assert untouched(store)


def test_one_unknown_class_among_many_files_stores_none(client: TestClient, store: TestStore) -> None:
    metadata = json.dumps([{"declared": {"empty-container": c}} for c in ("empty", "loaded", "half-full")])
    is_problem(upload(client, scan(1), scan(2), scan(3), metadata=metadata), 422)
    assert untouched(store)


def test_the_same_bytes_twice_in_a_request_are_one_image(client: TestClient, store: TestStore) -> None:
    answer = upload(client, scan(1), scan(1))
    assert answer.status_code == 201
    assert len(answer.json()["images"]) == 1
    assert store.scalar("SELECT count(*) FROM job") == 1


def test_the_same_bytes_twice_lose_neither_declaration(client: TestClient) -> None:
    metadata = json.dumps([{"declared": {"empty-container": "empty"}}, {"declared": {"pneumonia": "normal"}}])
    (image,) = stored(client, scan(1), scan(1), metadata=metadata)
    assert image["declared"] == {"empty-container": "empty", "pneumonia": "normal"}


def test_a_known_image_keeps_its_metadata_and_gains_a_changed_declaration(client: TestClient, store: TestStore) -> None:
    stored(client, scan(1), subject="A", declared=DECLARED_EMPTY)
    stored(client, scan(1), subject="B", declared=DECLARED_EMPTY)
    (image,) = stored(client, scan(1), declared='{"empty-container": "loaded"}')
    assert (image["subject"], image["declared"]) == ("A", {"empty-container": "loaded"})
    assert store.scalar("SELECT count(*) FROM declaration") == 2


def test_every_upload_leaves_an_audit_event(client: TestClient) -> None:
    stored(client, scan(1), scan(2))
    stored(client, scan(2), scan(3))
    events = [e for e in client.get("/v1/audit").json()["items"] if e["action"] == "image.upload"]
    assert [(len(e["detail"]["created"]), e["detail"]["known"], e["actor"]) for e in events] == [
        (1, 1, "test-admin"),
        (2, 0, "test-admin"),
    ]


# Bounds.


@pytest.fixture
def bounded(store: TestStore) -> Iterator[TestClient]:
    """An API with small bounds."""
    with calling(store, max_file_bytes=5_000, max_request_bytes=40_000, max_files_per_request=3) as client:
        yield client


def test_a_file_past_its_bound_is_refused_alone(bounded: TestClient, store: TestStore) -> None:
    answer = upload(bounded, b"x" * 5_001, scan(1))
    assert answer.status_code == 201
    assert len(answer.json()["images"]) == 1
    (refused,) = answer.json()["refused"]
    assert refused["name"] == "scan-0.png"
    assert (refused["problem"]["status"], refused["problem"]["reason"]) == (413, "too-many-bytes")


def test_too_many_files_are_refused_together(bounded: TestClient, store: TestStore) -> None:
    problem = is_problem(upload(bounded, *[scan(i) for i in range(4)]), 413)
    assert "at most 3 files" in problem["detail"]
    assert untouched(store)


def test_a_stated_length_past_the_bound_is_refused(bounded: TestClient, store: TestStore) -> None:
    problem = is_problem(post_form(bounded, form(file_part(b"x" * 40_000))), 413)
    assert "40,000 bytes" in problem["detail"]
    assert untouched(store)


def test_a_chunked_body_is_cut_off_at_the_bound(bounded: TestClient, store: TestStore) -> None:
    def chunks() -> Iterator[bytes]:
        yield form(file_part(scan()), end=b"")
        for _ in range(50):
            yield b"x" * 1_000

    is_problem(post_form(bounded, chunks()), 413)
    assert untouched(store)


@pytest.mark.parametrize("path", ["/v1/tasks", "/v1/search"])
def test_a_body_that_is_no_form_has_a_small_bound_of_its_own(client: TestClient, path: str) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(20):
            yield b" " * 100_000

    json_type = {"Content-Type": "application/json"}
    is_problem(client.post(path, content=chunks(), headers=json_type), 413)
    is_problem(client.post(path, content=b" " * 1_100_000, headers=json_type), 413)


def test_a_field_past_its_bound_is_refused(client: TestClient, store: TestStore) -> None:
    problem = is_problem(upload(client, scan(), tags="x," * 200_000), 413)
    assert "tags" in problem["detail"]
    assert untouched(store)


def test_more_files_than_a_process_may_open_arrive(client: TestClient, few_descriptors: None) -> None:
    answer = upload(client, *[b"no scan"] * 400)
    assert answer.status_code == 415
    assert len(answer.json()["refused"]) == 400


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# Broken forms.


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", form(file_part(b"x"))),
        ("multipart/form-data; boundary=" + "b" * 300, form(file_part(b"x"))),
        ("multipart/form-data; boundary=other", form(file_part(b"x"))),
        ("multipart/mixed; boundary=frontier", form(file_part(b"x"))),
        ("application/json", b"{}"),
        ("image/png", b"\x89PNG"),
        ("multipart/form-data; boundary=frontier", b""),
        ("multipart/form-data; boundary=frontier", b"garbage"),
        ("multipart/form-data; boundary=frontier", b"--frontier--\r\n"),
        ("multipart/form-data; boundary=frontier", form(file_part(b"x"), end=b"")),
        ("multipart/form-data; boundary=frontier", form(file_part(b"x"))[:-6]),
        ("multipart/form-data; boundary=frontier", form(b"no header at all")),
        ("multipart/form-data; boundary=frontier", form(b"A: b\r\n\r\nx")),
        ("multipart/form-data; boundary=frontier", form(b"A: " + b"b" * 100_000 + b"\r\n\r\nx")),
        ("multipart/form-data; boundary=frontier", form(b"".join(b"A%d: b\r\n" % i for i in range(500)) + b"\r\nx")),
        ("multipart/form-data; boundary=frontier", form(b'Content-Disposition: form-data; name="subject"\r\n\r\nx')),
    ],
)
def test_a_broken_form_is_refused_and_leaves_nothing(
    client: TestClient, store: TestStore, content_type: str, body: bytes
) -> None:
    is_problem(post_form(client, body, content_type), 422)
    assert untouched(store)


def test_a_form_that_breaks_off_after_good_files_stores_none_of_them(client: TestClient, store: TestStore) -> None:
    whole = form(file_part(scan(1)), file_part(scan(2)))
    is_problem(post_form(client, whole[:-30]), 422)
    assert untouched(store)


def test_the_media_type_s_case_does_not_matter(client: TestClient) -> None:
    answer = post_form(client, form(file_part(scan())), 'Multipart/Form-Data; boundary="frontier"')
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"a\x00b.png", "ab.png"),
        (b"../../etc/passwd", "passwd"),
        (b"C:\\scans\\7.png", "7.png"),
        ("überseehafen-箱.png".encode(), "überseehafen-箱.png"),
        (b"\xff\xfe.png", "\ufffd\ufffd.png"),
        (b"a\tb\x1b[31m.png", "ab[31m.png"),
        (b"n" * 1000, "n" * 255),
        (b"", "unnamed"),
        (b"folder/", "unnamed"),
    ],
)
def test_a_file_name_is_kept_for_people_and_never_used_as_a_path(client: TestClient, sent: bytes, kept: str) -> None:
    answer = post_form(client, form(file_part(scan(), sent)))
    assert answer.status_code == 201, answer.text
    image = answer.json()["images"][0]
    assert image["name"] == kept
    assert client.get(f"/v1/images/{image['id']}/content").content == scan()


# Prefer.


@pytest.mark.parametrize(
    ("header", "applied"),
    [
        ("wait=1", "wait=1"),
        ("respond-async, wait=1", "wait=1"),
        ('WAIT = "1"; foo', "wait=1"),
        ("wait=0", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait", None),
        ("await=1", None),
        ("", None),
        ("wait=99999999", None),
    ],
)
def test_a_preference_that_can_be_read_is_applied_and_any_other_ignored(
    client: TestClient, header: str, applied: str | None
) -> None:
    answer = client.post("/v1/images", files={"files": ("a.png", scan())}, headers={"Prefer": header})
    assert answer.status_code == 201
    assert answer.headers.get("Preference-Applied") == applied


def test_a_longer_wait_than_the_operator_allows_is_shortened(store: TestStore) -> None:
    with calling(store, max_wait_seconds=0.5) as client:
        answer = upload(client, scan(), wait=600)
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (201, "wait=0.5")
    assert answer.json()["images"][0]["state"] == "pending"


# Answers.


def test_an_upload_of_which_nothing_was_taken_says_why_of_each(client: TestClient, store: TestStore) -> None:
    problem = is_problem(upload(client, b"", b"text"), 422)
    assert problem["reason"] == "empty-file"
    assert problem["images"] == []
    assert [(r["name"], r["problem"]["reason"]) for r in problem["refused"]] == [
        ("scan-0.png", "empty-file"),
        ("scan-1.png", "unknown-format"),
    ]
    assert untouched(store)


def test_one_image_has_a_location_and_several_have_none(client: TestClient) -> None:
    one = upload(client, scan(1))
    assert one.headers["Location"] == f"/v1/images/{one.json()['images'][0]['id']}"
    assert "Location" not in upload(client, scan(2), scan(3)).headers
