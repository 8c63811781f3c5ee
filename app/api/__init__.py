"""The REST API: one router a noun."""

from fastapi import APIRouter

from app.api import (
    augmentation,
    backbones,
    comparisons,
    datasets,
    explanations,
    feature_sets,
    heads,
    images,
    jobs,
    label_errors,
    labels,
    operations,
    predict,
    prepared,
    promotion,
    reports,
    search,
    tasks,
    trials,
)

router = APIRouter(prefix="/v1")
for part in (
    images,
    prepared,
    explanations,
    labels,
    label_errors,
    comparisons,
    predict,
    search,
    tasks,
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
):
    router.include_router(part.router)
