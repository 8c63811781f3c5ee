"""What a starter head's card says of its data: where they come from, under which licence, and how far they carry."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class RealScans:
    """What a head says of real scans that it never saw: `errors` at its own threshold."""

    counts: dict[str, int]
    auc: float
    errors: int


@dataclass(frozen=True)
class Origin:
    """What a head was trained on. `plain_auc` is that of the same recipe on plain pixels, where this one's differ."""

    task: str
    report: dict[str, Any]
    files: int
    card: Path  # of the backbone
    commands: tuple[str, ...]  # that simulated its scans
    prepared: bool
    plain_auc: float | None = None
    real: RealScans | None = None


def data_and_licence(origin: Origin) -> str:
    """The card's last section, markdown."""
    said = _containers(origin) if origin.task == "empty-container" else _films(origin)
    return f"\n## Data and licence\n\n{' '.join(said)}\n"


def _containers(origin: Origin) -> list[str]:
    cut = ", cut to the container that the profile finds" if origin.prepared else ""
    commands = ", ".join(f"`{one}`" for one in origin.commands)
    said = [
        f"Trained on {origin.report['rows']:,} scans of Penumbra's own simulator ({commands}), no real scan "
        f"among them{cut}. The head is Penumbra's own, Apache-2.0."
    ]
    if origin.real is not None:
        said.append(_real(origin.real))
    return [
        *said,
        "Light foam, a single small item and anything hidden in the structure are its known weak spots: train a head "
        "on your own scans.",
    ]


def _real(real: RealScans) -> str:
    counted = ", ".join(f"{count} {name}" for name, count in real.counts.items())
    errors = {0: "no error", 1: "one error"}.get(real.errors, f"{real.errors} errors")
    total = sum(real.counts.values())
    return (
        f"On the {total} real scans that the developers have ({counted}; set by eye) its AUC is {real.auc:.3f}, and it "
        f"makes {errors} at its own threshold (measured {date.today().isoformat()}). {total} scans say little, and the "
        "simulator was compared with them while it was built."
    )


def _films(origin: Origin) -> list[str]:
    auc = origin.report["out_of_fold"]["auc"]
    said = [
        f"Trained on the {origin.report['rows']:,} different films ({origin.files:,} files) of the training part of "
        "the Kermany collection (Kermany et al., Cell 2018; Mendeley Data rscbjbr9sj, CC BY 4.0): children of one "
        "hospital, subject taken from the file name. The head is Penumbra's own, Apache-2.0. The backbone saw these "
        f"films without labels ({origin.card.name}), so the figures above flatter it a little."
    ]
    if origin.plain_auc is not None:
        said.append(f"Out of fold its AUC is {auc:.4f}, that of the head on plain pixels {origin.plain_auc:.4f}.")
    return [
        *said,
        "Adults, other hospitals and other devices are a shift it has never seen: expect more false alarms, and train "
        "a head on your own films.",
    ]
