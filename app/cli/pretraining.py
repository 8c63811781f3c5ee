"""The command that pretrains a backbone: needs no store, and no labels."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.output import JsonOption, console, note, print_json, progress_bar
from app.errors import InvalidInput
from app.features.pretraining.apart import AUTO, choose_backend, run
from app.features.pretraining.plot import plot as draw
from app.features.pretraining.plot import read_log
from app.features.pretraining.recipe import Phase, PretrainingRecipe
from app.features.weights import resolve

DEFAULT = PretrainingRecipe()
PHASES = ", ".join(f"{one.side}x{one.steps}" for one in DEFAULT.phases)
PICTURES = (".png", ".svg", ".pdf")


def pretrain(
    out: Annotated[Path, typer.Argument(help="Folder for weights, log and checkpoints; one that has them goes on.")],
    films: Annotated[list[Path] | None, typer.Option(help="Folder of unlabelled scans; may be repeated.")] = None,
    teacher: Annotated[str | None, typer.Option(help="Whose features to resemble: an .npz, or a feature set.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="Weights to go on from, likewise; else fresh.")] = None,
    phase: Annotated[list[str] | None, typer.Option(help="SIDExSTEPS, in order.", show_default=PHASES)] = None,
    films_a_step: Annotated[int, typer.Option(help="0 needs no --films.")] = DEFAULT.films,
    views: Annotated[int, typer.Option(help="Simulated scenes a step, each by two scanners.")] = DEFAULT.views,
    pairs: Annotated[int, typer.Option(help="Containers a step without and with a hidden load.")] = DEFAULT.pairs,
    scenes: Annotated[int, typer.Option(help="Scenes to simulate, and half as many pairs.")] = DEFAULT.scenes,
    random_scanners: Annotated[
        bool, typer.Option("--random-scanners/--known-scanners", help="Half by scanners drawn at random, or none.")
    ] = DEFAULT.random_scanners,
    keep_scenes: Annotated[Path | None, typer.Option(help="Where; OUT/scenes if not said.", resolve_path=True)] = None,
    distillation: Annotated[float, typer.Option(help="Weight of resembling the teacher.")] = DEFAULT.distillation,
    truth: Annotated[float, typer.Option(help="Weight of the simulated truth.")] = DEFAULT.truth,
    invariance: Annotated[float, typer.Option(help="Weight of nuisance against load.")] = DEFAULT.invariance,
    nuisance: Annotated[float, typer.Option(help="How far exposure and display are varied.")] = DEFAULT.nuisance,
    rate: Annotated[float, typer.Option(help="Highest learning rate of AdamW.")] = DEFAULT.rate,
    batch_statistics: Annotated[
        bool, typer.Option("--batch-statistics/--stored-statistics", help="Of batch normalisation.")
    ] = DEFAULT.batch_statistics,
    precision: Annotated[str, typer.Option(help="bf16 or fp32.")] = DEFAULT.precision,
    backend: Annotated[str, typer.Option(help="auto, torch, tensorflow or jax: what Keras runs on.")] = AUTO,
    seed: Annotated[int, typer.Option(help="Decides every draw.")] = DEFAULT.seed,
    plot: Annotated[Path | None, typer.Option(help="Draw the log: .png, .svg or .pdf.", dir_okay=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """Pretrain DenseNet121 on simulated scans with their truth, and on films without labels.

    Needs no store. The same command goes on where it was interrupted. OUT/weights.npz is what `features add` takes.
    """
    _check_picture(plot)
    recipe = PretrainingRecipe(
        phases=_phases(phase), films=films_a_step, views=views, pairs=pairs, scenes=scenes,
        random_scanners=random_scanners, distillation=distillation, truth=truth, invariance=invariance,
        nuisance=nuisance, rate=rate, batch_statistics=batch_statistics, precision=precision, seed=seed,
    )  # fmt: skip
    paths = {"out": out.resolve(), "teacher": _weights(teacher), "start": _weights(start), "scenes": keep_scenes}
    order = {"recipe": recipe.to_json(), "films": [one.resolve() for one in films or ()], **paths}
    report = _watched(order, choose_backend(backend), out)
    if plot is not None:
        draw(read_log(out), f"{out.name}: {recipe.steps:,} steps", plot)
    print_json(report) if as_json else _print(report, out)


def _check_picture(file: Path | None) -> None:
    if file is not None and file.suffix not in PICTURES:
        raise InvalidInput(f"{file} ends in none of {', '.join(PICTURES)}.")


def _phases(asked: list[str] | None) -> tuple[Phase, ...]:
    return tuple(Phase.parse(text) for text in asked) if asked else DEFAULT.phases


def _weights(named: str | None) -> Path | None:
    """The file of weights that a path or the name of a feature set that comes with Penumbra stands for."""
    if named is None:
        return None
    file = Path(named)
    if file.suffix == ".npz" or file.exists():
        if not file.is_file():
            raise InvalidInput(f"There is no file {named}: name an .npz with the weights of DenseNet121.")
        return file.resolve()
    return resolve(named).path


def _watched(order: dict[str, Any], backend: str, out: Path) -> dict[str, Any]:
    """Carry it out with a bar, or with lines where nobody looks at one."""
    with progress_bar("pretraining") as (bar, line):

        def on_stage(point: dict[str, Any]) -> None:
            if point["stage"] == "refused":
                note(f"{point['file']} is left out: {point['why']}")
                return
            loss = f", loss {point['loss']:.3f}, {point['images_per_second']:.0f} scans/s" if "loss" in point else ""
            bar.update(line, completed=point["step"], total=point["of"], description=f"{point['stage']}{loss}")
            if loss and not sys.stderr.isatty():
                note(f"step {point['step']:,} of {point['of']:,} at {point['side']} px{loss}")

        try:
            return run(order, backend, on_stage)
        except KeyboardInterrupt:
            note(f"Interrupted: the same command goes on from what {out} holds.")
            raise


def _print(report: dict[str, Any], out: Path) -> None:
    console.print(
        f"{out / 'weights.npz'}: {report['images']:,} scans seen in {report['seconds'] / 60:.1f} minutes, weights "
        f"{report['weights_digest'][:12]}. Use them:"
    )
    console.print(f"  penumbra features add NAME --backbone densenet121 --weights {out / 'weights.npz'}")
