"""Labels: superseded by a rule and never overwritten; files of them, their oddities, their bounds."""

import io
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from app import embedded
from app.db import transaction
from app.errors import InvalidInput, NotFound
from app.models import AuditEvent, Image, Label
from app.services import label_csv, label_import, label_lists, labelling, tasks
from app.services.label_import import Import, Summary
from app.services.label_lists import LabelFilter
from app.services.labelling import Statement
from tests.conftest import TestStore, new_store
from tests.integration.rows import add_numbered

TASK = "empty-container"
START = datetime(2026, 1, 1, tzinfo=UTC)


def name_images(store: TestStore, ids: list[UUID], *, subject: str | None = None) -> list[UUID]:
    with transaction(store.sessions) as session:
        for number, image in enumerate(ids):
            session.execute(
                text("UPDATE image SET file_name = :name, subject = :subject WHERE id = :id"),
                {"name": f"scan-{number}.png", "subject": subject or f"subject-{number // 2}", "id": image},
            )
    return ids


@pytest.fixture
def ids(store: TestStore) -> list[UUID]:
    """Six images, `scan-0.png` to `scan-5.png`, of subjects 0, 1 and 2 in pairs."""
    return name_images(store, add_numbered(store.sessions, 6))


@pytest.fixture(scope="module")
def shared(
    server: embedded.EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestStore]:
    with new_store(server, template, tmp_path_factory.mktemp("labels")) as store:
        yield store


def say(store: TestStore, *statements: Statement) -> int:
    with transaction(store.sessions) as session:
        return labelling.state(session, tasks.named(session, TASK), statements, actor="test")


def a(image: UUID, class_name: str = "empty", source: str = "import", **changes: Any) -> Statement:
    return Statement(**{
        "image_id": image, "class_name": class_name, "source": source, "author": "test", **changes,
    })  # fmt: skip


def counting(store: TestStore, *image_ids: UUID) -> dict[UUID, str]:
    with transaction(store.sessions) as session:
        return labelling.effective(session, TASK, image_ids)


def told(store: TestStore, image: UUID) -> list[tuple[str, str, bool, str]]:
    with transaction(store.sessions) as session:
        return [
            (one.label.source, one.label.class_name, one.effective, one.why)
            for one in labelling.history(session, image)
        ]


def read(store: TestStore, content: str | bytes, **changes: Any) -> Summary:
    raw = content.encode() if isinstance(content, str) else content
    found = label_csv.read(io.BytesIO(raw))
    summary = label_import.run(store.sessions, found.lines, Import(**{"task": TASK, "author": "ann", **changes}))
    summary.ignored_columns = found.ignored_columns
    return summary


def reasons(summary: Summary) -> dict[int, str]:
    assert len(summary.refused) == summary.refused_lines
    return {one.number: one.reason for one in summary.refused}


# The conflict rule


def test_a_review_beats_an_import_and_an_import_a_declaration_in_any_order(store: TestStore) -> None:
    sources = {"review": "loaded", "import": "empty", "declared": "loaded"}
    for order in permutations(sources):
        [image] = add_numbered(store.sessions, 1, start=hash(order) % 10**9)
        for source in order:
            say(store, a(image, sources[source], source))
        assert counting(store, image) == {image: "loaded"}
        assert [one[2] for one in told(store, image)].count(True) == 1


def test_within_a_source_the_latest_statement_counts_whenever_it_was_stored(store: TestStore, ids: list[UUID]) -> None:
    say(store, a(ids[0], "loaded", at=START + timedelta(days=1)), a(ids[0], "empty", at=START))
    assert counting(store, ids[0]) == {ids[0]: "loaded"}


def test_at_equal_times_the_one_stored_later_counts(store: TestStore, ids: list[UUID]) -> None:
    say(store, a(ids[0], "loaded", at=START), a(ids[0], "empty", at=START))
    assert counting(store, ids[0]) == {ids[0]: "empty"}


def one_statement() -> st.SearchStrategy[tuple[str, str, int]]:
    return st.tuples(st.sampled_from(labelling.SOURCES), st.sampled_from(["empty", "loaded"]), st.integers(0, 3))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(one_statement(), min_size=1, max_size=6, unique_by=lambda s: (s[0], s[2])), st.randoms())
