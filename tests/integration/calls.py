"""How the API's tests make scans and call it."""

import io
from typing import Any

import numpy as np
from fastapi.testclient import TestClient
from httpx2 import Response
from PIL import Image

MULTIPART = "multipart/form-data; boundary=frontier"


def encode(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def picture(seed: int = 0, *, light: float = 0.5, side: int = 28) -> Image.Image:
    """A grey noise square about `light`; scans of like brightness are near one another."""
    values = np.random.default_rng(seed).normal(light, 0.05, (side, side)).clip(0, 1)
    return Image.fromarray((values * 255).astype(np.uint8))


def scan(seed: int = 0, *, light: float = 0.5) -> bytes:
    return encode(picture(seed, light=light))


def upload(
    client: TestClient, *contents: bytes, wait: int | None = None, names: list[str] | None = None, **fields: str
) -> Response:
    names = names or [f"scan-{i}.png" for i in range(len(contents))]
    files = [("files", pair) for pair in zip(names, contents, strict=True)]
    headers = {} if wait is None else {"Prefer": f"wait={wait}"}
    return client.post("/v1/images", files=files, data=fields, headers=headers)


def stored(client: TestClient, *contents: bytes, wait: int | None = None, **fields: str) -> list[dict[str, Any]]:
    """Upload and return the images; with `wait`, all of them ready."""
    answer = upload(client, *contents, wait=wait, **fields)
    assert answer.status_code in (200, 201), answer.text
    images = answer.json()["images"]
    assert wait is None or {image["state"] for image in images} == {"ready"}
    return list(images)


def form(*parts: bytes, end: bytes = b"--frontier--\r\n") -> bytes:
    """A multipart body of parts that already carry their headers."""
    return b"".join(b"--frontier\r\n" + part + b"\r\n" for part in parts) + end


def file_part(content: bytes, name: bytes = b"scan.png") -> bytes:
    return b'Content-Disposition: form-data; name="files"; filename="' + name + b'"\r\n\r\n' + content


def post_form(client: TestClient, body: Any, content_type: str = MULTIPART) -> Response:
    return client.post("/v1/images", content=body, headers={"Content-Type": content_type})


def is_problem(answer: Response, status: int) -> dict[str, Any]:
    """The problem document of an answer that must have this status."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["detail"]
    return dict(body)
