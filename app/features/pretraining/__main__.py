"""`python -m app.features.pretraining BACKEND`: standard input is an order as JSON, standard output JSON lines.

In a process of its own, since it loads Keras, whose backend is chosen for good. Lines are stages with their progress;
the last is the report.
"""

import json
import sys
from pathlib import Path
from typing import Any

from app.features.apart import ended
from app.features.engines.environment import require_backend


def main() -> int:
    """Exit status 0, or 1 with the reason as the last line of standard error."""
    require_backend(sys.argv[1])
    from app.features.pretraining.recipe import PretrainingRecipe  # noqa: PLC0415 - behind the choice of backend
    from app.features.pretraining.training import Order, train  # noqa: PLC0415

    asked = json.load(sys.stdin)
    paths = {name: Path(asked[name]) if asked.get(name) else None for name in ("teacher", "start", "scenes")}
    films = tuple(Path(folder) for folder in asked.get("films", ()))

    def told(point: dict[str, Any]) -> None:
        print(json.dumps(point), flush=True)

    def work() -> None:
        recipe = PretrainingRecipe.from_json(asked["recipe"])
        told({"stage": "done", **train(Order(recipe, Path(asked["out"]), films, **paths), told)})

    return ended(work)


if __name__ == "__main__":
    sys.exit(main())
