"""A caller of Penumbra's own REST API, as any inspection system would be."""

import json
from collections.abc import Sequence
from typing import Any, Self

import httpx2 as httpx

from app.errors import Unavailable


class Client:
    """Speaks to a running Penumbra. Raises Unavailable, with the server's words, for any answer but success."""

    def __init__(self, address: str, key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=address, headers=headers, timeout=120, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def healthy(self) -> bool:
        return self._answers("/healthz")

    def ready(self) -> bool:
        return self._answers("/readyz")

    def get(self, path: str) -> Any:
        return self._checked(self._http.get(path))

    def send(self, method: str, path: str, body: Any) -> Any:
        return self._checked(self._http.request(method, path, json=body))

    def upload(
        self,
        path: str,
        files: Sequence[tuple[str, bytes]],
        metadata: list[dict[str, Any]] | None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        fields = {"metadata": json.dumps(metadata)} if metadata is not None else None
        parts = [("files", (name, content)) for name, content in files]
        return self._checked(self._http.post(path, files=parts, data=fields, headers=headers))

    def _answers(self, path: str) -> bool:
        try:
            return self._http.get(path, timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def _checked(self, response: httpx.Response) -> Any:
        if response.is_success:
            return response.json()
        try:
            detail = response.json().get("detail", response.text)
        except ValueError:
            detail = response.text
        raise Unavailable(f"{response.request.method} {response.request.url.path}: {response.status_code} {detail}")
