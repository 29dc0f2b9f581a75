"""A report as Markdown with PNG files, for a pull request."""
import os
import os.path as osp
import re
from typing import List, Sequence
from urllib.parse import quote

from caco_ext.utils.files import write_whole
from caco_ext.utils.text import printable
from .panels import Chart, Code, Gallery, Note, Panel, Section, Table
from .static import draw_charts, draw_gallery


def _cell(text: object) -> str:
    return str(text).replace('|', '\\|').replace('\n', ' ')


def _table(table: Table) -> str:
    lines = [table.header, ['---'] * len(table.header), *table.rows]
    text = '\n'.join('| ' + ' | '.join(map(_cell, line)) + ' |'
                     for line in lines)
    head = f'**{table.title}**\n\n' if table.title else ''
    return head + (f'{table.note}\n\n' if table.note else '') + text


class _Pictures:
    """Names and writes the PNG files of a report."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.names: List[str] = []

    def path(self, title: str) -> str:
        words = re.sub(r'[^a-z0-9]+', '-', title.lower()).strip('-')
        self.names.append(f'{len(self.names) + 1:02d}-{words[:40]}.png')
        return osp.join(self.folder, self.names[-1])

    def link(self, title: str) -> str:
        folder = quote(os.fsencode(osp.basename(self.folder)))
        return f'![{title}]({folder}/{self.names[-1]})'

    def charts(self, title: str, charts: Sequence[Chart]) -> str:
        draw_charts(charts, self.path(title), 1 if charts[0].wide else 3)
        notes = [chart.note for chart in charts if chart.note]
        return '\n\n'.join([self.link(title), *notes])

    def gallery(self, gallery: Gallery, title: str) -> str:
        title = gallery.title or title
        draw_gallery(gallery, self.path(title))
        return self.link(title)


def _section(section: Section, pictures: _Pictures) -> str:
    parts = [f'{"#" if section.chapter else "##"} {section.title}']
    small: List[Chart] = []

    def flush():
        if small:
            parts.append(pictures.charts(section.title, small))
            small.clear()

    for panel in section.panels:
        if isinstance(panel, Chart) and not panel.wide:
            small.append(panel)  # side by side in one picture
            continue
        flush()
        parts.append(_text(panel, section.title, pictures))
    flush()
    return '\n\n'.join(parts)


def _text(panel: Panel, title: str, pictures: _Pictures) -> str:
    if isinstance(panel, Chart):
        return pictures.charts(panel.title, [panel])
    if isinstance(panel, Gallery):
        return pictures.gallery(panel, title)
    if isinstance(panel, Table):
        return _table(panel)
    if isinstance(panel, Code):
        return (f'<details><summary>{panel.title}</summary>\n\n```python\n'
                f'{panel.text.rstrip()}\n```\n\n</details>')
    assert isinstance(panel, Note)
    return panel.text


def write_markdown(title: str, sections: Sequence[Section], path: str) -> str:
    """Write a report as Markdown.

    Args:
        title (str): Its heading.
        sections (Sequence[Section]): What it holds.
        path (str): The ``.md`` file; pictures go into a folder beside it,
            ``<name>_files``, where those of an earlier report are replaced.

    Returns:
        str: ``path``.
    """
    folder = osp.splitext(path)[0] + '_files'
    os.makedirs(folder, exist_ok=True)
    pictures = _Pictures(folder)
    text = '\n\n'.join([f'# {title}'] +
                       [_section(section, pictures) for section in sections])
    write_whole(path, printable(text) + '\n')
    for name in os.listdir(folder):
        # of an earlier report that had more or others
        if re.fullmatch(r'\d\d-.*\.png', name) and \
                name not in pictures.names:
            os.unlink(osp.join(folder, name))
    return path
