"""`/v1/tasks/{task}/comparisons`: two head versions on the same test rows."""

from fastapi import APIRouter

from app.api.problems import problems
from app.api.schemas import Name
from app.api.schemas.comparisons import ComparedOut, CompareIn
from app.deps import Admin, SessionDep
from app.services import comparison

router = APIRouter(prefix="/tasks", tags=["heads"])


@router.post("/{task}/comparisons", responses=problems(404, 409))
def compare_heads(task: Name, body: CompareIn, session: SessionDep, caller: Admin) -> list[ComparedOut]:
    """Compare two head versions on the test rows of datasets; each head looks at each dataset's test rows once."""
    found = comparison.compare(session, task, body.first, body.second, body.datasets, author=caller.name)
    return [ComparedOut.of(one) for one in found]
