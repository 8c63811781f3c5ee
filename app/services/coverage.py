"""Which feature sets describe an image, and whether they do yet: conditions in SQL on `image` and `fs`."""

# A feature set is for one kind of scan, or for all; an image is of one kind, or nobody said of which.
APPLIES = "(fs.profile IS NULL OR image.profile IS NULL OR fs.profile = image.profile)"
# Regions of a detector's cut are made by the first extraction: before it there is none.
MISSING = """(
    NOT EXISTS (SELECT FROM region r WHERE r.image_id = image.id AND r.cut = fs.cut)
    OR EXISTS (
        SELECT FROM region r LEFT JOIN embedding e ON e.region_id = r.id
            AND e.feature_set_id = fs.id AND e.augmentation = 0
        WHERE r.image_id = image.id AND r.cut = fs.cut AND e.region_id IS NULL)
)"""
# An image waits for live feature sets alone.
STATE = f"""
    CASE WHEN NOT EXISTS (SELECT FROM feature_set fs WHERE fs.stage = 'live' AND {APPLIES} AND {MISSING}) THEN 'ready'
         WHEN EXISTS (
             SELECT FROM job j JOIN feature_set fs ON fs.id = j.feature_set_id AND fs.stage = 'live'
             WHERE j.image_id = image.id AND j.kind = 'extract' AND j.state = 'failed') THEN 'failed'
         ELSE 'pending' END
"""
