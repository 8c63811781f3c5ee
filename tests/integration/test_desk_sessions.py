"""Browsers that sign in: the cookie beside the key, what a page of theirs must prove, and what the desk remembers."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from app.deps import CSRF_HEADER, SESSION_COOKIE
from app.models import Role
from app.services import preferences
from tests.conftest import TestStore, calling
from tests.integration.calls import is_problem

BY_SCRIPT = {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def anyone(store: TestStore) -> Iterator[TestClient]:
    """The service, called without a key and without a session."""
    with calling(store) as client:
        del client.headers["Authorization"]
        yield client


def sign_in(client: TestClient, key: str, **headers: str) -> dict[str, str]:
    """Sign in as a page's script does; the answer. The client keeps the cookie and proves where it calls from."""
    client.cookies.clear()
    answer = client.post("/sign-in", data={"key": key}, headers=BY_SCRIPT | headers)
    assert answer.status_code == 200
    told = answer.json()
    client.headers[CSRF_HEADER] = told["csrf"]
    return dict(told)


def cookie(client: TestClient) -> str:
    return str(client.cookies[SESSION_COOKIE])


def sessions(client: TestClient) -> list[dict[str, object]]:
    answer = client.get("/v1/sessions")
    assert answer.status_code == 200
    return list(answer.json())


def test_a_browser_is_signed_in_as_the_key_s_owner(anyone: TestClient, store: TestStore) -> None:
    told = sign_in(anyone, store.key(Role.INSPECTOR, "ann"))
    assert (told["name"], told["role"]) == ("ann", "inspector")
    (mine,) = sessions(anyone)
    assert mine["mine"] is True
    assert is_problem(anyone.get("/v1/keys"), 403)["detail"]


def test_only_the_cookies_digest_is_stored(anyone: TestClient, store: TestStore) -> None:
    sign_in(anyone, store.key())
    rows = store.scalar("SELECT jsonb_agg(to_jsonb(s)) FROM desk_session s")
    events = store.scalar("SELECT jsonb_agg(to_jsonb(e)) FROM audit_event e")
    assert cookie(anyone) not in f"{rows}{events}"


def test_a_form_signs_in_and_a_wrong_key_does_not(anyone: TestClient, store: TestStore) -> None:
    key = store.key()
    right = anyone.post("/sign-in", data={"key": f" {key}\n", "next": "/images"}, follow_redirects=False)
    assert (right.status_code, right.headers["location"]) == (303, "/images")
    assert {"httponly", "samesite=lax", "path=/"} <= {
        part.strip().lower() for part in right.headers["set-cookie"].split(";")
    }
    for wrong in ("", "pnb_unknown"):
        answer = anyone.post("/sign-in", data={"key": wrong})
        assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)


def test_the_sign_in_leads_nowhere_else(anyone: TestClient, store: TestStore) -> None:
    key = store.key()
    for elsewhere in ("//evil.example", "/\\evil.example", "https://evil.example", "javascript:1", ""):
        answer = anyone.post("/sign-in", data={"key": key, "next": elsewhere}, follow_redirects=False)
        assert answer.headers["location"] == "/"


def test_what_changes_something_must_come_from_a_page_of_the_session(anyone: TestClient, store: TestStore) -> None:
    sign_in(anyone, store.key())
    del anyone.headers[CSRF_HEADER]
    for headers in ({}, *({CSRF_HEADER: token.encode()} for token in ("", "0" * 64, "é"))):
        is_problem(anyone.request("PUT", "/v1/preferences/theme", json={"value": "light"}, headers=headers), 403)
        is_problem(anyone.request("DELETE", "/v1/sessions", headers=headers), 403)
    assert anyone.get("/v1/preferences").json() == {}


def test_another_session_s_token_proves_nothing(anyone: TestClient, store: TestStore) -> None:
    key = store.key()
    first = sign_in(anyone, key)
    sign_in(anyone, key)
    anyone.headers[CSRF_HEADER] = first["csrf"]
    is_problem(anyone.put("/v1/preferences/theme", json={"value": "light"}), 403)


def test_a_key_counts_before_the_cookie_and_needs_no_proof(anyone: TestClient, store: TestStore) -> None:
    sign_in(anyone, store.key(Role.INGEST, "gate"))
    del anyone.headers[CSRF_HEADER]
    headers = {"Authorization": f"Bearer {store.key(Role.ADMIN, 'chief')}"}
    assert anyone.get("/v1/keys", headers=headers).status_code == 200
    assert anyone.put("/v1/preferences/theme", json={"value": "light"}, headers=headers).status_code == 204
    is_problem(anyone.get("/v1/tasks", headers={"Authorization": "Bearer pnb_unknown"}), 401)


def test_a_revoked_key_ends_its_sessions_at_once(anyone: TestClient, store: TestStore) -> None:
    sign_in(anyone, store.key(Role.ADMIN, "ann"))
    (key,) = (one["id"] for one in anyone.get("/v1/keys").json() if one["name"] == "ann")
    anyone.delete(f"/v1/keys/{key}")
    is_problem(anyone.get("/v1/tasks"), 401)


def test_an_expired_session_is_one_no_more_and_goes_at_the_next_sign_in(anyone: TestClient, store: TestStore) -> None:
    key = store.key()
    sign_in(anyone, key)
    expire(store)
    is_problem(anyone.get("/v1/tasks"), 401)
    assert anyone.get("/settings", follow_redirects=False).headers["location"] == "/sign-in?next=/settings"
    sign_in(anyone, key)
    assert store.scalar("SELECT count(*) FROM desk_session") == 1


