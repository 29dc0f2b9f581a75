"""Panels as a page and as Markdown."""
import base64
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from markdown_it import MarkdownIt
from PIL import Image

from caco_ext.visualization import (draw_charts, draw_gallery,
                                    neighbours_gallery, static)
from caco_ext.visualization.markdown import write_markdown
from caco_ext.visualization.neighbours import Neighbourhood
from caco_ext.visualization.page import figure, write_page
from caco_ext.visualization.panels import (Chart, Code, Gallery, Note, Section,
                                           Series, Table, Tile, colours,
                                           flat_range)
from caco_ext.visualization.static import gallery_picture
from caco_ext.visualization.tiles import (COLUMNS, fit, heat, overlay, sheet,
                                          thumbnails)

FLAT = [np.full((8, 8, 3), c, np.uint8) for c in (0, 90, 180)]
EVIL = '</script><b>"&|'


def sections():
    thumbs = thumbnails(FLAT * 20)
    return [
        Section('First & last', [
            Chart('lines', 'epochs', 'loss', [
                Series([1, 2], [3., 4.], 'a'),
                Series([1, 2, 3], [3., 4., 5.], faint=True),
                Series([], [3.5], 'even', 'level')
            ]),
            Chart('bars', 'x', 'y', [Series([0, 1], [5, 6], kind='bars')]),
            Chart(
                'cloud',
                '',
                '', [
                    Series([0, 1], [1, 0],
                           EVIL,
                           'points',
                           labels=['cat', EVIL],
                           thumbs=[0, 59])
                ],
                wide=True,
                thumbs=thumbs)
        ]),
        Section(
            'Others', [
                Gallery('', [[Tile(FLAT[0], 'query\n1', '#333333')]], 'note'),
                Table('table', ('a', 'b'), [('1', EVIL)]),
                Code('config', f'x = {EVIL!r}'),
                Note('nothing')
            ],
            chapter=True)
    ]


class Reader(HTMLParser):
    """Collects what a browser would find."""

    def __init__(self):
        super().__init__()
        self.tags, self.addresses, self.data, self.text = [], [], {}, []
        self.open = None

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        self.addresses += [attrs[k] for k in ('src', 'href') if k in attrs]
        self.open = attrs.get('id') if tag == 'script' else None

    def handle_data(self, data):
        if self.open:
            self.data[self.open] = self.data.get(self.open, '') + data
        else:
            self.text.append(data)

    def handle_endtag(self, tag):
        self.open = None


def read(path):
    reader = Reader()
    with open(path, encoding='utf-8') as file:
        text = file.read()
    reader.feed(text)
    return text, reader


def test_page_needs_nothing_else(tmp_path):
    path = write_page('A <run>', sections(), str(tmp_path / 'page.html'))
    text, page = read(path)
    assert [p.name for p in tmp_path.iterdir()] == ['page.html']
    assert 'Plotly' in text and '<title>A &lt;run&gt;</title>' in text
    assert all(a.startswith(('data:', '#')) for a in page.addresses)
    targets = {a for a in page.addresses if a.startswith('#')}
    ids = {attrs['id'] for _, attrs in page.tags if 'id' in attrs}
    assert targets == {'#section1', '#section2'} and \
        {t[1:] for t in targets} <= ids


def test_every_chart_has_its_marks(tmp_path):
    path = write_page('run', sections(), str(tmp_path / 'page.html'))
    _, page = read(path)
    specs = [json.loads(text) for text in page.data.values()]
    assert list(page.data) == ['plot1-data', 'plot2-data', 'plot3-data']
    lines, bars, cloud = (spec['data'] for spec in specs)
    assert [trace['y'] for trace in lines] == [[3., 4.], [3., 4., 5.],
                                               [3.5, 3.5]]
    assert lines[2]['x'] == [0, 3]  # a level goes from edge to edge
    assert [t['mode'] for t in lines] == ['lines+markers', 'lines', 'lines']
    assert bars[0]['type'] == 'bar' and bars[0]['y'] == [5, 6]
    assert cloud[0]['customdata'] == [0, 59] and cloud[0]['name'] == EVIL


def test_text_cannot_break_out(tmp_path):
    text, page = read(
        write_page('run', sections(), str(tmp_path / 'page.html')))
    assert not [tag for tag, _ in page.tags if tag == 'b']
    assert EVIL not in text
    assert json.loads(page.data['plot3-data'])['data'][0]['text'][1] == EVIL


