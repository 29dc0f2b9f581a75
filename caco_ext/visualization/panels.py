"""What a report is made of, said without a drawing library.

A panel is data. :mod:`.page` draws it for a browser, :mod:`.static` as PNG, so
that both show the same.
"""
from dataclasses import dataclass, field
from math import isfinite
from typing import List, Optional, Sequence, Tuple, Union

import numpy as np

BLUE, GREEN, GREY = '#1f5fa8', '#2a8a3e', '#888888'
RED, DARK = '#c62f2f', '#333333'
PALETTE = (BLUE, '#d9742b', GREEN, '#8b53a6', RED, '#1aa3a3', '#b8860b',
           '#e377c2', '#6b4f3a', '#4b6cb7', '#9aa61f', '#5f9ed1', '#a3195b',
           '#3d3d3d', '#f0a35e', '#76b041', '#c39bd3', '#7f8c8d', '#2e4053',
           '#ff6f61')


@dataclass
class Series:
    """Numbers that belong together in a chart.

    Attributes:
        x (Sequence[float]): Positions; not used by 'level'.
        y (Sequence[float]): Values, as many; of a 'level' one.
        name (str): For the legend; '' keeps it out of there.
        kind (str): 'line', 'points', 'bars' or 'level' (a dashed horizontal).
        colour (str): '' takes the next of the palette.
        faint (bool): Drawn light and thin, behind the others.
        dashed (bool): A dashed line, such as a second number of a run whose
            colour is taken.
        labels (Sequence[str]): What the pointer shows of each point.
        thumbs (Sequence[int]): Numbers of the points' pictures in the
            chart's ``thumbs``.
    """
    x: Sequence[float]
    y: Sequence[float]
    name: str = ''
    kind: str = 'line'
    colour: str = ''
    faint: bool = False
    dashed: bool = False
    labels: Sequence[str] = ()
    thumbs: Sequence[int] = ()


@dataclass
class Chart:
    """Axes with series.

    Attributes:
        title (str): Above it.
        xlabel (str): Below it.
        ylabel (str): Beside it.
        series (list[Series]): What is drawn.
        log (bool): Logarithmic values.
        wide (bool): Takes the whole width of a page.
        note (str): A sentence below it.
        hint (str): What one can do with it on a page; a PNG file has none.
        thumbs (np.ndarray, optional): Pictures that appear under the pointer,
            (N, H, W, 3) uint8 RGB.
    """
    title: str
    xlabel: str
    ylabel: str
    series: List[Series]
    log: bool = False
    wide: bool = False
    note: str = ''
    hint: str = ''
    thumbs: Optional[np.ndarray] = None


@dataclass
class Tile:
    """A picture in a gallery.

    Attributes:
        picture (np.ndarray): (H, W, 3) uint8 RGB.
        caption (str): Below it; may have several lines.
        colour (str): Of frame and caption; '' for none.
    """
    picture: np.ndarray
    caption: str = ''
    colour: str = ''


@dataclass
class Gallery:
    """Rows of pictures.

    Attributes:
        title (str): Above it.
        rows (list[list[Tile]]): The rows, the first tile set apart.
        note (str): A sentence above the pictures.
    """
    title: str
    rows: List[List[Tile]]
    note: str = ''


@dataclass
class Table:
    """Text in rows and columns.

    Attributes:
        title (str): Above it.
        header (Sequence[str]): Names of the columns.
        rows (list[Sequence[str]]): Cells.
        note (str): A sentence above it.
    """
    title: str
    header: Sequence[str]
    rows: List[Sequence[str]]
    note: str = ''


@dataclass
class Code:
    """Text as it is, folded away until it is asked for.

    Attributes:
        title (str): What stays visible.
        text (str): The text.
    """
    title: str
    text: str


@dataclass
class Note:
    """A sentence in the place of a panel, such as why there is none.

    Attributes:
        text (str): The sentence.
    """
    text: str


Panel = Union[Chart, Gallery, Table, Code, Note]


@dataclass
class Section:
    """Panels under a heading.

    Attributes:
        title (str): The heading.
        panels (list[Panel]): What stands there.
        chapter (bool): Whether further sections belong below this heading.
    """
    title: str
    panels: List[Panel] = field(default_factory=list)
    chapter: bool = False


def flat_range(chart: Chart) -> Optional[Tuple[float, float]]:
    """The range of values that are all one.

    What draws would choose its own, and 0.99 between 0 and 1.5 reads as
    something near one.

    Args:
        chart (Chart): The chart.

    Returns:
        tuple[float, float] | None: Least and largest value to show; None
        where values differ or are bars, which begin at zero.
    """
    values = [y for one in chart.series for y in one.y if isfinite(y)]
    if not values or any(one.kind == 'bars' for one in chart.series):
        return None
    low, high = min(values), max(values)
    if high - low > 1e-6 * max(abs(low), abs(high)):
        return None
    room = 0.05 * abs(high) or 1.
    return low - room, high + room


def colours(series: Sequence[Series]) -> List[str]:
    """Colours of series, those without one taken from the palette.

    Args:
        series (Sequence[Series]): The series of a chart.

    Returns:
        list[str]: One for each.
    """
    chosen, free = [], 0
    for one in series:
        if not one.colour:
            free += 1
        chosen.append(one.colour or PALETTE[(free - 1) % len(PALETTE)])
    return chosen
