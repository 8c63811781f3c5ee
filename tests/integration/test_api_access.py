"""Who may do what: keys, roles, and that no route was forgotten."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from app import embedded
from app.config import Settings
from app.main import create_app
from app.models import Role
from tests.conftest import TestStore, calling, new_store
from tests.integration.calls import is_problem, scan, stored, upload

OPEN = {"/healthz", "/readyz"}
INSPECTOR = {
    ("PUT", "/v1/images/{image_id}/labels/{task}"),
    ("POST", "/v1/heads/{head_id}/label-errors/decisions"),
    ("POST", "/v1/labels/withdrawals"),
    ("POST", "/v1/tasks/{task}/labels"),
    ("POST", "/v1/tasks/{task}/worklist/claims"),
    ("PUT", "/v1/tasks/{task}/worklist/claims/{image_id}"),
    ("DELETE", "/v1/tasks/{task}/worklist/claims/{image_id}"),
    ("POST", "/v1/tasks/{task}/opinions"),
    ("DELETE", "/v1/opinions/{opinion_id}"),
}
ADMIN = {
    ("DELETE", "/v1/images/{image_id}"),
    ("POST", "/v1/labels"),
    ("POST", "/v1/tasks/{task}/comparisons"),
    ("POST", "/v1/tasks"),
    ("PATCH", "/v1/tasks/{task}"),
    ("POST", "/v1/tasks/{task}/heads"),
    ("POST", "/v1/tasks/{task}/rollback"),
    ("POST", "/v1/heads/{head_id}/replay"),
    ("POST", "/v1/heads/{head_id}/promote"),
    ("DELETE", "/v1/jobs/{job_id}"),
    ("POST", "/v1/jobs/{job_id}/retry"),
    ("POST", "/v1/feature-sets"),
    ("DELETE", "/v1/feature-sets/{name}"),
    ("POST", "/v1/feature-sets/{name}/retry"),
    ("POST", "/v1/feature-sets/{name}/backfill"),
    ("POST", "/v1/feature-sets/{name}/pause"),
    ("POST", "/v1/feature-sets/{name}/resume"),
    ("PUT", "/v1/feature-sets/{name}/rate"),
    ("POST", "/v1/feature-sets/{name}/retire"),
    ("POST", "/v1/feature-sets/{name}/switch"),
    ("POST", "/v1/tasks/{task}/feature-set-comparisons"),
    ("POST", "/v1/backbones"),
    ("POST", "/v1/datasets"),
    ("POST", "/v1/heads/{head_id}/test"),
    ("POST", "/v1/datasets/{dataset_id}/augmentations"),
    ("DELETE", "/v1/datasets/{dataset_id}/augmentations/{recipe}"),
    ("GET", "/v1/keys"),
    ("POST", "/v1/keys"),
    ("DELETE", "/v1/keys/{key_id}"),
    ("GET", "/v1/audit"),
}
# The document lists every route, so that a new one is covered, or fails a test below, by itself.
ROUTES = [
    (method.upper(), path)
    for path, item in create_app(Settings()).openapi()["paths"].items()
    for method in item
    if path not in OPEN
]
BODIES = {
    "/v1/images/{image_id}/labels/{task}": {"class": "empty"},
    "/v1/heads/{head_id}/label-errors/decisions": {"decision": "accept", "bulk": {"likely": True}},
    "/v1/tasks/{task}/comparisons": {"first": 1, "second": 2},
    "/v1/labels/withdrawals": {"ids": [2**52]},
    "/v1/tasks/{task}/labels": {"images": [str(uuid4())], "class": "empty"},
    "/v1/image-lookups": {"ids": [str(uuid4())]},
    "/v1/labels": {"labels": [{"file": "no-such-file", "class": "empty"}]},
    "/v1/tasks": {"name": "a", "question": "?", "classes": ["b", "c"], "positive": "b"},
    "/v1/tasks/{task}": {"prevalence": 0.02},
    "/v1/tasks/{task}/heads": {},
    "/v1/feature-sets": {"name": "no-such-set"},
    "/v1/feature-sets/{name}/rate": {"rate": 1},
    "/v1/feature-sets/{name}/switch": {"task": "no-such-task"},
    "/v1/tasks/{task}/feature-set-comparisons": {"feature_sets": ["no-such-set", "nor-this"]},
    "/v1/backbones": {"name": "a", "task": "no-such-task"},
    "/v1/datasets": {"name": "a", "task": "no-such-task"},
    "/v1/datasets/{dataset_id}/augmentations": {"recipe": "soft"},
    "/v1/keys": {"name": "a", "role": "ingest"},
    "/v1/tasks/{task}/worklist/claims": {"count": 1},
    "/v1/tasks/{task}/opinions": {"id": str(uuid4()), "image_id": str(uuid4()), "verdict": "skip"},
}


def call(client: TestClient, method: str, path: str, **headers: str) -> Response:
    """A request that is well formed and names nothing that exists."""
    fields = ("image_id", "head_id", "job_id", "key_id", "dataset_id", "opinion_id", "session_id")
    places = dict.fromkeys(("frame", "level", "row", "column"), 0)
    named = {"task": "no-such-task", "name": "no-such-set", "recipe": "soft"}
    address = path.format(**dict.fromkeys(fields, uuid4()), **places, **named)
    body = BODIES.get(path) if method in ("POST", "PUT", "PATCH") else None
    return client.request(method, address, json=body, headers=headers)


@pytest.fixture(scope="module")
def shared(
    server: embedded.EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestStore]:
    with new_store(server, template, tmp_path_factory.mktemp("access")) as store:
        yield store


@pytest.fixture(scope="module")
def service(shared: TestStore) -> Iterator[TestClient]:
    """The API, called without a key."""
    with calling(shared) as client:
        del client.headers["Authorization"]
        yield client


@pytest.fixture(scope="module")
def bearers(shared: TestStore) -> dict[Role, str]:
    return {role: f"Bearer {shared.key(role)}" for role in Role}


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer pnb_unknown", "Basic YWRtaW46YWRtaW4="])
def test_a_route_refuses_whoever_has_no_key(
    service: TestClient, method: str, path: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = call(service, method, path, **headers)
    is_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", sorted(OPEN))
def test_health_routes_need_no_key(service: TestClient, path: str) -> None:
    assert service.get(path).status_code in (200, 503)


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("role", Role)
def test_a_role_may_do_what_it_may_and_nothing_else(
    service: TestClient, bearers: dict[Role, str], method: str, path: str, role: Role
) -> None:
    needed = Role.ADMIN if (method, path) in ADMIN else Role.INSPECTOR if (method, path) in INSPECTOR else Role.INGEST
    allowed = list(Role).index(role) >= list(Role).index(needed)
    answer = call(service, method, path, Authorization=bearers[role])
    assert answer.status_code < 500
    assert (answer.status_code == 403) is not allowed
    if not allowed:
        assert needed in is_problem(answer, 403)["detail"]


def test_every_route_that_is_limited_exists() -> None:
    assert set(ROUTES) >= ADMIN | INSPECTOR


def test_a_key_without_the_right_changes_nothing(
    service: TestClient, shared: TestStore, bearers: dict[Role, str]
) -> None:
    (image,) = stored_as(service, bearers[Role.INGEST])
    headers = {"Authorization": bearers[Role.INSPECTOR]}
    assert service.delete(f"/v1/images/{image['id']}", headers=headers).status_code == 403
    assert service.get(f"/v1/images/{image['id']}", headers=headers).status_code == 200


def stored_as(service: TestClient, authorization: str) -> list[dict[str, str]]:
    answer = service.post("/v1/images", files={"files": ("a.png", scan())}, headers={"Authorization": authorization})
    assert answer.status_code in (200, 201)
    return list(answer.json()["images"])


def test_a_made_key_works_and_a_revoked_one_stops_at_once(client: TestClient) -> None:
    made = client.post("/v1/keys", json={"name": "gate-3", "role": "ingest"})
    assert made.status_code == 201
    headers = {"Authorization": f"Bearer {made.json()['secret']}"}
    assert client.get("/v1/images", headers=headers).status_code == 200
    revoked = client.delete(f"/v1/keys/{made.json()['key']['id']}")
    assert revoked.json()["revoked_at"] is not None
    is_problem(client.get("/v1/images", headers=headers), 401)


def test_revoking_twice_changes_nothing(client: TestClient) -> None:
    key = client.post("/v1/keys", json={"name": "gate-3", "role": "ingest"}).json()["key"]
    first, second = (client.delete(f"/v1/keys/{key['id']}").json() for _ in range(2))
    assert first == second
    is_problem(client.delete(f"/v1/keys/{uuid4()}"), 404)


def test_no_secret_is_stored_or_shown_again(client: TestClient, store: TestStore) -> None:
    secret = client.post("/v1/keys", json={"name": "gate-3", "role": "ingest"}).json()["secret"]
    rows = str(store.scalar("SELECT jsonb_agg(to_jsonb(k)) FROM api_key k"))
    events = str(store.scalar("SELECT jsonb_agg(to_jsonb(e)) FROM audit_event e"))
    assert secret.removeprefix("pnb_") not in rows + events + client.get("/v1/keys").text


@pytest.mark.parametrize("name", ["", "x" * 129, "a\x00b"])
def test_a_key_s_name_must_be_storable(client: TestClient, name: str) -> None:
    is_problem(client.post("/v1/keys", json={"name": name, "role": "ingest"}), 422)


def test_the_author_of_what_happens_is_the_key_s_name(client: TestClient, store: TestStore) -> None:
    client.headers["Authorization"] = f"Bearer {store.key(Role.INGEST, 'gate-7')}"
    upload(client, scan())
    assert store.scalar("SELECT actor FROM audit_event WHERE action = 'image.upload'") == "gate-7"


def test_every_act_that_changes_something_leaves_an_event(client: TestClient) -> None:
    (image,) = stored(client, scan())
    client.post("/v1/tasks", json=BODIES["/v1/tasks"])
    client.put(f"/v1/images/{image['id']}/labels/a", json={"class": "b"})
    key = client.post("/v1/keys", json={"name": "k", "role": "ingest"}).json()["key"]
    client.delete(f"/v1/keys/{key['id']}")
    client.post("/v1/feature-sets/densenet121-xray/retry")
    client.delete(f"/v1/images/{image['id']}")
    actions = [event["action"] for event in client.get("/v1/audit", params={"limit": 7}).json()["items"]]
    assert actions == [
        "image.delete", "extraction.retry", "key.revoke", "key.create", "label.add", "task.create", "image.upload",
    ]  # fmt: skip


def test_the_audit_pages_through_every_event_once(client: TestClient) -> None:
    for number in range(5):
        client.post("/v1/keys", json={"name": f"k{number}", "role": "ingest"})
    everything = [e["id"] for e in client.get("/v1/audit", params={"limit": 500}).json()["items"]]
    paged: list[int] = []
    cursor: dict[str, int] = {}
    while True:
        page = client.get("/v1/audit", params={"limit": 2, **cursor}).json()
        paged += [event["id"] for event in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert paged == everything
