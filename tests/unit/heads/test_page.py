"""The page of a report: whole, escaped, self-contained, and honest about what is missing."""

import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from app.heads.policy_words import ThresholdPolicy
from app.heads.report.caveats import caveats, of_tests
from app.heads.report.consulted import brought_up_to_date
from app.heads.report.page import MOST_THUMBNAIL_BYTES, render_page
from app.heads.trainers import train

VOID = {"meta", "img", "br", "link", "hr", "input", "col", "path", "use", "circle", "rect", "line", "image"}
HOSTILE = '<script>alert("1")</script> & "quoted"'


class Reader(HTMLParser):
    """Reads a page and remembers what is open, every id, and every attribute that could fetch something."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "srcset", "action", "data", "poster"):
                self.fetched.append(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text.append(data)


def read(page):
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def stored(report):
    return json.loads(json.dumps(report, allow_nan=False))


@pytest.fixture(scope="module")
def report(make_table, make_recipe):
    table = make_table(signal=0.5, slices={"source": np.where(np.arange(240) % 4, "gate 1", HOSTILE)})
    return stored(train(table, make_recipe(policy=ThresholdPolicy.parse("recall>=0.9"))).report)


@pytest.fixture(scope="module")
def page(report):
    return render_page(report, title="empty-container, version 1", thumbnails=thumbnails(report))


def thumbnails(report, size=64):
    noise = np.random.default_rng(0).integers(0, 255, (size, size), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG")
    return {one["image_id"]: buffer.getvalue() for one in report["worst"]}


def test_page_is_balanced_and_its_ids_are_unique(page):
    reader = read(page)
    assert len(reader.ids) == len(set(reader.ids))
    assert reader.tags.count("svg") >= 6
    assert reader.tags.count("h1") == 1


def test_page_fetches_nothing(page):
    reader = read(page)
    assert {"script", "link", "iframe", "object", "form"}.isdisjoint(reader.tags)
    assert all(value.startswith(("#", "data:image/jpeg;base64,")) for value in reader.fetched)
    inside = [value[1:] for value in reader.fetched if value.startswith("#")]
    assert set(inside) <= set(reader.ids)
    assert "://" not in page
    assert "@import" not in page
    assert re.findall(r"url\((?!#)", page) == []
    assert set(re.findall(r"url\(#([^)]*)\)", page)) <= set(reader.ids)


def test_first_screen_says_what_it_decides_and_how_far_to_believe_it(page, report):
    first = " ".join(" ".join(read(page.partition("<nav")[0] + "</body></html>").text).split())
    assert "A scan is loaded where that probability is at least" in first
    assert report["contract"]["sentence"].replace(">=", "≥") in first
    assert f"{report['out_of_fold']['auc']:.4f}" in first
    assert f"{report['out_of_fold']['auc_interval']['low']:.4f}" in first
    assert "No test row was scored yet" in first


def test_every_picture_has_words(page):
    assert re.findall(r"<svg(?![^>]*aria-label=\"[^\"]+\")", page) == []
    assert re.findall(r"<img(?![^>]*alt=\"[^\"]+\")", page) == []


def test_page_is_small_and_drawn_the_same_each_time(page, report):
    assert len(page) < 500_000
    assert page == render_page(report, title="empty-container, version 1", thumbnails=thumbnails(report))


def test_names_are_written_and_never_run(report, page):
    hostile = stored(report) | {"task": HOSTILE, "positive": HOSTILE, "notes": [HOSTILE]}
    hostile["classes"] = ["empty", HOSTILE]
    text = json.dumps(hostile).replace('"loaded"', json.dumps(HOSTILE))
    shown = render_page(json.loads(text), title=HOSTILE)
    for one in (page, shown):
        assert "<script" not in one
        assert HOSTILE in "".join(read(one).text)


@pytest.mark.parametrize("name", ["$\\frac{1}$ and $x", "港口 3", "_hidden", "x" * 300])
def test_any_name_can_be_drawn(report, name):
    odd = stored(report)
    odd["slices"]["by"]["source"][0]["value"] = name
    assert name in "".join(read(render_page(odd, title="t")).text)


def test_thumbnails_are_bounded(report):
    huge = {one["image_id"]: bytes(300_000) for one in report["worst"]}
    assert len(huge) > 5
    shown = render_page(report, title="t", thumbnails=huge)
    assert shown.count("data:image/jpeg") <= MOST_THUMBNAIL_BYTES // 300_000
    assert len(shown) < 2_000_000


def test_a_review_band_is_said_and_drawn(make_table, make_recipe):
    trained = train(
        make_table(signal=0.5), make_recipe(policy=ThresholdPolicy.parse("recall>=0.9"), abstain="review<=0.3")
    )
    report = stored(trained.report)
    assert report["review_from"] is not None
    text = " ".join(" ".join(read(render_page(report, title="t")).text).split())
    assert "goes to review from" in text
    assert "Share sent to review" in text
    assert "review from here" in text
    # On the first screen a scan sent to review is not missed: the contract's way of counting.
    recall = report["contract"]["measured"]["recall"]["value"]
    assert recall != report["out_of_fold"]["per_class"]["loaded"]["recall"]
    assert f"Recall of loaded {recall:.4f}" in text
    assert sum(line["threshold"] in (report["threshold"], report["review_from"]) for line in report["sweep"]) == 2


def test_three_classes_have_a_page(make_table, make_recipe):
    table = make_table(classes=("normal", "loaded", "covid"))
    text = " ".join(read(render_page(stored(train(table, make_recipe()).report), title="t")).text)
    assert "decided covid" in text


def test_caveats_name_the_slice_that_differs(report):
    worse = stored(report)
    worse["slices"]["by"]["source"][0] |= {"value": "gate 9", "differs": ["recall"]}
    assert any("gate 9" in text for text in caveats(worse))


@pytest.mark.parametrize(("last", "rises"), [([0.93, 0.95, 0.94], True), ([0.90, 0.99, 0.93], False)])
def test_a_learning_curve_rises_only_beyond_the_noise_of_its_folds(report, last, rises):
    before = [0.92, 0.94, 0.93]
    points = [{"share": share, "fold_auc": folds} for share, folds in ((0.7, before), (1.0, last))]
    told = caveats(stored(report) | {"learning_curve": {"points": points}})
    assert any("still rises" in text for text in told) is rises


def consulted(report, consultations):
    figures = report["out_of_fold"] | {"rows": 777, "notes": []}
    return {
        "dataset": "gates@2", "digest": "d" * 64, "at": "2026-11-21T05:00:00+00:00", "author": "x",
        "consultations": consultations, "figures": figures,
    }  # fmt: skip


def test_tests_scored_later_reach_the_page(page, report):
    later = brought_up_to_date(page, [consulted(report, 3)])
    text = " ".join(" ".join(read(later).text).split())
    assert "777 rows that took no part in training" in text
    assert "No test row was scored" not in text
    assert "3 heads were scored on the test rows of gates@2" in text
    assert brought_up_to_date(later, []) == page


def test_a_test_set_consulted_once_needs_no_warning(report):
    (said,) = of_tests([consulted(report, 1)])
    assert said.startswith("on 777 test rows of gates@2, scored once: AUC")
