"""What a person finds at the address that `penumbra up` prints."""

import re

from fastapi.testclient import TestClient


def test_the_address_leads_to_the_desk(client: TestClient) -> None:
    del client.headers["Authorization"]
    answer = client.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/")


def test_every_page_says_what_the_browser_may_load(client: TestClient) -> None:
    policy = client.get("/sign-in").headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_pages_load_nothing_from_elsewhere(client: TestClient) -> None:
    for page in ("/docs", "/sign-in"):
        sources = re.findall(r'(?:src|href)="([^"]+)"', client.get(page).text)
        assert sources
        assert all(source.startswith(("/", "#")) for source in sources)
        assert {client.get(source).status_code for source in sources if source.startswith("/")} == {200}
