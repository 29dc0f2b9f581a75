"""Panels as PNG files, drawn by matplotlib."""
import textwrap
from functools import partial
from typing import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from caco_ext.utils.files import write_whole
from caco_ext.utils.text import printable
from .panels import DARK, Chart, Gallery, colours, flat_range

# Longest line whose points are marked.
MARKED = 50


def _canvas(figure: Figure) -> FigureCanvasAgg:
    """Make a canvas that needs no display."""
    for text in figure.findobj(Text):
        # A folder name may contain a $, or bytes that are no characters.
        text.set_parse_math(False)
        if text.get_text() != printable(text.get_text()):
            text.set_text(printable(text.get_text()))
    return FigureCanvasAgg(figure)


def save_figure(figure: Figure, path: str) -> None:
    """Save a figure. The file appears whole or not at all.

    Args:
        figure (Figure): What to save, at 150 dots per inch.
        path (str): A ``.png`` file.
    """
    write_whole(
        path,
        partial(
            _canvas(figure).print_figure,
            dpi=150,
            format='png',
            bbox_inches='tight'))


def _draw_chart(axes: Axes, chart: Chart) -> None:
    for one, colour in zip(chart.series, colours(chart.series)):
        name = one.name or None
        if one.kind == 'level':
            axes.axhline(one.y[0], color=colour, linestyle='--', label=name)
        elif one.kind == 'bars':
            width = (max(one.x) - min(one.x)) / max(1, len(one.x) - 1) or 1
            axes.bar(one.x, one.y, width=width, color=colour, label=name)
        elif one.kind == 'points':
            axes.scatter(one.x, one.y, s=6, color=colour, label=name)
        else:
            axes.plot(
                one.x,
                one.y,
                color=colour,
                label=name,
                alpha=0.3 if one.faint else 1,
                linewidth=1 if one.faint else 1.5,
                linestyle='--' if one.dashed else '-',
                marker='o' if len(one.x) <= MARKED and not one.faint else None,
                markersize=4)
    axes.set(xlabel=chart.xlabel, ylabel=chart.ylabel)
    axes.set_title(chart.title, loc='left', fontsize=11)
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(alpha=0.25)
    if chart.log:
        axes.set_yscale('log')
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter('{x:g}')
        axes.yaxis.set_minor_formatter(NullFormatter())
    elif flat_range(chart):
        axes.set_ylim(flat_range(chart))
    if chart.xlabel == 'epochs':
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    named = [one.name for one in chart.series if one.name]
    if len(named) > 8:
        axes.legend(
            frameon=False,
            fontsize=7,
            markerscale=2,
            loc='center left',
            bbox_to_anchor=(1, 0.5))
    elif named:
        # Below the axes it hides no curve.
        axes.legend(
            frameon=False,
            fontsize=8,
            loc='upper center',
            bbox_to_anchor=(0.5, -0.17),
            ncol=max(1, 72 // (max(map(len, named)) + 8)))


def draw_charts(charts: Sequence[Chart], path: str, columns: int = 2) -> str:
    """Draw charts side by side.

    Args:
        charts (Sequence[Chart]): One or more.
        path (str): The ``.png`` file to write.
        columns (int): Charts in a row. Defaults to 2.

    Returns:
        str: ``path``.
    """
    columns = min(columns, len(charts))
    rows = -(-len(charts) // columns)
    width, height = (7, 5) if charts[0].wide else (5, 3.6)
    figure = Figure(
        figsize=(width * columns, height * rows), layout='constrained')
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, chart in zip(grid, charts):
        _draw_chart(axes, chart)
    for axes in grid[len(charts):]:
        axes.set_axis_off()
    save_figure(figure, path)
    return path


def _gallery_figure(gallery: Gallery) -> Figure:
    columns = max(len(row) for row in gallery.rows)
    lines = max(
        tile.caption.count('\n') + 1 for row in gallery.rows for tile in row)
    ratios = [1, 0.15] + [1] * (columns - 1)  # a gap after the first
    width = 1.45 * columns + 0.2
    # At nine points an inch holds fourteen letters. Wider text would be cut
    # off.
    title = [
        part for text in (gallery.title, gallery.note)
        for part in textwrap.wrap(text, int(14 * width))
    ]
    figure = Figure(
        figsize=(width, (1.45 + 0.15 * lines) * len(gallery.rows) + 0.3 +
                 0.15 * len(title)),
        layout='constrained')
    grid = figure.subplots(
        len(gallery.rows),
        columns + 1,
        squeeze=False,
        gridspec_kw=dict(width_ratios=ratios))
    for axes in grid.flat:
        axes.set_axis_off()
    for row, line in zip(gallery.rows, grid):
        for axes, tile in zip([line[0], *line[2:]], row):
            axes.set_axis_on()
            axes.imshow(tile.picture)
            axes.set(xticks=[], yticks=[])
            for spine in axes.spines.values():
                spine.set(
                    color=tile.colour or DARK,
                    linewidth=3.5 if tile.colour else 0.5)
            axes.set_xlabel(
                tile.caption,
                fontsize=8,
                color=tile.colour or DARK,
                labelpad=3)
    figure.suptitle('\n'.join(title), fontsize=9)
    return figure


def draw_gallery(gallery: Gallery, path: str) -> str:
    """Draw rows of pictures, with a gap after the first of each row.

    Args:
        gallery (Gallery): The pictures.
        path (str): The ``.png`` file to write.

    Returns:
        str: ``path``.
    """
    save_figure(_gallery_figure(gallery), path)
    return path


def gallery_picture(gallery: Gallery) -> np.ndarray:
    """Draw a gallery into an array.

    Args:
        gallery (Gallery): The pictures.

    Returns:
        np.ndarray: (H, W, 3) uint8 RGB, at 100 dots per inch.
    """
    figure = _gallery_figure(gallery)
    canvas = _canvas(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
