"""The command tree, and how a command ends."""

import io
import os
import sys

import typer
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

from app import __version__
from app.cli import (
    access,
    augmentation,
    backbones,
    comparison,
    datasets,
    explanations,
    feature_comparison,
    feature_upgrade,
    features,
    heads,
    inspection,
    label_errors,
    labels,
    promotion,
    reports,
    scans,
    serve,
    tasks,
    training,
    worklist,
)
from app.cli.output import JsonOption, print_json, problem
from app.config import what_is_wrong
from app.errors import AppError

app = typer.Typer(
    name="penumbra",
    help="Penumbra: a feature store and classification service for X-ray scans.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for group in (
    serve,
    scans,
    inspection,
    explanations,
    labels,
    tasks,
    worklist,
    datasets,
    training,
    features,
    feature_comparison,
    feature_upgrade,
    backbones,
    label_errors,
    comparison,
    augmentation,
    heads,
    promotion,
    reports,
    access,
):
    group.register(app)


@app.command()
def version(as_json: JsonOption = False) -> None:
    """Print the version."""
    print_json({"version": __version__}) if as_json else print(__version__)


def main() -> None:
    """Run the command line; an error is one sentence on standard error and exit status 1."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a file's name may be no UTF-8
    try:
        app()
    except AppError as error:
        problem(error.message)
    except ValidationError as error:
        problem(what_is_wrong(error))
    except DBAPIError as error:
        problem(f"The database refused or does not answer: {str(error.orig).strip()}")
    except BrokenPipeError:
        # Whoever read our output has seen enough; the interpreter must not try to flush the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        problem(f"{error.filename or 'A file'} cannot be used: {error.strerror or error}.")
    else:
        return
    sys.exit(1)


if __name__ == "__main__":
    main()
