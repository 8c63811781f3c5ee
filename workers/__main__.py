"""`python -m workers extract` and `python -m workers train`."""

import argparse
import importlib
import logging
import sys

from pydantic import ValidationError

from app.config import load_settings, what_is_wrong
from app.errors import AppError
from workers.runner import Stopped


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m workers", description="Run a Penumbra worker process.")
    parser.add_argument("kind", choices=("extract", "train"), help="extract features, or train heads")
    kind = parser.parse_args(arguments).kind
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        settings = load_settings()
        # The extraction worker must not load what only training needs, nor the other way round.
        importlib.import_module(f"workers.{kind}").main(settings)
    except AppError as error:
        print(f"penumbra worker: {error.message}", file=sys.stderr)
        return 2
    except ValidationError as error:
        print(f"penumbra worker: {what_is_wrong(error)}", file=sys.stderr)
        return 2
    except Stopped:
        logging.warning("stopped before the database answered")
    return 0


if __name__ == "__main__":
    sys.exit(main())
