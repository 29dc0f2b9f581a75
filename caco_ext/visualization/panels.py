"""What a report shows, as data without a drawing library.

:mod:`.page` draws a panel for a browser and :mod:`.static` as a PNG file, so
both show the same.
"""
from dataclasses import dataclass
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
    """One curve, cloud of points or set of bars in a chart.

    Attributes:
        x (Sequence[float]): Positions, (N, ). A 'level' needs none.
        y (Sequence[float]): Values, (N, ). A 'level' has one.
        name (str): For the legend; '' leaves it out.
        kind (str): 'line', 'points', 'bars' or 'level' (a dashed horizontal
            line).
        colour (str): '#rrggbb'; '' takes the next of the palette.
        faint (bool): Draw it light and thin.
        dashed (bool): Draw a dashed line.
        labels (Sequence[str]): What the pointer shows at each point, (N, ).
        thumbs (Sequence[int]): Index of each point's picture in the chart's
            ``thumbs``, (N, ).
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
        series (Sequence[Series]): What is drawn.
        log (bool): Whether the vertical axis is logarithmic.
        wide (bool): Whether it takes the whole width of a page.
        note (str): A sentence about it.
        hint (str): What a reader can do with it on a page. PNG files leave
            it out.
        thumbs (np.ndarray, optional): Pictures that appear under the pointer,
            (N, H, W, 3) uint8 RGB.
    """
    title: str
    xlabel: str
    ylabel: str
    series: Sequence[Series]
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
        colour (str): Colour of frame and caption; '' for none.
    """
    picture: np.ndarray
    caption: str = ''
    colour: str = ''


@dataclass
class Gallery:
    """Rows of pictures.

    Attributes:
        title (str): Above it.
        rows (Sequence[Sequence[Tile]]): The rows. The first tile of each is
            set apart.
        note (str): A sentence above the pictures.
    """
    title: str
    rows: Sequence[Sequence[Tile]]
    note: str = ''


@dataclass
class Table:
    """Text in rows and columns.

    Attributes:
        title (str): Above it.
        header (Sequence[str]): Names of the columns.
        rows (Sequence[Sequence[str]]): Cells.
        note (str): A sentence above it.
    """
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ''


@dataclass
class Code:
    """Text as it is, which a reader folds out.

    Attributes:
        title (str): What is visible before.
        text (str): The text.
    """
    title: str
    text: str


@dataclass
class Note:
    """A sentence, such as why a panel is missing.

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
        panels (Sequence[Panel]): What stands there.
        chapter (bool): Whether the sections that follow belong to it.
    """
    title: str
    panels: Sequence[Panel] = ()
    chapter: bool = False


def flat_range(chart: Chart) -> Optional[Tuple[float, float]]:
    """Choose the range of a vertical axis whose values are all equal.

    A plotting library would show 0.99 between 0 and 1.5, as if it were one.

    Args:
        chart (Chart): The chart.

    Returns:
        tuple[float, float] | None: Lowest and highest value to show. None
        where the values differ, or are bars, which begin at zero.
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
    """Give each series its own colour, or the next of the palette.

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
