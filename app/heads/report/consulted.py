"""What a report says of test rows: the one part of a page that changes after it was rendered. Light."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from app.heads.report.caveats import of_tests, sentence
from app.heads.report.words import environment

Test = Mapping[str, Any]
_SECTION = re.compile("<!--test-->.*?<!--/test-->", re.DOTALL)
_CAVEAT = re.compile("<!--tested-->.*?<!--/tested-->", re.DOTALL)


def section(tests: Sequence[Test]) -> str:
    """Return the page's section on test rows, as HTML; each of `tests` is one dataset's, as `figures` and its name."""
    filled = environment().get_template("test.html").render(tests=tests, positive="")
    return f"<!--test-->{filled}<!--/test-->"


def caveat(tests: Sequence[Test]) -> str:
    """Return list items, as HTML, on what test rows say and do not say."""
    items = "".join(f"<li>{escape(sentence(text))}</li>" for text in of_tests(tests))
    return f"<!--tested-->{items}<!--/tested-->"


def brought_up_to_date(page: str, tests: Sequence[Test]) -> str:
    """Return a rendered page with what is known of test rows now."""
    page = _SECTION.sub(lambda _: section(tests), page, count=1)
    return _CAVEAT.sub(lambda _: caveat(tests), page, count=1)
