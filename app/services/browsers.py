"""Which browser signed in, in words that its owner knows again."""

import re

# The first that a `User-Agent` holds: all of them also claim to be those below.
_BROWSERS = (
    ("Edge", r"Edg(?:e|A|iOS)?/(\d+)"),
    ("Opera", r"OPR/(\d+)"),
    ("Firefox", r"(?:Firefox|FxiOS)/(\d+)"),
    ("Chrome", r"(?:Chrome|CriOS|HeadlessChrome)/(\d+)"),
    ("Safari", r"Version/(\d+)[\d.]* (?:Mobile/\w+ )?Safari/"),
)
_SYSTEMS = (
    ("Windows", r"Windows"),
    ("Android", r"Android"),
    ("iPad", r"iPad"),
    ("iPhone", r"iPhone"),
    ("macOS", r"Mac OS X|Macintosh"),
    ("ChromeOS", r"CrOS"),
    ("Linux", r"Linux|X11"),
)


def browser_words(agent: str) -> str:
    """`Firefox 140, Linux` for a `User-Agent` header; what is unknown of it is left away."""
    versions = (f"{name} {found[1]}" for name, pattern in _BROWSERS if (found := re.search(pattern, agent)))
    systems = (name for name, pattern in _SYSTEMS if re.search(pattern, agent))
    return ", ".join(part for part in (next(versions, ""), next(systems, "")) if part)
