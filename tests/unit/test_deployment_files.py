"""What the image, compose and lock files promise: read as text, since no container engine is needed to break them."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.config import Settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
FRAMEWORKS = {"tensorflow", "keras", "openvino", "scikit-learn", "torch"}
LONG_RUNNING = sorted(set(SERVICES) - {"migrate"})


def dockerfile_stages() -> dict[str, tuple[str, list[str]]]:
    """Stage -> the stage or image it is built on, and its instructions."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    stages: dict[str, tuple[str, list[str]]] = {}
    for line in text.splitlines():
        if begun := re.fullmatch(r"FROM (\S+) AS (\S+)", line):
            stages[begun[2]] = (begun[1], [])
        elif stages and line and not line.startswith("#"):
            stages[list(stages)[-1]][1].append(line)
    return stages


STAGES = dockerfile_stages()


def lineage(stage: str) -> list[str]:
    """All instructions that shape a stage: its ancestors', and those of the stages it copies from."""
    if stage not in STAGES:
        return []
    base, own = STAGES[stage]
    copied = [found[1] for line in own if (found := re.match(r"COPY --from=(\S+)", line))]
    return [line for each in (base, *copied) for line in lineage(each)] + own


def locked(lock: Path) -> dict[str, set[str]]:
    """Package -> versions in a lock."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9._-]+)==(\S+)", lock.read_text(), re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


@pytest.mark.parametrize("name", SERVICES)
def test_service_runs_without_root_and_without_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["user"] in {"10001:10001", "postgres"}
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_service_has_a_health_check_and_is_started_again(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", SERVICES)
def test_image_is_pinned(name: str) -> None:
    tag = SERVICES[name]["image"].rpartition(":")[2].rstrip("}").removeprefix("-")
    assert re.match(r"\d+\.\d+\.\d+", tag), tag


def test_python_image_is_pinned() -> None:
    assert re.search(r"^ARG PYTHON=python:\d+\.\d+\.\d+-slim-\w+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)


def test_database_has_room_for_parallel_index_builds_where_postgres_18_keeps_its_data() -> None:
    database = SERVICES["db"]
    gibibytes = re.fullmatch(r"(\d+)gb", database["shm_size"])
    megabytes = re.search(r"maintenance_work_mem=(\d+)MB", " ".join(database["command"]))
    assert gibibytes
    assert megabytes
    assert int(gibibytes[1]) * 1024 >= int(megabytes[1])
    assert database["volumes"] == ["postgres:/var/lib/postgresql"]
    assert "ports" not in database


def test_schema_is_current_before_anything_uses_it() -> None:
    assert SERVICES["migrate"]["depends_on"] == {"db": {"condition": "service_healthy"}}
    assert SERVICES["migrate"]["restart"] == "no"
    for name in set(SERVICES) - {"db", "migrate"}:
        assert SERVICES[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}


def test_secrets_come_from_files_that_settings_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PENUMBRA_DATABASE_URL", raising=False)
    assert all(set(secret) == {"file"} for secret in COMPOSE["secrets"].values())
    for name in set(SERVICES) - {"db"}:
        assert SERVICES[name]["secrets"] == ["penumbra_database_url", "penumbra_pseudonym_key"]
    assert "PENUMBRA_SECRETS_DIR=/run/secrets" in " ".join(lineage("runtime"))
    (tmp_path / "penumbra_database_url").write_text("postgresql://penumbra:word@db:5432/penumbra\n")
    (tmp_path / "penumbra_pseudonym_key").write_text("a key of some length, and a newline\n")
    settings = Settings(_secrets_dir=tmp_path)
    assert settings.pseudonym_key is not None
    assert settings.pseudonym_key.get_secret_value() == "a key of some length, and a newline"
    url = settings.database_url
    assert url is not None
    assert url.get_secret_value() == "postgresql://penumbra:word@db:5432/penumbra"


def test_no_secret_is_written_in_the_files() -> None:
    for name, service in SERVICES.items():
        settings = service.get("environment", {})
        assert not [key for key in settings if re.search(r"PASSWORD$|_KEY$|DATABASE_URL$", key)], name


def test_volumes_networks_and_secrets_are_declared() -> None:
    for service in SERVICES.values():
        assert {volume.partition(":")[0] for volume in service.get("volumes", [])} <= set(COMPOSE["volumes"])
        assert set(service["networks"]) <= set(COMPOSE["networks"])
        assert set(service["secrets"]) <= set(COMPOSE["secrets"])


def test_only_the_api_can_be_reached_and_on_loopback_unless_asked_otherwise() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["api"]
    assert SERVICES["api"]["ports"][0].startswith("${PENUMBRA_LISTEN:-127.0.0.1}:")
    assert COMPOSE["networks"]["inside"] == {"internal": True}


def test_gpu_worker_is_started_only_when_asked_for() -> None:
    assert [name for name, service in SERVICES.items() if "profiles" in service] == ["worker-gpu"]
    assert SERVICES["worker-gpu"]["profiles"] == ["gpu"]


@pytest.mark.parametrize("name", [name for name in SERVICES if "build" in SERVICES[name]])
def test_what_compose_builds_is_a_target_that_ends_without_root(name: str) -> None:
    target = SERVICES[name]["build"]["target"]
    users = [line for line in lineage(target) if line.startswith("USER ")]
    assert users[-1] == "USER 10001:10001"
    assert any(line.startswith("HEALTHCHECK ") for line in STAGES[target][1])


def test_api_image_has_no_training_framework() -> None:
    used = {name for line in lineage("api") for name in re.findall(r"-r requirements/(\S+)\.lock", line)}
    assert used == {"base", "build"}
    assert not FRAMEWORKS & set(locked(ROOT / "requirements" / "base.lock"))
    worker = set(locked(ROOT / "requirements" / "worker.lock"))
    assert {"tensorflow", "keras", "openvino", "scikit-learn"} <= worker


def test_images_install_nothing_without_a_hash() -> None:
    installs = [line for _, lines in STAGES.values() for line in lines if "pip install" in line]
    assert installs
    assert all("--require-hashes" in line or "--no-index --no-deps" in line for line in installs)


def test_build_context_holds_what_the_image_copies() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    lines = [line for _, lines in STAGES.values() for line in lines if re.match(r"COPY (?!--from)", line)]
    copied = {source.split("/")[0] for line in lines for source in line.split()[1:-1]}
    assert copied == allowed


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_lock_has_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    requirements = re.findall(r"^[a-z0-9].*?(?=^[a-z0-9]|\Z)", text, re.MULTILINE | re.DOTALL)
    assert requirements
    assert all("--hash=sha256:" in requirement for requirement in requirements)


def test_locks_agree_and_cover_what_the_project_declares() -> None:
    everything = locked(ROOT / "requirements" / "dev.lock")
    for name in ("base", "worker"):
        part = locked(ROOT / "requirements" / f"{name}.lock")
        assert part.items() <= everything.items()
    gpu = locked(ROOT / "requirements" / "worker-gpu.lock")
    assert {name: gpu[name] for name in gpu.keys() & everything.keys()}.items() <= everything.items()
    assert any(name.startswith("nvidia-") for name in gpu)
    base = locked(ROOT / "requirements" / "base.lock")
    declared = re.search(r"^dependencies = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL)
    assert declared
    names = re.findall(r'^\s+"([A-Za-z0-9_.-]+)', declared[1], re.MULTILINE)
    assert {name.lower() for name in names} <= set(base)
