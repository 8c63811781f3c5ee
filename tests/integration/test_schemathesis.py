"""The OpenAPI document is whole, and what it promises holds under generated requests."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from app import embedded
from app.config import Settings
from app.features.spec import FeatureSetSpec
from app.main import create_app
from tests.conftest import FakeExtractor, extracting, new_store, serving
from tests.integration.calls import scan

METHODS = ("get", "put", "post", "delete", "patch")
OPEN = {"/healthz", "/readyz"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document; making it needs no database."""
    return create_app(Settings()).openapi()


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", item[method])
        for path, item in document["paths"].items()
        for method in METHODS
        if method in item
    ]


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    bare = [name for name, op in operations(document) if not (op.get("summary") and op.get("description"))]
    assert not bare


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    ids = [op["operationId"] for _, op in operations(document)]
    assert len(set(ids)) == len(ids)


def test_security_is_shown_where_a_key_is_needed(document: dict[str, Any]) -> None:
    shown = {name.split()[1] for name, op in operations(document) if op.get("security")}
    assert shown == set(document["paths"]) - OPEN


def test_problems_are_problem_json_and_nothing_else(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for status, answer in operation["responses"].items():
            if status[0] in "45" and name.split()[1] not in OPEN:
                assert list(answer["content"]) == ["application/problem+json"], (name, status)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    known = set(document["components"]["schemas"])

    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(target := node.get("$ref"), str):
                yield target.removeprefix("#/components/schemas/")
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    assert set(references(document)) <= known


# Generated requests.

# Rules between fields, dates before X-rays and the words of a policy are no JSON schema: there, a request
# that fits the document may still be refused. Everywhere else it may not.
RULES_BEYOND_THE_SCHEMA = {
    "POST /v1/images",
    "GET /v1/images",
    "GET /v1/images/{image_id}/similar",
    "PUT /v1/images/{image_id}/labels/{task}",
    "GET /v1/labels",
    "POST /v1/labels",
    "POST /v1/heads/{head_id}/label-errors/decisions",
    "POST /v1/tasks/{task}/comparisons",
    "POST /v1/datasets",
    "POST /v1/predict/{task}",
    "POST /v1/search",
    "POST /v1/tasks",
    "POST /v1/tasks/{task}/heads",
    "POST /v1/tasks/{task}/feature-set-comparisons",
    "POST /v1/feature-sets",
    "POST /v1/feature-sets/{name}/switch",
    "GET /v1/tasks/{task}/worklist",
    "GET /v1/tasks/{task}/worklist/counts",
    "POST /v1/tasks/{task}/worklist/claims",
    "POST /v1/tasks/{task}/opinions",
    "POST /v1/tasks/{task}/labels",
    "GET /v1/tasks/{task}/opinions",
    "GET /v1/jobs",
    "POST /v1/labels/withdrawals",
}


@dataclass(frozen=True)
class Service:
    """A real server, and an administrator's connection to it."""

    address: str
    session: requests.Session


@pytest.fixture(scope="module")
def service(
    server: embedded.EmbeddedServer,
    template: str,
    spec: FeatureSetSpec,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    """A server with an image and a worker; it waits for nothing, so that a generated `Prefer` costs no time."""
    folder = tmp_path_factory.mktemp("schemathesis")
    with (
        new_store(server, template, folder, max_wait_seconds=0.01) as store,
        extracting(store, FakeExtractor(spec)),
        serving(store) as address,
        requests.Session() as session,
    ):
        session.headers["Authorization"] = f"Bearer {store.key()}"
        answer = session.post(f"{address}/v1/images", files={"files": ("scan.png", scan())})
        assert answer.status_code == 201
        yield Service(address, session)


schema = schemathesis.openapi.from_dict(create_app(Settings()).openapi())
# Unknown query parameters are ignored, as everywhere in HTTP; keys are tested route by route in test_api_access.
schema.config.generation.allow_extra_parameters = False
schema.config.generation.with_security_parameters = False


@schema.parametrize()
@settings(
    max_examples=15,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_is_answered_otherwise_than_documented(case: schemathesis.Case, service: Service) -> None:
    excused = case.operation.label in RULES_BEYOND_THE_SCHEMA
    case.call_and_validate(
        base_url=service.address,
        session=service.session,
        excluded_checks=[positive_data_acceptance] if excused else [],
    )
