"""JSON bodies of routes that take a file as well, read within a bound."""

from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from app.errors import InvalidInput, TooLarge

Model = TypeVar("Model", bound=BaseModel)


def is_multipart(request: Request) -> bool:
    return request.headers.get("content-type", "").lower().startswith("multipart/")


def sentence(error: ValidationError) -> str:
    """What is wrong with a value, in one line."""
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or 'body'}: {item['msg']}" for item in error.errors()
    )


async def read_json(request: Request, model: type[Model], *, max_bytes: int) -> Model:
    """The body as `model`. Raise TooLarge past the bound, InvalidInput when it does not fit."""
    body = bytearray()
    async for chunk in request.stream():
        body.extend(chunk)
        if len(body) > max_bytes:
            raise TooLarge(f"A JSON body has at most {max_bytes:,} bytes here; send files as multipart/form-data.")
    try:
        return model.model_validate_json(bytes(body))
    except ValidationError as error:
        raise InvalidInput(sentence(error)) from error
