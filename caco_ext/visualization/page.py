"""A report as one HTML file that needs no network; plotly draws."""
from html import escape
from typing import Dict, Iterable, Sequence

from caco_ext.utils.extras import import_extra
from caco_ext.utils.files import write_whole
from caco_ext.utils.text import printable
from .page_style import CSS, JS
from .panels import (Chart, Code, Gallery, Note, Panel, Section, Series, Table,
                     Tile, colours, flat_range)
from .tiles import COLUMNS, data_uri, sheet

WHAT = 'A page with charts'
go = import_extra('plotly.graph_objects', 'report', WHAT)
offline = import_extra('plotly.offline', 'report', WHAT)

# Letters of a word that may be broken.
LONG = 24
AXIS = dict(
    automargin=True,
    gridcolor='#e6e6e6',
    zerolinecolor='#e6e6e6',
    linecolor='#999',
    title=dict(standoff=6))


def _trace(one: Series, colour: str, span: Sequence[float]):
    """A series in plotly's terms."""
    common = dict(name=one.name, showlegend=bool(one.name))
    if one.kind == 'bars':
        return go.Bar(x=one.x, y=one.y, marker=dict(color=colour), **common)
    if one.kind == 'level':
        return go.Scatter(
            x=list(span),
            y=[one.y[0]] * 2,
            mode='lines',
            line=dict(color=colour, dash='dash'),
            **common)
    if one.kind == 'points':
        text = list(one.labels) or None
        return go.Scatter(
            x=one.x,
            y=one.y,
            mode='markers',
            marker=dict(color=colour, size=5, opacity=0.8),
            text=text,
            hovertemplate='%{text}<extra></extra>' if text else None,
            customdata=list(one.thumbs) or None,
            **common)
    return go.Scatter(
        x=one.x,
        y=one.y,
        mode='lines' if one.faint or len(one.x) > 50 else 'lines+markers',
        line=dict(
            color=colour,
            width=1 if one.faint else 2,
            dash='dash' if one.dashed else 'solid'),
        opacity=0.4 if one.faint else 1,
        **common)


def figure(chart: Chart) -> go.Figure:
    """A chart as a figure of plotly.

    Args:
        chart (Chart): The chart.

    Returns:
        go.Figure: The figure, without title.
    """
    xs = [x for one in chart.series for x in one.x] or [0, 1]
    span = min(0, min(xs)) if chart.xlabel == 'epochs' else min(xs), max(xs)
    traces = [
        _trace(one, colour, span)
        for one, colour in zip(chart.series, colours(chart.series))
    ]
    plain = not chart.xlabel and not chart.ylabel
    return go.Figure(
        traces,
        go.Layout(
            template='none',
            margin=dict(l=8, r=8, t=28, b=8),
            autosize=True,
            bargap=0.05,
            font=dict(size=12),
            hovermode='closest',
            legend=dict(orientation='h', y=-0.22 if not plain else -0.05),
            xaxis=dict(
                AXIS, title_text=chart.xlabel, showticklabels=not plain),
            yaxis=dict(
                AXIS,
                title_text=chart.ylabel,
                showticklabels=not plain,
                range=None if chart.log else flat_range(chart),
                # of 0.02 a logarithmic axis would else show the 2 alone
                tickformat='~g' if chart.log else None,
                type='log' if chart.log else 'linear')))


