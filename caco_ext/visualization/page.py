"""A report as one HTML file that needs no network; plotly draws."""
from typing import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from caco_ext.utils.extras import import_extra
from caco_ext.utils.files import write_whole
from caco_ext.utils.text import printable
from .panels import Chart, Section, Series, colours, flat_range
from .tiles import COLUMNS, data_uri, sheet

import_extra('plotly', 'report', 'A page with charts')
from plotly import graph_objects as go  # noqa: E402
from plotly.basedatatypes import BaseTraceType  # noqa: E402
from plotly.offline import get_plotlyjs  # noqa: E402

AXIS = dict(
    automargin=True,
    gridcolor='#e6e6e6',
    zerolinecolor='#e6e6e6',
    linecolor='#999',
    title=dict(standoff=6))


def _trace(one: Series, colour: str, span: Sequence[float]) -> BaseTraceType:
    """A series in plotly's terms."""
    common = dict(name=one.name, showlegend=bool(one.name), x=one.x, y=one.y)
    if one.kind == 'bars':
        return go.Bar(common, marker=dict(color=colour))
    if one.kind == 'points':
        text = list(one.labels) or None
        return go.Scatter(
            common,
            mode='markers',
            marker=dict(color=colour, size=5, opacity=0.8),
            text=text,
            hovertemplate='%{text}<extra></extra>' if text else None,
            customdata=list(one.thumbs) or None)
    if one.kind == 'level':
        common.update(x=list(span), y=[one.y[0]] * 2)
    dashed = one.dashed or one.kind == 'level'
    plain = one.faint or one.kind == 'level' or len(one.x) > 50
    return go.Scatter(
        common,
        mode='lines' if plain else 'lines+markers',
        line=dict(
            color=colour,
            width=1 if one.faint else 2,
            dash='dash' if dashed else 'solid'),
        opacity=0.4 if one.faint else 1)


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
                # Otherwise a logarithmic axis would show 0.02 as 2.
                tickformat='~g' if chart.log else None,
                type='log' if chart.log else 'linear')))


def _longest_word(text: str) -> int:
    """Letters of the longest word."""
    return max(map(len, text.split()), default=0)


PAGES = Environment(
    loader=PackageLoader('caco_ext.visualization'),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True)
# plotly can write numbers that JSON lacks, such as NaN.
PAGES.policies['json.dumps_function'] = lambda chart, **_: chart.to_json()
PAGES.globals.update(
    columns=COLUMNS,
    data_uri=data_uri,
    figure=figure,
    id=id,
    longest_word=_longest_word,
    sheet=sheet)


def write_page(title: str, sections: Sequence[Section], path: str) -> str:
    """Write a report as a page.

    Args:
        title (str): Its heading.
        sections (Sequence[Section]): What it holds.
        path (str): The ``.html`` file. It appears whole or not at all.

    Returns:
        str: ``path``.
    """
    charts = [
        panel for section in sections for panel in section.panels
        if isinstance(panel, Chart) and panel.thumbs is not None
    ]
    text = PAGES.get_template('page.html.j2').render(
        title=title,
        sections=sections,
        # Charts of the same pictures share one sheet.
        sheets={id(chart.thumbs): chart.thumbs
                for chart in charts},
        plotly_js=get_plotlyjs())
    write_whole(path, printable(text))
    return path