def expire(store: TestStore) -> None:
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE desk_session SET expires_at = now() - interval '1 second'")


def test_a_session_in_use_stays_open(anyone: TestClient, store: TestStore) -> None:
    sign_in(anyone, store.key())
    with store.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE desk_session SET seen_at = now() - interval '1 hour', expires_at = now() + interval '1 second'"
        )
    anyone.get("/v1/tasks")
    assert store.scalar("SELECT expires_at > now() + interval '11 hours' FROM desk_session") is True


def test_signing_out_needs_the_token_and_ends_the_session(anyone: TestClient, store: TestStore) -> None:
    told = sign_in(anyone, store.key())
    kept = cookie(anyone)
    assert anyone.post("/sign-out", data={"csrf": "0" * 64}).status_code == 403
    done = anyone.post("/sign-out", data={"csrf": told["csrf"]}, follow_redirects=False)
    assert done.headers["location"] == "/sign-in"
    anyone.cookies.set(SESSION_COOKIE, kept)
    is_problem(anyone.get("/v1/tasks"), 401)


# Sessions of one's own.


def test_one_signs_the_other_browsers_out_and_nobody_elses(anyone: TestClient, store: TestStore) -> None:
    key, stranger = store.key(Role.INSPECTOR, "ann"), store.key(Role.INSPECTOR, "bob")
    for owner in (stranger, key, key, key):
        sign_in(anyone, owner)
    first = next(one for one in sessions(anyone) if not one["mine"])
    assert anyone.delete(f"/v1/sessions/{first['id']}").status_code == 204
    is_problem(anyone.delete(f"/v1/sessions/{first['id']}"), 404)
    assert len(sessions(anyone)) == 2
    for _ in range(2):
        assert anyone.delete("/v1/sessions").status_code == 204
    assert [one["mine"] for one in sessions(anyone)] == [True]
    sign_in(anyone, stranger)
    assert len(sessions(anyone)) == 2
    assert store.scalar("SELECT count(*) FROM audit_event WHERE action = 'desk.sign_out' AND actor = 'ann'") == 2


def test_nobody_closes_another_s_session(anyone: TestClient, store: TestStore) -> None:
    sign_in(anyone, store.key(Role.INSPECTOR, "ann"))
    (hers,) = sessions(anyone)
    sign_in(anyone, store.key(Role.ADMIN, "bob"))
    is_problem(anyone.delete(f"/v1/sessions/{hers['id']}"), 404)


def test_a_program_signs_all_browsers_of_its_key_out(anyone: TestClient, store: TestStore) -> None:
    key = store.key()
    sign_in(anyone, key)
    kept = cookie(anyone)
    anyone.cookies.clear()
    headers = {"Authorization": f"Bearer {key}"}
    assert anyone.delete("/v1/sessions", headers=headers).status_code == 204
    anyone.cookies.set(SESSION_COOKIE, kept)
    is_problem(anyone.get("/v1/sessions"), 401)


def test_a_session_says_which_browser_it_is(anyone: TestClient, store: TestStore) -> None:
    agents = {
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0": "Firefox 140, Linux",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 "
        "Safari/537.36 Edg/150.0.0.0": "Edge 150, Windows",
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Mobile "
        "Safari/537.36": "Chrome 150, Android",
        "Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 "
        "Mobile/15E148 Safari/604.1": "Safari 18, iPad",
        "curl/8.14": "",
        "": "",
    }
    key = store.key()
    for agent, words in agents.items():
        sign_in(anyone, key, **{"User-Agent": agent})
        assert next(one["browser"] for one in sessions(anyone) if one["mine"]) == words


# What the desk remembers.


def test_a_preference_is_kept_for_the_key_and_forgotten_by_null(client: TestClient, store: TestStore) -> None:
    value = {"source": ["gate-1"], "risk_from": 0.5, "text": "não"}
    path = "/v1/preferences/worklist:empty-container"
    for kept in ({"value": 1}, {"value": value}):
        assert client.put(path, json=kept).status_code == 204
    assert client.get("/v1/preferences").json() == {"worklist:empty-container": value}
    client.headers["Authorization"] = f"Bearer {store.key()}"
    assert client.get("/v1/preferences").json() == {}
    client.put(path, json={"value": 2})
    client.put(path, json={"value": None})
    assert client.get("/v1/preferences").json() == {}


def test_a_preference_has_a_plain_name_and_is_small_and_storable(client: TestClient) -> None:
    for name in ("A", "-a", "a b", "a" * 65, "ä"):
        is_problem(client.put(f"/v1/preferences/{name}", json={"value": 1}), 422)
    for value in ("x" * preferences.MOST_BYTES, "a\x00b", {"\x00": 1}):
        is_problem(client.put("/v1/preferences/a", json={"value": value}), 422)


def test_preferences_are_few(client: TestClient, store: TestStore) -> None:
    with store.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO preference (key_id, name, value) SELECT id, 'p' || i, '1' FROM api_key, "
            f"generate_series(1, {preferences.MOST_NAMES}) i WHERE name = 'test-admin'"
        )
    is_problem(client.put("/v1/preferences/one-more", json={"value": 1}), 422)
    assert client.put("/v1/preferences/p1", json={"value": 2}).status_code == 204
