"""`/work/{task}`: one scan after the other, the scan in the middle, its evidence beside it, a key for each answer."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.deps import SessionDep
from app.models import Role
from app.services import tasks
from app.web import pile_words
from app.web.rendering import class_word, page
from app.web.visitors import VisitorDep
from app.web.worklist_filters import DeskFilter

router = APIRouter()


@router.get("/work/{task}")
def show_work(request: Request, task: str, visitor: VisitorDep, session: SessionDep) -> Response:
    """The work page; its script claims the scans. `image` is the one to begin with."""
    visitor.caller.require(Role.INSPECTOR)
    chosen = tasks.named(session, task)
    wanted = DeskFilter.read({name: request.query_params.getlist(name) for name in request.query_params})
    wanted = wanted.blinded() if chosen.blind else wanted
    given = {
        "task": chosen.name,
        "classes": {name: class_word(name, visitor.language) for name in chosen.classes},
        "positive": chosen.positive,
        "blind": chosen.blind,
        "titles": pile_words.titles(chosen, visitor.language),
        "filter": wanted.values(),
        "narrows": wanted.narrows or bool(wanted.pile),
        "answered": tasks.live_head(session, chosen.name) is not None,
        "first": request.query_params.get("image"),
        "list": f"/{wanted.query(task=chosen.name)}",
    }
    return page("work.html", visitor, active="worklist", task=chosen, given=given)
