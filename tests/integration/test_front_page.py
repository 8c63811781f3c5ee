"""What a person finds at the address that `penumbra up` prints."""

import re

from fastapi.testclient import TestClient


def test_the_address_leads_to_the_documentation(client: TestClient) -> None:
    answer = client.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


def test_the_documentation_loads_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/docs").text
    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert sources
    assert all(source.startswith("/") for source in sources)
    assert {client.get(source).status_code for source in sources} == {200}
