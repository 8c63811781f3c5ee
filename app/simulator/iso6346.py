"""Container numbers with the check digit of ISO 6346:2022, annex A."""

from string import ascii_uppercase

import numpy as np

# Letters count from 10 upwards, leaving out the multiples of 11.
_VALUES = {str(digit): digit for digit in range(10)} | dict(
    zip(ascii_uppercase, (value for value in range(10, 39) if value % 11), strict=True)
)


def check_digit(first_ten: str) -> int:
    """The eleventh character of a container number, from its owner code, category and serial number."""
    total = sum(_VALUES[character] << place for place, character in enumerate(first_ten))
    return total % 11 % 10


def container_number(rng: np.random.Generator) -> str:
    """A valid number of an owner code kept for simulation: `Z??U`, six digits, check digit."""
    # ISO 6346 advises against serial numbers whose remainder is 10, for it shares digit 0 with remainder 0.
    owner = "Z" + "".join(rng.choice(list(ascii_uppercase), 2)) + "U"
    serial = f"{int(rng.integers(10**6)):06d}"
    return f"{owner}{serial}{check_digit(owner + serial)}"
