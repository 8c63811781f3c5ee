"""The digest is of what a dataset says."""

from hypothesis import given
from hypothesis import strategies as st

from app.datasets.content import Entry, counts, digest

ENTRIES = st.lists(
    st.builds(
        Entry, st.binary(min_size=32, max_size=32), st.integers(0, 3), st.sampled_from(["a", "b"]), st.text(max_size=5),
        st.sampled_from(["train", "test"]),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda entry: entry[:2],
)  # fmt: skip
FIXED = {"feature_set": "f" * 64, "classes": ["a", "b"], "positive": "b"}


@given(ENTRIES, st.randoms())
def test_the_order_of_rows_does_not_matter(entries: list[Entry], random: object) -> None:
    shuffled = list(entries)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert digest(shuffled, **FIXED) == digest(entries, **FIXED)


@given(ENTRIES, st.data())
def test_every_word_of_a_row_matters(entries: list[Entry], data: st.DataObject) -> None:
    field, value = data.draw(
        st.sampled_from([("ordinal", 9), ("class_name", "c"), ("subject", "someone"), ("split", "validation")])
    )
    changed = [entries[0]._replace(**{field: value}), *entries[1:]]
    assert digest(changed, **FIXED) != digest(entries, **FIXED)


def test_feature_set_classes_and_positive_class_matter() -> None:
    entries = [Entry(bytes(32), 0, "a", "s", "train")]
    others = [FIXED | {"feature_set": "e" * 64}, FIXED | {"classes": ["b", "a"]}, FIXED | {"positive": "a"}]
    assert len({digest(entries, **words) for words in [FIXED, *others]}) == 4


def test_the_digest_stays_what_it_was() -> None:
    """Stores of different releases must agree on it."""
    entries = [Entry(bytes(range(32)), 0, "a", "someone", "train"), Entry(bytes(32), 1, "b", "ä", "test")]
    assert digest(entries, **FIXED) == "80dfff9263eeb2cf077ef04053962df0af93d87b964e5d1bcaa1b497c64dd090"


def test_counts_name_every_split_and_class() -> None:
    entries = [Entry(bytes(32), n, "a", "s", "train") for n in range(3)]
    assert counts(entries, splits=["train", "test"], classes=["a", "b"]) == {
        "train": {"a": 3, "b": 0}, "test": {"a": 0, "b": 0},
    }  # fmt: skip
