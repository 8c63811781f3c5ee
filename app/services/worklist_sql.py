"""Where each judged image of a task stands: its pile, its finding, whether it is open. SQL, written once."""

from app.heads.policy_words import CANNOT_JUDGE, REVIEW

PILES = ("looks_positive", "looks_negative", "positive", "review", "cannot_judge", "agrees")

# What somebody decided: an opinion that stands and is no skip, or a review that counts (a review always does).
DECIDED = """
    SELECT o.image_id FROM opinion o WHERE o.task = :task AND o.verdict <> 'skip'
        AND NOT EXISTS (SELECT FROM opinion_withdrawal ow WHERE ow.opinion_id = o.id)
    UNION ALL
    SELECT label.image_id FROM label WHERE label.task = :task AND label.source = 'review'
        AND NOT EXISTS (SELECT FROM label_withdrawal lw WHERE lw.label_id = label.id)
"""
SKIPPED = """
    SELECT o.image_id FROM opinion o WHERE o.task = :task AND o.verdict = 'skip' AND o.author = :author
        AND o.at > now() - interval '12 hours'
        AND NOT EXISTS (SELECT FROM opinion_withdrawal ow WHERE ow.opinion_id = o.id)
"""
_DECIDED_HERE = f"EXISTS (SELECT FROM ({DECIDED}) decided WHERE decided.image_id = placed.image_id)"
_SKIPPED_HERE = f"EXISTS (SELECT FROM ({SKIPPED}) skipped WHERE skipped.image_id = placed.image_id)"
STATES = {
    "open": f"NOT {_DECIDED_HERE} AND NOT {_SKIPPED_HERE}",
    "done": _DECIDED_HERE,
    "skipped": f"{_SKIPPED_HERE} AND NOT {_DECIDED_HERE}",
    "all": "TRUE",
}


def placed(condition: str) -> str:
    """Every image that the head judged, in its pile; `condition` is on `image_id`.

    Columns: image_id, pile (its place in PILES), finding (float8), risk, badness, declared. Parameters: head, task,
    positive. A finding is counted where the positive class is declared as well: there it is that nothing is found.
    """
    return f"""
        SELECT judged.image_id, judged.risk, judged.badness, declared.class_name AS declared,
            CASE
                WHEN judged.badness = 0 AND declared.class_name IS NULL THEN 2
                WHEN judged.badness = 0 AND declared.class_name <> :positive THEN 0
                WHEN judged.badness = 1 THEN 4
                WHEN judged.badness = 2 THEN 3
                WHEN judged.badness = 3 AND declared.class_name = :positive THEN 1
                ELSE 5
            END AS pile,
            CASE WHEN declared.class_name = :positive THEN 1 - CAST(judged.risk AS float8)
                 ELSE CAST(judged.risk AS float8) END AS finding
        FROM (
            SELECT image_id, max(risk) AS risk, min(
                CASE decision WHEN :positive THEN 0 WHEN '{CANNOT_JUDGE}' THEN 1 WHEN '{REVIEW}' THEN 2 ELSE 3 END
            ) AS badness
            FROM prediction WHERE head_id = :head AND {condition} GROUP BY image_id
        ) judged
        LEFT JOIN (
            SELECT DISTINCT ON (image_id) image_id, class_name FROM declaration
            WHERE task = :task AND {condition} ORDER BY image_id, id DESC
        ) declared ON declared.image_id = judged.image_id
    """
