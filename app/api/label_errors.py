"""`/v1/heads/{id}/label-errors`: labels that a head doubts, and what reviewers say of them."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from app.api.problems import problems
from app.api.schemas.label_errors import LabelDecisionIn, LabelDecisionOut, LabelErrorOut, LabelErrorPage
from app.deps import CallerDep, Inspector, SessionDep
from app.errors import InvalidInput
from app.services import label_review, suspect_neighbours
from app.services.label_review import State

router = APIRouter(prefix="/heads", tags=["labels"])


@router.get("/{head_id}/label-errors", responses=problems(404, 409))
def list_label_errors(
    head_id: UUID,
    session: SessionDep,
    _: CallerDep,
    state: Annotated[State | None, Query(description="only those")] = None,
    likely: Annotated[bool, Query(description="only likely errors")] = False,
    neighbours: Annotated[int, Query(ge=0, le=10, description="how many nearest labelled images of each")] = 5,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[int, Query(ge=0, lt=2**31, description="the rank where the last page ended")] = 0,
) -> LabelErrorPage:
    """Images whose label is probably wrong, by what the head said of them without having learned from them."""
    found = label_review.review(session, head_id)
    wanted = [
        one
        for one in found.suspects
        if one.rank > cursor and (state is None or one.state is state) and (one.likely or not likely)
    ]
    shown = wanted[:limit]
    near = suspect_neighbours.nearest(session, found.head, shown, count=neighbours)
    items = [LabelErrorOut.of(one, witnesses) for one, witnesses in zip(shown, near, strict=True)]
    return LabelErrorPage.of(found, items, shown[-1].rank if len(wanted) > limit else None)


@router.post("/{head_id}/label-errors/decisions", responses=problems(404, 409))
def decide_label_errors(
    head_id: UUID, body: LabelDecisionIn, session: SessionDep, caller: Inspector
) -> LabelDecisionOut:
    """Accept the suggested class, or confirm the given one: a review label each. In bulk only open suspects."""
    if (body.image_ids is None) == (body.bulk is None):
        raise InvalidInput("Give one of `image_ids` and `bulk`.")
    if body.image_ids is not None:
        done = label_review.decide(
            session, head_id, body.image_ids, body.decision, author=caller.name, dry_run=body.dry_run
        )
    else:
        assert body.bulk is not None
        done = label_review.decide_all(
            session, head_id, body.bulk.to_bound(), body.decision, author=caller.name, dry_run=body.dry_run
        )
    return LabelDecisionOut.of(body.decision, done, dry_run=body.dry_run)
