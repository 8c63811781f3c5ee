"""The error answers of a route, for the OpenAPI document."""

from http import HTTPStatus
from typing import Any

from app.api.errors import MEDIA_TYPE

# Any authenticated route may answer these.
COMMON = (401, 403, 422, 503)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI responses for these statuses and the common ones.

    No `model`: FastAPI would document it as application/json, beside what is really sent.
    """
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in sorted({*COMMON, *statuses})
    }
