"""Where each judged image of a task stands: its pile, its finding, whether it is open. SQL, written once."""

from app.heads.policy_words import CANNOT_JUDGE, REVIEW
from app.services.filters import STANDING

PILES = ("looks_positive", "looks_negative", "positive", "review", "cannot_judge", "agrees")

# What somebody decided: an opinion that stands and is no skip, or a review that counts (a review always does).
_OPINION = """
    EXISTS (SELECT FROM opinion o WHERE o.task = :task AND o.image_id = placed.image_id AND o.verdict <> 'skip'
        AND NOT EXISTS (SELECT FROM opinion_withdrawal ow WHERE ow.opinion_id = o.id))
"""
_REVIEW = f"""
    EXISTS (SELECT FROM label WHERE label.task = :task AND label.image_id = placed.image_id AND label.source = 'review'
        AND {STANDING})
"""
_SKIPPED = """
    EXISTS (SELECT FROM opinion o WHERE o.task = :task AND o.image_id = placed.image_id AND o.verdict = 'skip'
        AND o.author = :author AND o.at > now() - interval '12 hours'
        AND NOT EXISTS (SELECT FROM opinion_withdrawal ow WHERE ow.opinion_id = o.id))
"""
DECIDED = f"({_OPINION} OR {_REVIEW})"
STATES = {
    "open": f"NOT {_OPINION} AND NOT {_REVIEW} AND NOT {_SKIPPED}",
    "done": DECIDED,
    "skipped": f"{_SKIPPED} AND NOT {_OPINION} AND NOT {_REVIEW}",
    "all": "TRUE",
}


def placed(condition: str) -> str:
    """Every image that the head judged, in its pile; `condition` is on `image_id`.

    Columns: image_id, pile (its place in PILES), finding (float8), risk, declared. Parameters: head, task, positive.
    An image's decision is its regions' worst (`policy_words.badness`), and its risk the greatest of those regions.
    Where the positive class is declared, the finding is that it is not there.
    """
    return f"""
        SELECT image_id, risk, declared,
            CASE WHEN declared = :positive THEN 1 - CAST(risk AS float8) ELSE CAST(risk AS float8) END AS finding,
            CASE
                WHEN positive IS NOT NULL AND declared IS NULL THEN 2
                WHEN positive IS NOT NULL AND declared <> :positive THEN 0
                WHEN positive IS NOT NULL THEN 5
                WHEN cannot_judge IS NOT NULL THEN 4
                WHEN review IS NOT NULL THEN 3
                WHEN declared = :positive THEN 1
                ELSE 5
            END AS pile
        FROM (
            SELECT judged.*, coalesce(positive, cannot_judge, review, other) AS risk, latest.class_name AS declared
            FROM (
                SELECT image_id,
                    max(risk) FILTER (WHERE decision = :positive) AS positive,
                    max(risk) FILTER (WHERE decision = '{CANNOT_JUDGE}') AS cannot_judge,
                    max(risk) FILTER (WHERE decision = '{REVIEW}') AS review,
                    max(risk) FILTER (WHERE decision NOT IN (:positive, '{CANNOT_JUDGE}', '{REVIEW}')) AS other
                FROM prediction WHERE head_id = :head AND {condition} GROUP BY image_id
            ) judged
            LEFT JOIN (
                SELECT DISTINCT ON (image_id) image_id, class_name FROM declaration
                WHERE task = :task AND {condition} ORDER BY image_id, id DESC
            ) latest ON latest.image_id = judged.image_id
        ) both_said
    """
