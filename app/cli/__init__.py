"""The `penumbra` command: thin over the services."""

from app.cli.application import app, main

__all__ = ["app", "main"]
