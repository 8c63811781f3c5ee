"""The command line, as people and scripts use it."""

import csv
import json
import os
import re
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image

import app
from app import cli
from app.cli.client import Client
from app.errors import Unavailable
from app.simulator import write_folder
from tests.e2e.conftest import PENUMBRA, Ended, Up, command, environment, is_one_sentence, processes_of, upon
from tests.integration.calls import scan
from tests.waiting import eventually

COMMANDS = (
    "up", "api", "worker", "migrate", "doctor", "demo", "import", "predict", "explain", "search", "simulate", "train",
    "heads", "gate", "replay", "promote", "rollback", "export-head", "version", "augment", "labels import",
    "labels list", "labels history", "labels conflicts", "label-errors", "compare", "task", "report", "predictions",
    "keys create", "keys list", "keys revoke", "features list", "features show", "features add", "features backfill",
    "features pause", "features resume", "features rate", "features retire", "features drop", "features compare",
    "features switch", "features upgrade", "dataset freeze", "dataset list", "dataset show", "dataset export",
    "dataset import", "test", "inspect", "backbone train", "backbone list", "backbone show", "worklist",
)  # fmt: skip
WITHOUT_RESULT = ("up", "api", "worker", "demo")


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 60 simulated scans in class folders."""
    folder = tmp_path_factory.mktemp("simulated")
    write_folder(folder, 60, 5)
    return folder


@pytest.fixture(scope="module")
def imported(up: Up, scans: Path) -> Ended:
    """The scans, imported and extracted."""
    return up.command("import", str(scans), "--task", "empty-container", "--source", "gate-1", "--json")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a folder of small scans: `name=seed`, or `name=bytes`."""

    def made(folder: str, **files: int | bytes) -> Path:
        for name, content in files.items():
            path = tmp_path / folder / name.replace("__", "/")
            path = path.with_suffix(".png") if isinstance(content, int) else path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(scan(content) if isinstance(content, int) else content)
        return tmp_path / folder

    return made


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run a command in this process, which is ten times as fast: for what ends before it does much."""

    def run(*words: str, env: dict[str, str]) -> Ended:
        for name in os.environ:
            if name.startswith("PENUMBRA_"):
                monkeypatch.delenv(name)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.argv", ["penumbra", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return Ended(int(ended.value.code or 0), out, err)

    return run


def images(up: Up) -> int:
    return int(up.get("/v1/stats")["images"])


# Every command


def test_the_list_of_commands_here_is_complete() -> None:
    listed = command("--help").out
    for name in COMMANDS:
        assert name.split()[0] in listed
    shown = {line.split()[1] for line in listed.split("Commands")[1].splitlines() if re.match("│ [a-z]", line)}
    assert shown == {name.split()[0] for name in COMMANDS}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_and_prints_json_where_it_prints_results(name: str) -> None:
    from typer.testing import CliRunner

    from app.cli import app as tree

    shown = CliRunner().invoke(tree, [*name.split(), "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    explanation = shown.output.split("Usage")[1].splitlines()[2].strip()
    assert len(explanation) > 15
    assert explanation.rstrip().endswith((".", ":"))
    assert ("--json" in shown.output) == (name not in WITHOUT_RESULT)


def test_version_is_the_packages() -> None:
    assert command("version").out.strip() == app.__version__
    assert command("version", "--json").json == {"version": app.__version__}


# up


def test_up_announces_address_and_key_and_keeps_the_key_private(up: Up) -> None:
    assert f"Penumbra is ready at {up.address}" in up.log
    assert f"API key: {up.key}" in up.log
    assert stat.S_IMODE((up.folder / "admin.key").stat().st_mode) == 0o600
    assert up.get("/v1/stats")["workers"]


def test_up_listens_on_loopback_alone(up: Up) -> None:
    assert up.process is not None
    supervisor = psutil.Process(up.process.pid)
    addresses = {
        (connection.laddr.ip, connection.laddr.port)
        for process in [supervisor, *supervisor.children(recursive=True)]
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {("127.0.0.1", up.port)}
    postgres = up.child("postgres")
    assert postgres is not None
    assert not [c for c in postgres.net_connections("inet") if c.status == psutil.CONN_LISTEN]


def test_a_port_in_use_is_said_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = command("up", "--data", str(tmp_path / "data"), "--port", str(port))
    assert ended.status == 1
    assert is_one_sentence(ended.err)
    assert f"Port {port}" in ended.err
    assert not (tmp_path / "data").exists()


def test_up_stops_cleanly_on_ctrl_c_and_starts_again_on_the_same_data(
    tmp_path: Path, graphs: Path, write: Callable[..., Path]
) -> None:
    folder = write("scans", empty__a=1, loaded__b=2)
    with upon(tmp_path / "data", graphs) as own:
        own.start().ready()
        assert own.command("import", str(folder), "--task", "empty-container", "--json").json["created"] == 2
        key = own.key
        assert own.stop(signal.SIGINT) == 0
        assert processes_of(own.folder) == []
        assert "Traceback" not in own.log
        own.start().ready()
        assert own.key == key
        stats = own.get("/v1/stats")
        assert (stats["images"], stats["pending"]) == (2, 0)
        assert own.stop(signal.SIGTERM) == 0
        assert processes_of(own.folder) == []


def test_up_runs_on_a_server_that_the_environment_names(up: Up, tmp_path: Path, graphs: Path) -> None:
    """The data folder need not be there, nor hold a database."""
    from app import embedded

    server = embedded.ensure_running(up.folder / "postgres")
    with upon(tmp_path / "data", graphs, PENUMBRA_DATABASE_URL=server.url()) as second:
        (second.folder / "cache").unlink()
        second.folder.rmdir()
        second.start()
        eventually((second.folder / "admin.key").is_file, what="a key")
        with Client(second.address) as client:
            eventually(client.healthy, what="its API")
        assert second.get("/v1/stats")["images"] == images(up)
        assert not (second.folder / "postgres").exists()
        assert second.stop() == 0
    up.ready()


# import


def test_an_import_stores_labels_and_waits_for_vectors(up: Up, imported: Ended) -> None:
    assert imported.json == {"created": 60, "known": 0, "labelled": 60, "refused": []}
    stats = up.get("/v1/stats")
    assert stats["pending"] == 0
    assert imported.err == ""  # a bar is for terminals


def test_an_import_again_changes_nothing(up: Up, imported: Ended, scans: Path) -> None:
    again = up.command("import", str(scans), "--task", "empty-container", "--json")
    assert again.json == {"created": 0, "known": 60, "labelled": 0, "refused": []}


def test_an_import_that_was_killed_is_finished_by_the_next_without_doubles(
    up: Up, imported: Ended, tmp_path: Path
) -> None:
    folder, before = tmp_path / "many", images(up)
    write = folder / "empty"
    write.mkdir(parents=True)
    for seed in range(600):
        (write / f"{seed}.png").write_bytes(scan(10_000 + seed))
    words = [PENUMBRA, "import", str(folder), "--task", "empty-container", "--no-wait", "--data", str(up.folder)]
    with subprocess.Popen(words, env=environment(**up.env)) as killed:
        eventually(lambda: images(up) > before, what="a first batch", every=0.01)
        killed.kill()
    stored = images(up) - before
    assert 0 < stored < 600
    again = up.command("import", str(folder), "--task", "empty-container", "--no-wait", "--json").json
    assert (again["created"], again["known"]) == (600 - stored, stored)
    assert again["labelled"] == 600 - stored
    assert images(up) == before + 600
    assert not again["refused"]


def test_refused_files_are_listed_with_reasons_and_the_others_taken(up: Up, write: Callable[..., Path]) -> None:
    folder = write("mixed", empty__good=101, loaded__none=b"", loaded__fine=102)
    (folder / "loaded" / "odd[bold] \udcff.png").write_bytes(scan(103))
    (folder / "loaded" / "text[bold]").write_bytes(b"no scan at all")
    ended = up.command("import", str(folder), "--task", "empty-container", "--json")
    answer = ended.json
    assert (answer["created"], answer["labelled"]) == (3, 3)
    assert {Path(r["file"]).name: r["code"] for r in answer["refused"]} == {
        "text[bold]": "unusable-image", "none": "unusable-image"
    }  # fmt: skip
    assert all(r["message"].endswith(".") for r in answer["refused"])
    shown = up.command("import", str(folder), "--task", "empty-container")
    assert shown.status == 0
    assert "0 new, 3 known, 0 labelled, 2 refused." in shown.out
    assert "text[bold]" in shown.out


def test_an_import_of_nothing_usable_fails(up: Up, write: Callable[..., Path]) -> None:
    folder = write("bad", empty__text=b"no scan at all")
    assert up.command("import", str(folder), "--task", "empty-container").status == 1


def test_a_csv_brings_labels_and_metadata(up: Up, write: Callable[..., Path], tmp_path: Path) -> None:
    folder = write("flat", a=201, b=202, c=203)
    table = tmp_path / "labels.csv"
    with table.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["file", "label", "subject", "captured_at", "tags", "source"])
        rows.writerow(["a.png", "Loaded", "MSKU1234565", "2026-01-02T03:04:05Z", "night;rain", "gate-9"])
        rows.writerow(["b.png", "", "", "", "", ""])
        rows.writerow(["missing.png", "empty", "", "", "", ""])
    answer = up.command("import", str(folder), "--task", "empty-container", "--labels", str(table), "--json").json
    assert (answer["created"], answer["labelled"]) == (2, 1)
    assert [r["code"] for r in answer["refused"]] == ["unreadable"]
    (image,) = up.get("/v1/images?source=gate-9")["items"]
    assert (image["subject"], image["tags"], image["name"]) == ("MSKU1234565", ["night", "rain"], "a.png")
    assert image["captured_at"].startswith("2026-01-02T03:04:05")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"file,label\na.png,half-full\n", "line 2: half-full is no class of empty-container (empty, loaded)"),
        (b"name,label\na.png,empty\n", "needs a column `file`"),
        (b"label,file\nempty\n", "line 2: the column `file` is empty"),
        (b"file,captured_at\na.png,yesterday\n", "line 2: captured_at is not an ISO 8601 time: yesterday"),
        (b"file,captured_at\na.png,2026-01-02\n", "needs a time zone"),
        (b"file,label\n\xff\xfe\x00.png,empty\n", "is no CSV file in UTF-8"),
        (b"", "needs a column `file`"),
    ],
)
def test_a_csv_that_cannot_be_used_is_refused_whole(
    up: Up, inside: Callable[..., Ended], write: Callable[..., Path], tmp_path: Path, content: bytes, says: str
) -> None:
    folder = write("flat", a=201)
    (tmp_path / "labels.csv").write_bytes(content)
    words = ["import", str(folder), "--task", "empty-container", "--labels", str(tmp_path / "labels.csv")]
    ended = inside(*words, "--data", str(up.folder), env=up.env)
    assert ended.status == 1
    assert says in ended.err
    assert is_one_sentence(ended.err)


def test_folders_of_unknown_classes_are_refused_with_the_known_ones(up: Up, write: Callable[..., Path]) -> None:
    folder = write("wrong", cats__a=1, dogs__b=2)
    ended = up.command("import", str(folder), "--task", "empty-container")
    assert ended.status == 1
    assert "no folder named after a class of empty-container (empty, loaded)" in ended.err
    assert is_one_sentence(ended.err)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["import", ".", "--task", "[/bold]"], "There is no task [/bold]; there are: empty-container, pneumonia."),
        (["import", ".", "--task", "pneumonia", "--subject-pattern", "("], "no regular expression"),
        (["import", ".", "--task", "pneumonia", "--subject-pattern", "x"], "needs a group"),
        (["heads", "cats"], "no task cats"),
        (["promote", "pneumonia", "99"], "no head version 99"),
        (["rollback", "pneumonia"], "no earlier live head"),
        (["train", "pneumonia"], "No labelled, extracted image of task pneumonia"),
        (["train", "empty-container", "--algorithm", "astrology"], "astrology"),
        (["train", "empty-container", "--param", "C=much"], "give a number from"),
        (["train", "empty-container", "--class-weight", "cats=2"], "cats"),
        (["keys", "revoke", "00000000-0000-0000-0000-000000000000"], "no API key"),
        (["worker", "dig"], "no worker dig"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_status_1(
    up: Up, inside: Callable[..., Ended], words: list[str], says: str
) -> None:
    ended = inside(*words, "--data", str(up.folder), env=up.env)
    assert ended.status == 1, ended
    assert says in ended.err
    assert is_one_sentence(ended.err), ended.err
    assert ended.out == ""


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"PENUMBRA_LEASE_SECONDS": "soon"}, "PENUMBRA_LEASE_SECONDS"),
        ({"PENUMBRA_DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none"}, "does not answer"),
        ({"PENUMBRA_DATABASE_URL": "somewhere"}, "PENUMBRA_DATABASE_URL"),
        ({"PENUMBRA_DATA_DIR": "/proc/nowhere"}, "/proc/nowhere cannot be used"),
        ({"PENUMBRA_FEATURE_SET": "densenet121-xray", "PENUMBRA_WEIGHTS": "/nowhere.npz"}, "/nowhere.npz"),
        ({"PENUMBRA_WEIGHTS": "/nowhere.npz"}, "PENUMBRA_FEATURE_SET"),
    ],
)
def test_settings_that_cannot_be_used_are_named(
    inside: Callable[..., Ended], tmp_path: Path, env: dict[str, str], says: str
) -> None:
    ended = inside("keys", "list", env={"PENUMBRA_DATA_DIR": str(tmp_path / "data"), **env})
    assert ended.status == 1
    assert says in ended.err
    assert is_one_sentence(ended.err), ended.err


# predict, search


def test_predict_stores_a_scan_and_prints_the_live_heads_answer(up: Up, imported: Ended, tmp_path: Path) -> None:
    write_folder(tmp_path, 2, 77)
    files = sorted(str(path) for path in tmp_path.rglob("*.jpg"))
    rows = up.command("predict", *files, "--task", "empty-container", "--json").json
    assert [row["file"] for row in rows] == files
    for row in rows:
        assert row["decision"] in ("empty", "loaded")
        assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    shown = up.command("predict", *files, "--task", "empty-container")
    assert shown.status == 0
    assert all(row["image"] in shown.out for row in rows)


def test_predict_says_which_file_is_no_scan_and_fails(up: Up, write: Callable[..., Path]) -> None:
    folder = write("two", good=301, text=b"nothing")
    ended = up.command("predict", str(folder / "good.png"), str(folder / "text"), "--task", "pneumonia", "--json")
    assert ended.status == 1
    assert str(folder / "text") in ended.err
    assert '"decision"' in ended.out


def test_search_finds_the_scans_most_like_one(up: Up, imported: Ended, scans: Path) -> None:
    file = next(iter(sorted(scans.rglob("*.jpg"))))
    answer = up.command("search", str(file), "--limit", "3", "--source", "gate-1", "--json").json
    distances = [neighbour["distance"] for neighbour in answer["neighbours"]]
    assert len(distances) == 3
    assert distances == sorted(distances)
    assert file.name not in [neighbour["name"] for neighbour in answer["neighbours"]]
    assert up.command("search", str(file), "--exact").status == 0


# Heads


@pytest.fixture(scope="module")
def trained(up: Up, imported: Ended) -> Ended:
    return up.command("train", "empty-container", "--pooling", "avg", "--param", "C=1", "--folds", "3", "--json")


def test_a_training_is_followed_to_its_report(trained: Ended) -> None:
    answer = trained.json
    assert answer["report"]["out_of_fold"]["auc"] > 0.9
    assert answer["version"] > 1


def test_a_replay_lists_what_would_flip_and_a_gate_every_check(up: Up, trained: Ended) -> None:
    version = str(trained.json["version"])
    said = up.command("replay", "empty-container", version, "--flips", "3", "--json").json
    assert said["regions"] >= 60
    assert sum(count for row in said["flips"].values() for count in row.values()) == said["regions"]
    assert len(said["first"]) == min(3, said["flipped"])
    assert f"{said['flipped']} of " in up.command("replay", "empty-container", version).out
    looked = up.command("gate", "empty-container", version, "--json")  # sixty scans may fail the margin: status 1
    checks = {check["name"]: check for check in json.loads(looked.out)["checks"]}
    assert looked.status == int(any(check["passed"] is False for check in checks.values()))
    assert checks["golden"]["passed"]
    assert checks["polarity"]["passed"]
    assert "balanced-accuracy" in checks
    assert "golden" in up.command("gate", "empty-container", version).out


def test_a_promotion_asks_and_where_nobody_answers_says_what_to_say(up: Up, trained: Ended) -> None:
    words = ["promote", "empty-container", str(trained.json["version"]), "--override", "a test of the command line"]
    for more, says in (([], "--yes"), (["--json"], "--yes"), (["--yes", "--override", " "], "state a reason")):
        ended = up.command(*words, *more)
        assert ended.status == 1
        assert says in ended.err
        assert is_one_sentence(ended.err)
    live = {row["version"]: row["stage"] for row in up.command("heads", "empty-container", "--json").json}
    assert live[1] == "live"


def test_heads_are_promoted_and_rolled_back(up: Up, trained: Ended) -> None:
    version = trained.json["version"]
    stages = {row["version"]: row["stage"] for row in up.command("heads", "empty-container", "--json").json}
    assert (stages[version], stages[1]) == ("candidate", "live")
    reason = ["--override", "sixty scans cannot match three thousand"]
    promoted = up.command("promote", "empty-container", str(version), *reason, "--yes", "--json").json
    counts = promoted.pop("replay")
    assert promoted == {"task": "empty-container", "live": version, "previous": 1}
    assert counts["flipped"] <= counts["regions"]
    assert "version 1 is live" in up.command("rollback", "empty-container").out
    shown = up.command("heads", "empty-container").out
    assert "archived" in shown
    assert trained.json["head"] in shown


def test_a_head_is_exported_with_report_and_card(up: Up, trained: Ended, tmp_path: Path) -> None:
    words = ["export-head", "empty-container", str(trained.json["version"]), "--out", str(tmp_path / "head"), "--json"]
    written = up.command(*words).json["written"]
    assert {Path(name).suffix for name in written} == {".onnx", ".json", ".md"}
    assert all(Path(name).stat().st_size for name in written)


# keys, migrate, doctor, simulate


def test_a_key_works_until_it_is_revoked(up: Up) -> None:
    made = up.command("keys", "create", "[scanner]", "--role", "ingest", "--json").json
    with Client(up.address, made["secret"]) as client:
        assert client.get("/v1/tasks")
    listed = {key["id"]: key for key in up.command("keys", "list", "--json").json}
    assert "secret" not in listed[made["id"]]
    assert "[scanner]" in up.command("keys", "list").out
    assert "[scanner] is revoked." in up.command("keys", "revoke", made["id"]).out
    with Client(up.address, made["secret"]) as client, pytest.raises(Unavailable, match="401"):
        client.get("/v1/tasks")


def test_migrate_says_the_revision_and_does_nothing_twice(up: Up) -> None:
    first, second = up.command("migrate", "--json").json, up.command("migrate", "--json").json
    assert first == second
    assert first["revision"]


def test_doctor_finds_a_lost_original(up: Up, write: Callable[..., Path]) -> None:
    assert set(up.command("doctor", "--json").json.values()) == {"ok"}
    folder = write("lost", empty__a=401)
    up.command("import", str(folder), "--task", "empty-container", "--source", "to-be-lost")
    (image,) = up.get("/v1/images?source=to-be-lost")["items"]
    digest = image["sha256"]
    (up.folder / "blobs" / digest[:2] / digest[2:4] / digest).unlink()
    ended = up.command("doctor")
    assert ended.status == 1
    assert f"1 missing, such as {digest}" in ended.out


def test_simulated_folders_can_be_imported_again_and_again(tmp_path: Path) -> None:
    words = ["simulate", "--out", str(tmp_path / "[out]"), "--count", "4", "--seed", "3"]
    first, second = command(*words, "--json").json, command(*words, "--json").json
    assert (first["written"], second["written"], second["kept"]) == (4, 0, 4)
    with Image.open(next((tmp_path / "[out]").rglob("*.jpg"))) as image:
        assert image.mode == "L"
    assert f"4 scans in {tmp_path / '[out]'}" in command(*words).out


# Without a running service


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[Path]:
    """A data folder on which nothing runs."""
    yield tmp_path / "idle"
    for process in processes_of(tmp_path / "idle"):
        process.kill()


def test_import_without_a_worker_stores_and_says_what_to_start(idle: Path, write: Callable[..., Path]) -> None:
    folder = write("scans", empty__a=1, loaded__b=2)
    env = {"PENUMBRA_DATA_DIR": str(idle), "PENUMBRA_HEARTBEAT_SECONDS": "0.5"}
    ended = command("import", str(folder), "--task", "empty-container", env=env)
    assert ended.status == 1
    assert is_one_sentence(ended.err)
    assert "2 images wait" in ended.err
    assert "penumbra up" in ended.err
    again = command("import", str(folder), "--task", "empty-container", "--no-wait", "--json", env=env)
    assert again.json == {"created": 0, "known": 2, "labelled": 0, "refused": []}
    eventually(lambda: not processes_of(idle), what="the embedded server's stop")


def test_train_without_a_trainer_says_what_to_start(up: Up, imported: Ended) -> None:
    """The trainer is suspended: its heartbeat stops, as that of a lost machine."""
    trainer = up.child("trainer")
    assert trainer is not None
    trainer.send_signal(signal.SIGSTOP)
    try:
        started = time.monotonic()
        ended = up.command("train", "empty-container", "--pooling", "avg")
        assert time.monotonic() - started < 30
    finally:
        os.kill(trainer.pid, signal.SIGCONT)
    assert ended.status == 1
    assert "no training worker runs" in ended.err
    assert is_one_sentence(ended.err)
    eventually(lambda: not up.get("/v1/stats")["jobs"].get("train"), what="the queued training")
