"""The REST API: one router a noun."""

from fastapi import APIRouter

from app.api import (
    augmentation,
    backbones,
    comparisons,
    datasets,
    desk,
    explanations,
    feature_sets,
    heads,
    image_lookups,
    images,
    jobs,
    label_errors,
    labels,
    operations,
    opinions,
    predict,
    prepared,
    promotion,
    pyramids,
    reports,
    search,
    tasks,
    trials,
    worklist,
)

router = APIRouter(prefix="/v1")
for part in (
    images,
    image_lookups,
    prepared,
    pyramids,
    explanations,
    labels,
    label_errors,
    comparisons,
    predict,
    search,
    tasks,
    worklist,
    opinions,
    heads,
    promotion,
    reports,
    jobs,
    operations,
    trials,
    datasets,
    augmentation,
    feature_sets,
    backbones,
    desk,
):
    router.include_router(part.router)
