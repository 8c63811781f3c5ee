"""The inspection desk: pages rendered on the server, ES modules that call the REST API, no build step."""

from app.web.application import install

__all__ = ["install"]