def test_names_are_text_wherever_they_stand(tmp_path):
    """Of runs, classes, files and settings, in each kind of panel."""
    run, name = 'run <i>&amp;', '<script>alert("1")</script> & <b>\'x\'</b>'
    tile = Tile(FLAT[0], name, '#333333')
    pages = [
        Section(name, [
            Chart(name, name, name, [Series([1], [1], name)], note=name),
            Gallery(name, [[tile]], name),
            Table(name, (name, ), [(name, )], name),
            Note(name)
        ]),
        Section(name, [Code(name, name)], chapter=True)
    ]
    _, page = read(write_page(run, pages, str(tmp_path / 'page.html')))
    path = write_markdown(run, pages, str(tmp_path / 'report.md'))
    markdown = Reader()
    with open(path, encoding='utf-8') as file:
        html = MarkdownIt('commonmark', {'html': True}).enable('table')
        markdown.feed(html.render(file.read()))
    # a note of a gallery stands in its picture there
    for reader, headings, count in ((page, 'h1', 16), (markdown, 'h2', 10)):
        tags = [tag for tag, _ in reader.tags]
        assert headings in tags and not {'i', 'b'} & set(tags)
        scripts = [attrs for tag, attrs in reader.tags if tag == 'script']
        assert len(scripts) == (3 if reader is page else 0)
        assert ''.join(reader.text).count(name) == count
        assert run in ''.join(reader.text)
    alts = [attrs['alt'] for tag, attrs in page.tags if tag == 'img']
    assert alts == [name]
    layout = json.loads(page.data['plot1-data'])['layout']
    assert layout['xaxis']['title']['text'] == name


def test_thumbnails_are_where_the_page_looks(tmp_path):
    path = write_page('run', sections(), str(tmp_path / 'page.html'))
    text, page = read(path)
    plot = next(a for _, a in page.tags if a.get('data-sheet'))
    side, columns = int(plot['data-side']), int(plot['data-columns'])
    found = re.search(rf'\.{plot["data-sheet"]} {{.*?base64,(.*?)\)', text)
    with Image.open(io.BytesIO(base64.b64decode(found[1]))) as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == (2 * side, columns * side, 3)
    for number in (0, 1, 59):
        row, column = divmod(number, columns)
        place = pixels[row * side:(row + 1) * side,
                       column * side:(column + 1) * side]
        assert np.abs(place.astype(int) - (0, 90, 180)[number % 3]).max() < 8


def test_markdown(tmp_path):
    path = write_markdown('A run', sections(), str(tmp_path / 'report.md'))
    text = open(path).read()
    links = re.findall(r'!\[.*?\]\((.*?)\)', text)
    # the two small charts share a picture
    assert links == [
        f'report_files/{name}'
        for name in ('01-first-last.png', '02-cloud.png', '03-others.png')
    ]
    for link in links:
        with Image.open(tmp_path / link) as picture:
            assert min(picture.size) > 100
    assert '| 1 | \\</script>\\<b>"&\\| |' in text
    assert '# A run\n\n## First & last' in text and '\n# Others\n' in text
    # pictures of an earlier, longer report go, other files stay
    (tmp_path / 'report_files' / 'mine.txt').touch()
    write_markdown('A run', sections()[:1], path)
    left = sorted(p.name for p in (tmp_path / 'report_files').iterdir())
    assert left == ['01-first-last.png', '02-cloud.png', 'mine.txt']


def test_neighbours_are_drawn(tmp_path):
    rows = [
        Neighbourhood(FLAT, ['cat', 'cat', 'dog'], [0.9, 0.8], [True, False])
    ]
    gallery = neighbours_gallery(rows, 'some run')
    assert '1 of 2 right' in gallery.note
    path = draw_gallery(gallery, str(tmp_path / 'n.png'))
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert('RGB')).reshape(-1, 3)
    count = {
        colour: (pixels == colour).all(1).sum()
        for colour in ((42, 138, 62), (198, 47, 47), (51, 51, 51))
    }
    assert all(n > 1000 for n in count.values()), count  # three frames