def test_the_order_of_statements_does_not_matter_except_as_the_rule_says(
    shared: TestStore, said: list[tuple[str, str, int]], random: Any
) -> None:
    """Statements of different times or sources: whatever order they are stored in, the same one counts."""
    shuffled = list(said)
    random.shuffle(shuffled)
    first, second = add_numbered(shared.sessions, 2, start=uuid4().int % 10**12)
    for image, order in ((first, said), (second, shuffled)):
        say(shared, *(a(image, name, source, at=START + timedelta(days=day)) for source, name, day in order))
    rank = {"declared": 0, "import": 1, "review": 2}
    expected = max(said, key=lambda one: (rank[one[0]], one[2]))[1]
    assert counting(shared, first, second) == {first: expected, second: expected}
    with transaction(shared.sessions) as session:
        for image in (first, second):
            [counts] = [one.label for one in labelling.history(session, image) if one.effective]
            assert counts.class_name == expected


def test_the_history_says_which_counts_and_why(store: TestStore, ids: list[UUID]) -> None:
    say(store, a(ids[0], "empty", "declared"))
    assert told(store, ids[0]) == [("declared", "empty", True, "the only statement")]
    say(store, a(ids[0], "loaded", "import"))
    say(store, a(ids[0], "empty", "review"))
    say(store, a(ids[0], "loaded", "review"))
    assert told(store, ids[0]) == [
        ("review", "loaded", True, "the latest review, which outranks import and declared"),
        ("review", "empty", False, "superseded by a later review"),
        ("import", "loaded", False, "outranked by a review"),
        ("declared", "empty", False, "outranked by a review"),
    ]


def test_labels_are_never_changed(store: TestStore, ids: list[UUID]) -> None:
    say(store, a(ids[0], "empty"))
    with pytest.raises(Exception, match="never updated"), transaction(store.sessions) as session:
        session.execute(text("UPDATE label SET class_name = 'loaded'"))


# What is new


def test_a_review_that_confirms_an_import_is_stored(store: TestStore, ids: list[UUID]) -> None:
    say(store, a(ids[0], "empty"))
    with transaction(store.sessions) as session:
        task = tasks.named(session, TASK)
        assert labelling.add_many(session, task, {ids[0]: "empty"}, author="ann", source="review") == 1
    assert [(one[0], one[2]) for one in told(store, ids[0])] == [("review", True), ("import", False)]


def test_what_a_source_says_already_is_not_repeated(store: TestStore, ids: list[UUID]) -> None:
    assert say(store, a(ids[0], "empty"), a(ids[0], "empty", author="other")) == 1
    assert say(store, a(ids[0], "empty")) == 0
    assert say(store, a(ids[0], "loaded")) == 1
    assert say(store, a(ids[0], "empty")) == 1


def test_a_second_reviewer_who_agrees_is_heard(store: TestStore, ids: list[UUID]) -> None:
    assert say(store, a(ids[0], "empty", "review"), a(ids[0], "empty", "review", author="other")) == 2
    assert say(store, a(ids[0], "empty", "review")) == 0


def test_a_statement_of_a_given_time_is_stored_once(store: TestStore, ids: list[UUID]) -> None:
    past = [a(ids[0], "empty", at=START), a(ids[0], "loaded", at=START + timedelta(days=1))]
    assert say(store, *past) == 2
    assert say(store, *past) == 0


