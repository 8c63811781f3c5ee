"""The command tree, and how a command ends."""

import sys

import typer
from sqlalchemy.exc import OperationalError

from app import __version__
from app.cli import access, heads, scans, serve
from app.cli.output import problem
from app.errors import AppError

app = typer.Typer(
    name="penumbra",
    help="Penumbra: a feature store and classification service for X-ray scans.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for group in (serve, scans, heads, access):
    group.register(app)


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


def main() -> None:
    """Run the command line; an error is one sentence on standard error and exit status 1."""
    try:
        app()
    except AppError as error:
        problem(error.message)
        sys.exit(1)
    except OperationalError as error:
        problem(f"The database does not answer: {str(error.orig or error).strip()}")
        sys.exit(1)


if __name__ == "__main__":
    main()