def test_no_axes_without_a_chart(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(static, 'save_figure',
                        lambda figure, path: drawn.append(figure))
    draw_charts([Chart('c', 'x', 'y', [Series([1], [1])])] * 4, 'no.png', 3)
    shown = [axes.axison for axes in drawn[0].axes]
    assert shown == [True] * 4 + [False] * 2


def test_equal_values_are_not_drawn_far_from_their_own(tmp_path):
    chart = Chart('c', 'epochs', 'y', [Series([1, 2], [.99, .99])])
    low, high = flat_range(chart)
    assert .9 < low < .99 < high < 1.1
    assert tuple(figure(chart).layout.yaxis.range) == (low, high)
    zero = Chart('c', '', '', [Series([1, 2], [0., 0.])])
    assert flat_range(zero) == (-1, 1)
    for y, kind in (([1, 2], 'line'), ([], 'line'), ([1, 1], 'bars')):
        series = Series([1, 2], y, kind=kind)
        assert flat_range(Chart('c', '', '', [series])) is None


def test_logarithmic_axes_have_whole_numbers(monkeypatch):
    """'2 5 0.1 2 5' says of none of the twos what it is."""
    chart = Chart('c', '', '', [Series([1, 2], [.03, 6.])], log=True)
    assert figure(chart).layout.yaxis.tickformat == '~g'
    drawn = []
    monkeypatch.setattr(static, 'save_figure',
                        lambda figure, path: drawn.append(figure))
    draw_charts([chart], 'no.png')
    axis = drawn[0].axes[0].yaxis
    names = dict(
        zip(axis.get_majorticklocs(),
            [text.get_text() for text in axis.get_majorticklabels()]))
    near = {f'{place:g}': name for place, name in names.items()}
    assert {near[n] for n in ('0.05', '0.1', '2')} == {'0.05', '0.1', '2'}
    assert not any(t.get_text() for t in axis.get_minorticklabels())


def test_what_a_pointer_does_is_said_on_pages_only(tmp_path):
    chart = Chart(
        'c', '', '', [Series([1], [1])], note='Features.', hint='Click!')
    text, _ = read(
        write_page('r', [Section('s', [chart])], str(tmp_path / 'r.html')))
    assert '<p>Features. Click!</p>' in text
    path = write_markdown('r', [Section('s', [chart])], str(tmp_path / 'r.md'))
    text = open(path).read()
    assert 'Features.' in text and 'Click' not in text


def test_words_of_a_table_stay_whole(tmp_path):
    rows = [('progress', '15 of 15 epochs'), ('command', '/a' * 40)]
    text, _ = read(
        write_page('r', [Section('s', [Table('t', ('a', 'b'), rows)])],
                   str(tmp_path / 'r.html')))
    assert '<td>progress</td><td>15 of 15 epochs</td>' in text
    assert '<td class="long">/a/a' in text


def test_colours_skip_what_is_given():
    given = colours(
        [Series([], []),
         Series([], [], colour='#123456'),
         Series([], [])])
    assert given[1] == '#123456' and len(set(given)) == 3


@pytest.mark.parametrize('size', [(30, 60), (60, 30), (45, 45)])
def test_pictures_are_fitted(size):
    picture = np.full((*size, 3), 7, np.uint8)
    assert max(fit(picture, 20).shape[:2]) == 20
    thumb, = thumbnails([picture], 20)
    share = min(size) / max(size)
    assert (thumb == 7).all(2).mean() == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize('columns', [2, 3, 6])
def test_no_title_is_cut_off(columns):
    tile = Tile(np.zeros((8, 8, 3), np.uint8), 'a')
    gallery = Gallery('A title', [[tile] * columns], 'of many words, ' * 12)
    pixels = gallery_picture(gallery)
    # Letters that reached beyond the edge would leave their parts at it.
    assert (pixels[:60, [0, 1, -2, -1]] == 255).all()
    assert (pixels[:60, 2:-2] < 128).any()


def test_sheet_holds_rows_of_forty():
    thumbs = np.arange(COLUMNS + 1, dtype=np.uint8)[:, None, None, None]
    thumbs = np.broadcast_to(thumbs, (COLUMNS + 1, 2, 2, 3))
    whole = sheet(thumbs)
    assert whole.shape == (4, 2 * COLUMNS, 3)
    assert whole[0, 2 * 7, 0] == 7 and whole[2, 0, 0] == COLUMNS


def test_overlay_is_brightest_at_the_peak():
    values = np.zeros((4, 4), np.float32)
    values[1, 2] = 1.
    picture = overlay(np.zeros((40, 40, 3), np.uint8), values)
    peak = np.unravel_index(picture.sum(2).argmax(), (40, 40))
    assert 10 <= peak[0] < 20 and 20 <= peak[1] < 30
    assert (heat(np.ones((2, 2))) == heat(np.zeros((2, 2)))).all()
