"""The options of `penumbra train`, in words."""

from pathlib import Path
from typing import Annotated

import typer

from app.heads.algorithms import Algorithm

TaskArgument = Annotated[str, typer.Argument(help="A task, such as empty-container.")]
AlgorithmOption = Annotated[
    list[str] | None,
    typer.Option(help=f"{', '.join(Algorithm)}; repeat to search several. Default: logistic-regression."),
]
PoolingOption = Annotated[list[str] | None, typer.Option(help="avg, max or both (default); repeat for several.")]
ParamOption = Annotated[
    list[str] | None,
    typer.Option(
        help="NAME=VALUE, NAME=VALUE,VALUE for a grid, NAME=LOW..HIGH for a range; "
        "ALGORITHM.NAME=... for one algorithm alone. Repeat for more."
    ),
]
RecipeOption = Annotated[Path | None, typer.Option(help="A recipe as JSON; options given beside it count more.")]
DatasetOption = Annotated[str | None, typer.Option(help="NAME or NAME@VERSION; without it, all labels of now.")]
SearchOption = Annotated[str | None, typer.Option(help="grid (default), random or tpe.")]
TrialsOption = Annotated[int | None, typer.Option("--trials", min=1, help="Most candidates to try.")]
SecondsOption = Annotated[float | None, typer.Option(min=0.1, help="Budget: start no candidate after it.")]
EnsembleOption = Annotated[
    str | None, typer.Option(help="average or stacking: join the best of each algorithm and pooling.")
]
ClassWeightOption = Annotated[
    str | None, typer.Option(help="balanced, or CLASS=WEIGHT,CLASS=WEIGHT; what is left out weighs 1.")
]
SampleWeightOption = Annotated[
    list[str] | None,
    typer.Option(help="SLICE:VALUE=WEIGHT, such as source:simulator=0.2, for errors on those rows. Repeat for more."),
]
SamplingOption = Annotated[str | None, typer.Option(help="balanced: repeat rows of the rarer class.")]
AugmentationOption = Annotated[str | None, typer.Option(help="soft or strong: train with augmented copies.")]
FoldsOption = Annotated[
    int | None, typer.Option(min=2, max=20, help="Folds of the cross-validation, by subject (default 5).")
]
PolicyOption = Annotated[
    str | None, typer.Option(help="How it decides, such as 'recall>=0.99@0.95'; without it, the task's.")
]
AbstainOption = Annotated[str | None, typer.Option(help="When it says review, such as 'review<=0.05'.")]
CalibrationOption = Annotated[str | None, typer.Option(help="auto (default), none, platt, isotonic, temperature.")]
PrevalenceOption = Annotated[
    float | None, typer.Option(help="Share of the positive class where the head will work, such as 0.02.")
]
SeedOption = Annotated[int | None, typer.Option(min=0, help="Of folds, draws and fits (default 0).")]
FeatureSetOption = Annotated[str | None, typer.Option(help="Feature set to train on.")]
