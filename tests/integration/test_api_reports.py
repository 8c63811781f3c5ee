"""Reports by API: JSON for programs, a page for people, the card, the answers row by row."""

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from typer.testing import CliRunner

from app import embedded
from app.cli.application import app
from app.db import transaction
from app.errors import AppError
from app.features.spec import FeatureSetSpec
from app.heads.evidence import Evidence
from app.models import Dataset, Head
from app.services import evaluation, images, reports, starters
from tests.conftest import FakeExtractor, TestStore, calling, extracting, new_store, training
from tests.integration.calls import is_problem, scan, upload
from tests.integration.teaching import PER_CLASS, label, promote, train

TABLE = Path(__file__).resolve().parents[2] / "docs/bad-input.md"
NAMES = ["=1+2.png", "@sum.png", "'quoted.png", "<script>alert(1)<.png", "comma, and more.png"]
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@dataclass(frozen=True)
class Lab:
    """A service with two trained heads on labelled scans of odd names; the first is live."""

    client: TestClient
    store: TestStore
    images: list[dict[str, Any]]
    heads: list[dict[str, Any]]

    def get(self, part: str, head: int = 1, **options: Any) -> Response:
        return self.client.get(f"/v1/heads/{self.heads[head]['id']}/{part}", **options)


@pytest.fixture(scope="module")
def lab(
    server: embedded.EmbeddedServer, template: str, spec: FeatureSetSpec, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    with (
        new_store(server, template, tmp_path_factory.mktemp("reports")) as store,
        extracting(store, FakeExtractor(spec)),
        training(store),
        calling(store) as client,
    ):
        body = {"name": "bright", "question": "Is it?", "classes": ["dark", "light"], "positive": "light"}
        client.post("/v1/tasks", json=body)
        scans = [scan(seed, light=light) for seed in range(PER_CLASS) for light in (0.3, 0.7)]
        names = [*NAMES, *(f"scan-{n}.png" for n in range(2 * PER_CLASS - len(NAMES)))]
        answer = upload(client, *scans, wait=60, names=names).json()["images"]
        for number, image in enumerate(answer):
            mistaken = number == 7  # a label error, for the worst errors to find
            label(client, image, ("dark", "light")[(number + mistaken) % 2])
        first = train(client)
        assert promote(client, first).status_code == 200
        yield Lab(client, store, answer, [first, train(client, pooling="max")])


def test_report_is_json_unless_html_is_preferred(lab: Lab) -> None:
    for headers in (
        {},
        {"Accept": "*/*"},
        {"Accept": "application/json"},
        {"Accept": "text/html;q=0.2,application/json"},
    ):
        answer = lab.get("report", headers=headers)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["vary"] == "Accept"
    for options in ({"headers": {"Accept": BROWSER}}, {"params": {"format": "html"}}):
        answer = lab.get("report", **options)
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.text.startswith("<!doctype html>")
    asked = lab.get("report", params={"format": "json"}, headers={"Accept": BROWSER})
    assert asked.headers["content-type"] == "application/json"
    is_problem(lab.get("report", params={"format": "pdf"}), 422)


def test_report_tells_its_dataset_and_the_live_head(lab: Lab) -> None:
    report = lab.get("report").json()
    assert report["dataset"]["name"].startswith("bright")
    compared = report["comparison"]
    assert compared["heads"] == ["version 2", "version 1, live"]
    assert compared["rows"] == 2 * PER_CLASS
    assert 0 <= compared["mcnemar_p"] <= 1
    assert lab.get("report", head=0).json()["comparison"] is None
    assert report["tests"] == []


def test_worst_errors_have_thumbnails_on_the_page(lab: Lab) -> None:
    worst = lab.get("report").json()["worst"]
    assert lab.images[7]["id"] in [one["image_id"] for one in worst]
    page = lab.get("report", params={"format": "html"})
    assert page.text.count("data:image/jpeg;base64,") >= len(worst)
    assert lab.images[7]["id"] in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_card_is_markdown(lab: Lab) -> None:
    answer = lab.get("card")
    assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    assert answer.text.startswith("---\nlicense:")


def lines(answer: Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def test_predictions_are_a_line_a_row(lab: Lab) -> None:
    told = lines(lab.get("predictions"))
    assert sorted(line["image_id"] for line in told) == sorted(image["id"] for image in lab.images)
    report = lab.get("report").json()
    for line in told:
        assert line["sha256"] == next(image["sha256"] for image in lab.images if image["id"] == line["image_id"])
        light = float(line["p_light"])
        assert light + float(line["p_dark"]) == pytest.approx(1, abs=1e-5)
        assert line["decision"] == ("light" if light >= report["threshold"] else "dark")
        assert line["correct"] == ("yes" if line["decision"] == line["given"] else "no")
        assert line["fold"] in ("0", "1")
    right = sum(line["correct"] == "yes" for line in told)
    assert right / len(told) == pytest.approx(report["out_of_fold"]["accuracy"])


def test_no_cell_of_the_file_is_a_formula_and_every_name_comes_back(lab: Lab) -> None:
    told = lines(lab.get("predictions"))
    assert not [value for line in told for value in line.values() if value.startswith(("=", "+", "-", "@", "\t"))]
    names = {line["image_id"]: line["file_name"] for line in told}
    for image, name in zip(lab.images, NAMES, strict=False):
        assert names[image["id"]].removeprefix("'") == name
    assert names[lab.images[3]["id"]] == NAMES[3]  # nothing is added where nothing could run


def test_test_rows_have_no_predictions_before_they_are_scored(lab: Lab) -> None:
    assert "test rows" in is_problem(lab.get("predictions", head=0, params={"rows": "test"}), 409)["detail"]
    is_problem(lab.get("predictions", params={"rows": "training"}), 422)


def test_what_test_rows_say_later_is_in_report_page_card_and_predictions(lab: Lab) -> None:
    with transaction(lab.store.sessions) as session:
        for number, one in enumerate(lab.heads):
            head = session.get_one(Head, UUID(one["id"]))
            evidence = Evidence.from_bytes(head.evidence or b"")
            figures = {**(head.report or {})["out_of_fold"], "notes": []}
            dataset = session.get_one(Dataset, head.dataset_id)
            evaluation.record(session, dataset, head.id, figures, evidence, author=f"tester {number}")
    told = lab.get("report").json()["tests"]
    assert [(test["consultations"], test["author"]) for test in told] == [(2, "tester 1")]
    page = lab.get("report", params={"format": "html"}).text
    assert f"2 heads were scored on the test rows of {told[0]['dataset']}" in page
    assert "No test row was scored" not in page
    assert f"Test rows of {told[0]['dataset']}" in lab.get("card").text
    assert len(lines(lab.get("predictions", params={"rows": "test"}))) == 2 * PER_CLASS


def test_rows_of_deleted_images_keep_their_answers(lab: Lab) -> None:
    with transaction(lab.store.sessions) as session:
        images.remove(session, UUID(lab.images[-1]["id"]), author="test")
    gone = next(line for line in lines(lab.get("predictions")) if line["image_id"] == lab.images[-1]["id"])
    assert (gone["sha256"], gone["file_name"]) == ("", "")
    assert gone["p_light"]


def test_a_bundled_head_says_that_it_has_neither_page_nor_answers(lab: Lab) -> None:
    with transaction(lab.store.sessions) as session:
        starter = session.query(Head).filter(Head.task == "pneumonia").one()
        path = f"/v1/heads/{starter.id}"
    report = lab.client.get(f"{path}/report").json()
    assert report["out_of_fold"]["auc"] > 0.9
    assert "bundled" in is_problem(lab.client.get(f"{path}/report", params={"format": "html"}), 409)["detail"]
    assert "train the task" in is_problem(lab.client.get(f"{path}/predictions"), 409)["detail"]
    assert lab.client.get(f"{path}/card").text.startswith("---\n")


SECTION = TABLE.read_text().partition("## Reports")[2].partition("\n## ")[0]
ROWS = re.findall(r"^\| GET (\w+)(/\S+) \|.*\| (\d+) \|$", SECTION, re.MULTILINE)


@pytest.mark.parametrize(("head", "rest", "status"), ROWS, ids=[f"{head}{rest}" for head, rest, _ in ROWS])
def test_the_documented_table_of_bad_requests_is_what_is_answered(lab: Lab, head: str, rest: str, status: str) -> None:
    with transaction(lab.store.sessions) as session:
        known = session.query(Head).filter(Head.task == "pneumonia").one().id
    chosen = {"HEAD": known, "NOBODY": uuid4()}[head]
    is_problem(lab.client.get(f"/v1/heads/{chosen}{rest}"), int(status))


# The commands.


@dataclass(frozen=True)
class Terminal:
    """Runs commands on the lab's store."""

    run: CliRunner

    def out(self, *words: str) -> str:
        ended = self.run.invoke(app, words)
        assert ended.exit_code == 0, ended.exception
        return ended.output

    def error(self, *words: str) -> str:
        ended = self.run.invoke(app, words)
        assert isinstance(ended.exception, AppError)
        return ended.exception.message


@pytest.fixture
def terminal(lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Terminal:
    monkeypatch.setenv("PENUMBRA_DATABASE_URL", lab.store.url)
    monkeypatch.setenv("PENUMBRA_DATA_DIR", str(lab.store.settings.data_dir))
    monkeypatch.chdir(tmp_path)
    return Terminal(CliRunner())


def test_the_command_prints_contract_figures_and_doubts(terminal: Terminal) -> None:
    said = terminal.out("report", "bright", "2")
    for part in ("bright version 2 (candidate)", "Contract: ", "Out of fold: AUC", "How far to believe this", "light"):
        assert part in said
    assert json.loads(terminal.out("report", "bright", "2", "--json"))["rows"] == 2 * PER_CLASS


def test_the_command_writes_page_card_and_json(terminal: Terminal) -> None:
    for name, start in (("a.html", "<!doctype html>"), ("a.md", "---\n"), ("a.json", "{")):
        assert terminal.out("report", "bright", "2", "--out", name).strip() == name
        assert Path(name).read_text().startswith(start)
    assert "a.pdf" in terminal.error("report", "bright", "2", "--out", "a.pdf")


def test_a_bundled_head_has_a_summary_too(terminal: Terminal) -> None:
    stored = json.loads(resources.files("app.heads.starters").joinpath("pneumonia.json").read_text())["out_of_fold"]
    low, high = stored["auc_interval"]["low"], stored["auc_interval"]["high"]
    assert f"AUC {stored['auc']:.4f} ({low:.4f} to {high:.4f})" in terminal.out("report", "pneumonia", "1")
    assert "bundled" in terminal.error("report", "pneumonia", "1", "--out", "a.html")


def test_the_command_writes_predictions(lab: Lab, terminal: Terminal) -> None:
    written = json.loads(terminal.out("predictions", "bright", "2", "--out", "p.csv", "--json"))
    assert written == {"written": "p.csv", "rows": 2 * PER_CLASS}
    assert Path("p.csv").read_bytes() == lab.get("predictions").content
    assert terminal.out("predictions", "bright", "2").splitlines() == Path("p.csv").read_text().splitlines()
    assert "--out" in terminal.error("predictions", "bright", "2", "--json")
    assert "version 9" in terminal.error("predictions", "bright", "9")


def test_a_bundled_heads_report_names_no_image_of_this_store() -> None:
    found = starters.bundled("pneumonia", "densenet121-chest")
    assert found is not None
    told = json.loads(found[".json"])
    assert told["worst"]
    assert reports.shown_images(told) == []
