"""A run's report, taken apart."""

import re
from html.parser import HTMLParser
from pathlib import Path

from moot.experiments.report.page import write


class Page(HTMLParser):
    """What a page is made of: its tags, their attributes, and what is read."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.read: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "br", "path", "circle", "polygon"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"path", "circle", "polygon"}:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.read.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.read).split())


def shown(run: Path) -> Page:
    """Return the report of a run."""
    return Page(write(run).read_text())


def table(run: Path, title: str) -> list[list[str]]:
    """Return the cells of the first table after `title`, without its head."""
    after = write(run).read_text().partition(f">{title}<")[2].partition("</table>")[0]
    rows = re.findall(r"<tr.*?</tr>", after.partition("<tbody>")[2], re.DOTALL)
    return [
        [Page(f"<p>{cell}</p>").text for cell in re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row)]
        for row in rows
    ]