class _Page:
    """Collects the parts of a page, numbering its plots."""

    def __init__(self) -> None:
        self.plots = 0
        self.sheets: Dict[int, str] = {}

    def chart(self, chart: Chart) -> str:
        self.plots += 1
        name, extra = f'plot{self.plots}', ''
        if chart.thumbs is not None:
            # charts of the same pictures share them
            key = id(chart.thumbs)
            if key not in self.sheets:
                self.sheets[key] = data_uri(sheet(chart.thumbs))
            number = list(self.sheets).index(key) + 1
            extra = (f' data-sheet="sheet{number}" data-side='
                     f'"{chart.thumbs.shape[1]}" data-columns="{COLUMNS}"')
        # '<' would end the script where a class is called '</script>'
        spec = figure(chart).to_json().replace('<', '\\u003c')
        note = ' '.join(filter(None, (chart.note, chart.hint)))
        note = f'<p>{escape(note)}</p>' if note else ''
        wide = ' wide' if chart.wide else ''
        return (f'<div class="panel chart{wide}"><h3>{escape(chart.title)}'
                f'</h3>{note}<div class="plot" id="{name}"{extra}></div>'
                f'<script type="application/json" id="{name}-data">{spec}'
                '</script></div>')

    def styles(self) -> str:
        return ''.join(
            f'.sheet{number} {{ background-image: url({address}); }}'
            for number, address in enumerate(self.sheets.values(), 1))

    def gallery(self, gallery: Gallery) -> str:
        rows = ''.join('<div class="row">' + ''.join(map(self.tile, row)) +
                       '</div>' for row in gallery.rows)
        tiles = max(map(len, gallery.rows), default=1)
        words = _words(tile.caption for row in gallery.rows for tile in row)
        return (f'<div class="panel gallery wide">{_head(gallery)}'
                f'<div class="scroll"><div class="rows" style="--tiles: '
                f'{tiles}; --word: {min(words, LONG)}">{rows}</div></div>'
                '</div>')

    @staticmethod
    def tile(tile: Tile) -> str:
        frame = (f' class="framed" style="--frame: {tile.colour}"'
                 if tile.colour else '')
        first = tile.caption.split('\n')[0]
        return (f'<figure{frame}><img src="{data_uri(tile.picture)}" '
                f'alt="{escape(first)}"><figcaption>{escape(tile.caption)}'
                '</figcaption></figure>')

    @staticmethod
    def table(table: Table) -> str:
        rows = ''.join('<tr>' + ''.join(map(_cell, row)) + '</tr>'
                       for row in table.rows)
        head = ''.join(f'<th>{escape(name)}</th>' for name in table.header)
        head = f'<tr>{head}</tr>' if any(table.header) else ''
        return (f'<div class="panel table wide">{_head(table)}'
                f'<div class="scroll"><table>{head}{rows}</table></div></div>')

    def panel(self, panel: Panel) -> str:
        if isinstance(panel, Note):
            return f'<p class="panel note wide">{escape(panel.text)}</p>'
        if isinstance(panel, Code):
            return (f'<details class="panel code wide"><summary>'
                    f'{escape(panel.title)}</summary><pre>'
                    f'{escape(panel.text)}</pre></details>')
        kinds = {Chart: self.chart, Gallery: self.gallery, Table: self.table}
        return kinds[type(panel)](panel)


def _words(texts: Iterable[str]) -> int:
    """Letters of the longest word."""
    return max((len(word) for text in texts for word in text.split()),
               default=0)


def _cell(value: object) -> str:
    text = str(value)
    # only what no screen can hold is broken inside a word
    kind = ' class="long"' if _words([text]) > LONG else ''
    return f'<td{kind}>{escape(text)}</td>'


def _head(panel) -> str:
    title = f'<h3>{escape(panel.title)}</h3>' if panel.title else ''
    return title + (f'<p>{escape(panel.note)}</p>' if panel.note else '')


def write_page(title: str, sections: Sequence[Section], path: str) -> str:
    """Write a report as a page.

    Args:
        title (str): Its heading.
        sections (Sequence[Section]): What it holds.
        path (str): The ``.html`` file. It appears whole or not at all.

    Returns:
        str: ``path``.
    """
    page, body, links = _Page(), [], []
    for number, section in enumerate(sections, 1):
        name = f'section{number}'
        kind = ' class="chapter"' if section.chapter else ''
        links.append(f'<a{kind} href="#{name}">{escape(section.title)}</a>')
        panels = '\n'.join(map(page.panel, section.panels))
        body.append(f'<section id="{name}"><h2{kind}>{escape(section.title)}'
                    f'</h2><div class="panels">{panels}</div></section>')
    text = f'''<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>{CSS}{page.styles()}</style>
<script>{offline.get_plotlyjs()}</script></head><body>
<h1>{escape(title)}</h1>
<nav>{"".join(links)}</nav>
{"".join(body)}
<div id="thumb"></div>
<script>{JS}</script></body></html>
'''
    write_whole(path, printable(text))
    return path