@pytest.mark.parametrize(
    ("at", "why"),
    [
        (datetime(2026, 1, 1), "no zone"),
        (datetime(2999, 1, 1, tzinfo=UTC), "future"),
        (datetime(1804, 1, 1, tzinfo=UTC), "before X-rays"),
    ],
)
def test_a_time_that_cannot_be_is_refused(store: TestStore, ids: list[UUID], at: datetime, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        say(store, a(ids[0], at=at))


def test_an_unknown_class_or_source_is_refused_and_nothing_is_stored(store: TestStore, ids: list[UUID]) -> None:
    for wrong in (a(ids[1], "purple"), a(ids[1], source="rumour")):
        with pytest.raises(InvalidInput):
            say(store, a(ids[0]), wrong)
    assert counting(store, *ids) == {}


# Files


def test_a_file_may_name_images_by_id_digest_name_or_subject(store: TestStore, ids: list[UUID]) -> None:
    with transaction(store.sessions) as session:
        digest = session.get_one(Image, ids[1]).sha256.hex()
    summary = read(
        store,
        f"id,sha256,file,subject,class\n{ids[0]},,,,empty\n,{digest.upper()},,,loaded\n"
        ",,folder/scan-2.png,,empty\n,,,subject-2,loaded\n",
    )
    assert (summary.lines, summary.stored, summary.refused_lines) == (4, 5, 0)
    assert counting(store, *ids) == dict(zip(
        [*ids[:3], *ids[4:]], ["empty", "loaded", "empty", "loaded", "loaded"], strict=True,
    ))  # fmt: skip


def test_a_subject_labels_all_its_images(store: TestStore, ids: list[UUID]) -> None:
    summary = read(store, "patient,label\nsubject-1,EMPTY\n")
    assert summary.stored == 2
    assert set(counting(store, *ids)) == {ids[2], ids[3]}


def test_author_source_time_and_reason_are_kept(store: TestStore, ids: list[UUID]) -> None:
    read(
        store,
        "File Name;Label;Source;Annotator;Stated-At;Comment\n"
        'scan-0.png;loaded;Review;Dr. No;2026-03-01T10:00:00+02:00;"a crate; a box"\n',
    )
    with transaction(store.sessions) as session:
        label = session.scalars(select(Label)).one()
    assert (label.source, label.author, label.reason) == ("review", "Dr. No", "a crate; a box")
    assert label.at == datetime(2026, 3, 1, 8, tzinfo=UTC)


def test_every_bad_line_is_reported_with_its_reason_and_the_good_ones_are_stored(
    store: TestStore, ids: list[UUID]
) -> None:
    name_images(store, add_numbered(store.sessions, 1, start=100), subject="twin")  # a second scan-0.png
    summary = read(
        store,
        "id,sha256,file,subject,class,time,source\n"
        ",,scan-1.png,,empty,,\n"  # 2
        ",,scan-0.png,,empty,,\n"
        ",,scan-0.png,twin,empty,,\n"  # 4: the subject tells the twins apart
        ",,no-such.png,,empty,,\n"
        ",,scan-2.png,,purple,,\n"
        ",,scan-2.png,,,,\n"
        ",,scan-2.png,,empty,yesterday,\n"
        ",,scan-2.png,,empty,2026-01-01T10:00:00,\n"
        ",,scan-2.png,,empty,2999-01-01T10:00:00Z,\n"  # 10
        ",,scan-2.png,,empty,,rumour\n"
        ",,,,empty,,\n"
        "no-uuid,,,,empty,,\n"
        f"{uuid4()},,,,empty,,\n"
        ",abc,,,empty,,\n"
        f",{'0' * 64},,,empty,,\n"  # 16
        ",,,nobody,empty,,\n"
        ",,scan-2.png,subject-0,empty,,\n"
        ",,scan-2.png,,empty,,,,too,many\n"
        ",,scan-3.png,,loaded,,\n",
    )
    why = reasons(summary)
    assert (summary.lines, summary.stored, summary.known) == (19, 3, 0)
    assert list(why) == [3, *range(5, 20)]
    for number, words in {
        3: "2 images are named scan-0.png", 5: "came from a file no-such.png", 6: "purple is no class",
        7: "names no class", 8: "yesterday is no ISO 8601", 9: "no zone", 10: "future", 11: "rumour is no source",
        12: "names no image", 13: "no-uuid is no image id", 14: "There is no image", 15: "abc is no SHA-256",
        16: "No image has the SHA-256", 17: "subject nobody", 18: "different images", 19: "10 values for 7 columns",
    }.items():  # fmt: skip
        assert words in why[number]


ODD = {
    "byte order mark": b"\xef\xbb\xbffile,class\nscan-0.png,empty\n",
    "semicolons and CRLF": b"file;class\r\nscan-0.png;empty\r\n",
    "tabs": b"file\tclass\nscan-0.png\tempty\n",
    "quotes": b'"file","class"\n"scan-0.png","empty"\n',
    "empty lines": b"\n\nfile,class\n\n\nscan-0.png,empty\n,\n\n",
    "spaces": b" File , Class \n scan-0.png , Empty \n",
    "no newline at the end": b"file,class\nscan-0.png,empty",
    "a column that means nothing": b"file,weather,class\nscan-0.png,fair,empty\n",
    "short lines": b"class,file,reason,author\nempty,scan-0.png\n",
    "a comma in quotes": b'file,class,reason\nscan-0.png,empty,"a, b"\n',
    "a line break in a reason": b'file,class,reason\nscan-0.png,empty,"a\nb"\n',
}


@pytest.mark.parametrize("content", ODD.values(), ids=list(ODD))
def test_a_table_as_spreadsheets_write_it_is_read(store: TestStore, ids: list[UUID], content: bytes) -> None:
    summary = read(store, content)
    assert (summary.lines, summary.stored, summary.refused) == (1, 1, [])
    assert counting(store, ids[0]) == {ids[0]: "empty"}


def test_columns_that_mean_nothing_are_named(store: TestStore, ids: list[UUID]) -> None:
    assert read(store, "file,weather,class,\nscan-0.png,fair,empty,\n").ignored_columns == ["weather"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "its header says nothing"),
        (b"scan-0.png,empty\n", "its header says scan-0.png, empty"),
        (b"file\nscan-0.png\n", "needs a column `class`"),
        (b"class\nempty\n", "one of `id`"),
        (b"file,class,label\n", "one column for `class`"),
        ("file,class\n".encode("utf-16"), "UTF-8"),
        (b"\xff\xd8\xff\xe0 a picture", "UTF-8"),
    ],
)
def test_a_file_that_is_no_table_of_labels_is_refused(store: TestStore, content: bytes, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        read(store, content)


def test_an_open_quote_swallows_no_line_unnoticed(store: TestStore, ids: list[UUID]) -> None:
    summary = read(store, 'file,class,reason\nscan-0.png,empty,"oops\nscan-1.png,empty,fine\nscan-2.png,empty,fine\n')
    assert summary.stored == 0
    assert "Lines 2 to 4" in reasons(summary)[2]
    summary = read(store, 'file,class,reason\n"scan-0.png,empty,a\nscan-1.png,empty,b\n",empty,c\nscan-3.png,empty,d\n')
    assert summary.stored == 1
    assert "Lines 2 to 4" in reasons(summary)[2]


def test_bytes_that_are_no_text_spoil_their_line_alone(store: TestStore, ids: list[UUID]) -> None:
    summary = read(store, b"file,class\nsc\xe4n.png,empty\nscan-1.png,empty\x00\nscan-2.png,empty\n")
    assert (summary.stored, list(reasons(summary))) == (1, [2, 3])


def test_a_line_without_end_spoils_itself_alone(store: TestStore, ids: list[UUID]) -> None:
    long = b"x" * (3 << 20)
    summary = read(store, b"file,class\n" + long + b",empty\nscan-2.png,empty\n")
    assert (summary.stored, list(reasons(summary))) == (1, [2])
    summary = read(store, b'file,class,reason\nscan-0.png,empty,"' + b"x" * 200_000 + b'"\nscan-3.png,empty,\n')
    assert (summary.stored, list(reasons(summary))) == (1, [2])


def test_a_dry_run_says_what_would_be_stored_and_stores_nothing(store: TestStore, ids: list[UUID]) -> None:
    content = "file,class\nscan-0.png,empty\nscan-1.png,purple\n"
    planned = read(store, content, dry_run=True)
    assert counting(store, *ids) == {}
    done = read(store, content)
    assert (planned.stored, planned.refused) == (done.stored, done.refused)
    assert done.stored == 1


def test_an_import_run_twice_stores_nothing_new(store: TestStore, ids: list[UUID]) -> None:
    days = "scan-0.png,empty,2026-01-01T00:00:00Z\nscan-0.png,loaded,2026-01-02T00:00:00Z\n"
    content = f"file,class,time\n{days}scan-1.png,empty,\n"
    assert read(store, content).stored == 3
    again = read(store, content)
    assert (again.stored, again.known) == (0, 3)


def test_of_two_lines_on_one_image_the_later_counts(store: TestStore, ids: list[UUID]) -> None:
    read(store, "subject,file,class\nsubject-0,,empty\n,scan-1.png,loaded\n")
    assert counting(store, *ids[:2]) == {ids[0]: "empty", ids[1]: "loaded"}


def test_an_import_of_an_unknown_task_or_source_is_refused(store: TestStore) -> None:
    with pytest.raises(NotFound, match="no task weather"):
        read(store, "file,class\n", task="weather")
    with pytest.raises(InvalidInput, match="no source"):
        read(store, "file,class\n", source="rumour")


def test_a_hundred_thousand_lines_are_read_in_bounded_memory(store: TestStore, ids: list[UUID]) -> None:
    class Endless(io.RawIOBase):
        left = 100_000

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            if not self.left:
                return 0
            take = min(self.left, len(buffer) // 19)
            self.left -= take
            buffer[: take * 19] = b"no-such.png,empty \n" * take
            return take * 19

    stream = io.BufferedReader(Endless(), 1 << 16)
    refused = 0

    def count(_: object) -> None:
        nonlocal refused
        refused += 1

    lines = label_csv.read(io.BytesIO(b"file,class\n")).lines
    assert list(lines) == []
    header = label_csv.read(_Joined(b"file,class\n", stream))  # type: ignore[arg-type]
    tracemalloc.start()
    summary = label_import.run(store.sessions, header.lines, Import(task=TASK, author="ann", on_refused=count))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (summary.lines, summary.refused_lines, refused) == (100_000, 100_000, 100_000)
    assert len(summary.refused) == label_import.REFUSALS_KEPT
    assert peak < 24 << 20


class _Joined:
    """A header, and then another stream."""

    def __init__(self, header: bytes, rest: io.BufferedReader) -> None:
        self._header, self._rest = io.BytesIO(header), rest

    def readline(self, size: int) -> bytes:
        return self._header.readline(size) or self._rest.readline(size)


# Lists


def test_labels_are_listed_by_what_they_are_and_when_they_were_stated(store: TestStore, ids: list[UUID]) -> None:
    say(store, a(ids[0], at=START), a(ids[1], "loaded", author="ann", at=START + timedelta(days=1)))
    say(store, a(ids[0], "loaded", "review"))

    def listed(**wanted: Any) -> list[tuple[UUID, str]]:
        with transaction(store.sessions) as session:
            found = label_lists.page(session, LabelFilter(**wanted), limit=10)
            return [(one.label.image_id, one.label.class_name) for one in found]

    assert listed() == [(ids[0], "loaded"), (ids[1], "loaded"), (ids[0], "empty")]
    assert listed(source="review") == [(ids[0], "loaded")]
    assert listed(author="ann") == [(ids[1], "loaded")]
    assert listed(task=TASK, class_name="empty") == [(ids[0], "empty")]
    assert listed(since=START + timedelta(days=1), until=START + timedelta(days=2)) == [(ids[1], "loaded")]
    assert listed(task="pneumonia") == []
    with pytest.raises(InvalidInput):
        listed(class_name="empty")


def test_conflicts_are_images_whose_sources_disagree_by_their_last_word(store: TestStore, ids: list[UUID]) -> None:
    say(store, a(ids[0], "empty", "declared"), a(ids[0], "loaded", "import"))
    say(store, a(ids[1], "empty", "declared"), a(ids[1], "empty", "import"))
    say(store, a(ids[2], "empty", "import", at=START), a(ids[2], "loaded", "import"), a(ids[2], "loaded", "declared"))
    say(store, a(ids[3], "empty", "import"), a(ids[3], "loaded", "review"))

    def found(**wanted: Any) -> list[tuple[UUID, dict[str, str], str, bool]]:
        with transaction(store.sessions) as session:
            listed = label_lists.conflicts(session, TASK, limit=10, **wanted)
            return [(one.image_id, one.classes, one.effective, one.settled) for one in listed]

    first = (ids[0], {"declared": "empty", "import": "loaded"}, "loaded", False)
    second = (ids[3], {"import": "empty", "review": "loaded"}, "loaded", True)
    both = sorted([first, second])  # ids of one millisecond are in no order of their own
    assert found() == both
    assert found(open_only=True) == [first]
    assert found(after=both[0][0]) == both[1:]


def test_an_import_is_in_the_audit_trail(store: TestStore, ids: list[UUID]) -> None:
    read(store, "file,class\nscan-0.png,empty\n")
    with transaction(store.sessions) as session:
        event = session.scalars(select(AuditEvent).where(AuditEvent.action == "label.import")).one()
    assert (event.actor, event.object_id, event.detail) == ("ann", TASK, {"count": 1, "source": "import"})
