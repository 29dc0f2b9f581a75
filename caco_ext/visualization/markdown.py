"""A report as Markdown with PNG files, for a pull request."""
import os
import os.path as osp
import re
from typing import Any, List, Sequence
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from caco_ext.utils.files import write_whole
from caco_ext.utils.text import printable
from .panels import Chart, Gallery, Panel, Section
from .static import draw_charts, draw_gallery


def _escape(value: Any) -> str:
    """Text that Markdown shows as it is: no tags, entities and new cells."""
    if isinstance(value, Markup):
        return value
    text = str(value).replace('\n', ' ')
    return re.sub(r'[<|]|&(?=#?\w+;)', r'\\\g<0>', text)


def _blocks(section: Section) -> List[List[Panel]]:
    """Panels in order; narrow charts that follow each other share a block."""
    blocks: List[List[Panel]] = []
    narrow = False
    for panel in section.panels:
        before, narrow = narrow, isinstance(panel, Chart) and not panel.wide
        if before and narrow:
            blocks[-1].append(panel)
        else:
            blocks.append([panel])
    return blocks


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
    names: List[str] = []

    def draw(caption: str, block: Sequence[Panel]) -> str:
        words = re.sub(r'[^a-z0-9]+', '-', caption.lower()).strip('-')
        names.append(f'{len(names) + 1:02d}-{words[:40]}.png')
        picture = osp.join(folder, names[-1])
        if isinstance(block[0], Gallery):
            draw_gallery(block[0], picture)
        else:
            charts = [panel for panel in block if isinstance(panel, Chart)]
            draw_charts(charts, picture, 1 if charts[0].wide else 3)
        return f'{quote(os.fsencode(osp.basename(folder)))}/{names[-1]}'

    template = Environment(
        loader=PackageLoader('caco_ext.visualization'),
        finalize=_escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True).get_template('report.md.j2')
    text = template.render(
        title=title, sections=sections, blocks=_blocks, draw=draw)
    write_whole(path, printable(text))
    for name in os.listdir(folder):
        # Pictures of an earlier report.
        if re.fullmatch(r'\d\d-.*\.png', name) and name not in names:
            os.unlink(osp.join(folder, name))
    return path
