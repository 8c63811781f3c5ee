"""The front of a pile, read off the index of risks: a page needs no look at the whole archive, as a rule."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.heads.policy_words import CANNOT_JUDGE, REVIEW
from app.models import Head, Task
from app.services.worklist_sql import PILES

# Beyond some thousands of look-ups one pass over the whole pile costs less (2026-11).
WINDOW = 4_000
_SLACK = 1e-6  # a cursor's finding is a double, and the index holds float32: the keyset decides exactly
# What papers must have said for a pile. Looser than "the latest": `placed` decides.
_PAPERS = "SELECT FROM declaration d WHERE d.image_id = front.image_id AND d.task = :task"
_SAID = {
    "looks_positive": f"EXISTS ({_PAPERS} AND d.class_name <> :positive)",
    "looks_negative": f"EXISTS ({_PAPERS} AND d.class_name = :positive)",
    "positive": f"NOT EXISTS ({_PAPERS})",
    "review": "TRUE",
    "cannot_judge": "TRUE",
}


@dataclass(frozen=True)
class Front:
    """Where the first images of a pile are.

    `among` is a query for their ids, `certain` a condition on `placed`. `whole`: nothing of the pile is elsewhere; else
    what is elsewhere has lesser findings.
    """

    among: str
    certain: str
    whole: bool
    parameters: dict[str, Any]


def fronts(session: Session, task: Task, head: Head, pile: int, *, after: float | None) -> Iterator[Front]:
    """Where to look for the images of a pile behind the finding `after`, the quickest look first; the last is whole.

    None where the index cannot tell: of the pile that agrees, and of tasks with several other classes.
    """
    name = PILES[pile]
    others = [one for one in task.classes if one != task.positive]
    decisions = {"review": REVIEW, "cannot_judge": CANNOT_JUDGE, "looks_positive": task.positive,
                 "positive": task.positive, "looks_negative": others[0]}  # fmt: skip
    if name not in decisions or len(others) != 1:
        return
    parameters: dict[str, Any] = {"decision": decisions[name]}
    # Of what is left to a person some risks count for a finding and some against it; there are few.
    ordered = name not in (REVIEW, CANNOT_JUDGE)
    rising, bound = name == "looks_negative", "TRUE"
    if ordered and after is not None:
        bound = f"front.risk {'>=' if rising else '<='} CAST(:reached AS real)"
        parameters["reached"] = 1 - after - _SLACK if rising else after + _SLACK
    if ordered and (edge := _edge(session, head, bound, parameters, rising=rising)) is not None:
        beyond = f"{'<' if rising else '>'} CAST(:edge AS real)"
        among = _among(f"{bound} AND front.risk {beyond} AND {_SAID[name]}")
        yield Front(among, f"placed.risk {beyond}", False, parameters | {"edge": edge})
    yield Front(_among(f"{bound} AND {_SAID[name]}"), "TRUE", True, parameters)


def _among(condition: str) -> str:
    return (
        "SELECT front.image_id FROM prediction front "
        f"WHERE front.head_id = :head AND front.decision = :decision AND {condition}"
    )


def _edge(session: Session, head: Head, bound: str, parameters: dict[str, Any], *, rising: bool) -> float | None:
    """The risk that ends the window of a decision's next regions; None when they are fewer.

    An image without a region inside has a lesser finding than all that have their risk inside.
    """
    found: float | None = session.scalar(
        text(
            "SELECT front.risk FROM prediction front WHERE front.head_id = :head AND front.decision = :decision "
            f"AND {bound} ORDER BY front.risk {'ASC' if rising else 'DESC'} OFFSET :window LIMIT 1"
        ),
        parameters | {"head": head.id, "window": WINDOW},
    )
    return found
