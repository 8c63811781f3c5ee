"""What a scan is to show: asked for, and drawn where it was not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from app.errors import InvalidInput
from app.simulator.cargo.hidden import HEAVIEST_KG, LIGHTEST_KG
from app.simulator.profile import ScannerProfile
from app.simulator.randomised import RANDOM, random_scanner
from app.simulator.scanners import SCANNERS, TRAINING_SCANNERS
from app.simulator.truth import Case, Family

FAMILY_SHARES = {
    Family.STACKS: 0.22,
    Family.ROLLS: 0.12,
    Family.DRUMS: 0.12,
    Family.BULK: 0.13,
    Family.PALLETS: 0.11,
    Family.BOXES: 0.09,
    Family.MACHINES: 0.06,
    Family.LIGHT: 0.05,
    Family.SPARSE: 0.05,
    Family.LONG: 0.05,
}
SCANNER_NAMES = (*SCANNERS, RANDOM)
HARD_SHARE = 0.15
"""Of the scans whose case is not asked for; within either class, each of its hard cases is as likely."""


@dataclass(frozen=True)
class Order:
    """One scan's content; `family` is drawn for ordinary loads, hard cases choose their own."""

    profile: ScannerProfile
    case: Case
    loaded: bool
    family: Family | None
    mass_kg: float | None


def check_scanner(name: str) -> None:
    """Raises InvalidInput that names the scanners for another name."""
    if name not in SCANNER_NAMES:
        raise InvalidInput(f"There is no scanner '{name}'; choose one of: {', '.join(SCANNER_NAMES)}.")


def profile_of(rng: np.random.Generator, name: str) -> ScannerProfile:
    """The scanner of that name, or a random one; raises InvalidInput as `check_scanner`."""
    check_scanner(name)
    return random_scanner(rng) if name == RANDOM else SCANNERS[name]


def case_of(name: str) -> Case:
    """Raises InvalidInput that names the cases for another name."""
    try:
        return Case(name)
    except ValueError as error:
        raise InvalidInput(f"There is no case '{name}'; choose one of: {', '.join(Case)}.") from error


def draw_order(
    rng: np.random.Generator,
    *,
    loaded: bool | None,
    scanner: str | None,
    case: Case | None,
    mass_kg: float | None,
) -> Order:
    """Fill in what was not asked for. Raises InvalidInput for an unknown name and for wishes that contradict."""
    case = _checked(loaded, case, mass_kg)
    profile = profile_of(rng, scanner) if scanner else SCANNERS[draw_scanner(rng)]
    loaded = loaded if case is None or case.loaded is None else case.loaded
    if loaded is None:
        loaded = bool(rng.random() < 0.5)
    if case is None:
        case = _draw_case(rng, loaded)
    family = _draw_family(rng) if loaded and case is Case.ORDINARY else None
    if case is Case.HIDDEN_LOAD and mass_kg is None:
        mass_kg = float(np.exp(rng.uniform(np.log(LIGHTEST_KG * 5), np.log(HEAVIEST_KG))))
    return Order(profile, case, loaded, family, mass_kg)


def draw_scanner(rng: np.random.Generator, among: Sequence[str] = TRAINING_SCANNERS) -> str:
    """One of these scanners by their weights; held-out ones weigh as much as the lightest of the others, and a random
    one as much as all others together."""
    return among[int(rng.choice(len(among), p=_odds(_weights(), tuple(among))))]


def check_order(*, loaded: bool | None, scanner: str | None, case: Case | None, mass_kg: float | None) -> None:
    """Raises InvalidInput as `draw_order` would."""
    _checked(loaded, case, mass_kg)
    if scanner:
        check_scanner(scanner)


def _checked(loaded: bool | None, case: Case | None, mass_kg: float | None) -> Case | None:
    case = None if case is None else case_of(case)
    if mass_kg is not None:
        if not LIGHTEST_KG <= mass_kg <= HEAVIEST_KG:
            raise InvalidInput(
                f"A hidden load of {mass_kg:g} kg cannot be: give {LIGHTEST_KG:g} to {HEAVIEST_KG:g} kg."
            )
        case = Case.HIDDEN_LOAD if case is None else case
        if case is not Case.HIDDEN_LOAD:
            raise InvalidInput(f"A mass goes with the case {Case.HIDDEN_LOAD} only, not with '{case}': leave one out.")
    if case is not None and loaded is not None and case.loaded is not None and loaded is not case.loaded:
        raise InvalidInput(
            f"Scans of the case '{case}' are {'loaded' if case.loaded else 'empty'}: leave out the class."
        )
    return case


def _weights() -> Mapping[str, float]:
    least = min(one.weight for one in SCANNERS.values() if one.weight)
    weights = {name: one.weight or least for name, one in SCANNERS.items()}
    return weights | {RANDOM: sum(one.weight for one in SCANNERS.values())}


def _odds(weights: Mapping[str, float], among: tuple[str, ...]) -> list[float]:
    for name in among:
        check_scanner(name)
    chosen = [weights[name] for name in among]
    return [one / sum(chosen) for one in chosen]


@cache
def hard_cases(loaded: bool) -> tuple[Case, ...]:
    return tuple(case for case in Case if case.loaded is loaded)


def _draw_case(rng: np.random.Generator, loaded: bool) -> Case:
    if rng.random() >= HARD_SHARE:
        return Case.ORDINARY
    cases = hard_cases(loaded)
    return cases[int(rng.integers(len(cases)))]


def _draw_family(rng: np.random.Generator) -> Family:
    return list(FAMILY_SHARES)[int(rng.choice(len(FAMILY_SHARES), p=list(FAMILY_SHARES.values())))]
