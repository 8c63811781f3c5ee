"""Which documented path a request went to.

The routing scope does not say: an included router's route knows its path without the prefix,
and a 405 knows only the methods of the first route that has the path.
"""

import re
from functools import lru_cache

from fastapi import FastAPI
from starlette.routing import compile_path


@lru_cache(maxsize=8)
def _patterns(app: FastAPI) -> list[tuple[re.Pattern[str], str, list[str]]]:
    return [
        (compile_path(template)[0], template, sorted(method.upper() for method in item))
        for template, item in app.openapi()["paths"].items()
    ]


def template_of(app: FastAPI, path: str) -> str | None:
    """The documented path that `path` is an instance of."""
    return next((template for pattern, template, _ in _patterns(app) if pattern.match(path)), None)


def methods_of(app: FastAPI, path: str) -> list[str]:
    """The methods that `path` answers to, sorted; none for an undocumented one."""
    return next((methods for pattern, _, methods in _patterns(app) if pattern.match(path)), [])
