"""Pages in a real browser; collected where a Chromium is installed."""
from caco_ext.visualization.page import write_page
from tests.helpers.browser import visit
from tests.visualization.test_page import sections


def check(width, said):
    """What holds for every page, at every width."""
    assert said['faults'] == [] and said['asked'] == []
    assert said['plots'] and all(said['plots'].values()), said['plots']
    for title, thumb in said['thumbs'].items():
        assert thumb == ['block', 'url("data:image'], \
            f'no picture under the pointer in {title!r}'
    assert said['empty'] == 0
    # nothing sticks out, nothing is squeezed
    assert said['whole'] <= width and said['least'] >= 40


def test_page_in_a_browser(tmp_path):
    write_page('A <run>', sections(), str(tmp_path / 'page.html'))
    said = visit(tmp_path / 'page.html', tmp_path)
    assert sorted(said) == [400, 1600]
    for width, one in said.items():
        check(width, one)
        # lines and their marks, two bars, two points
        assert one['plots']['lines'] >= 5 and one['plots']['bars'] == 2
        assert one['plots']['cloud'] == 2 and list(one['thumbs']) == ['cloud']


def test_report_of_a_run_in_a_browser(trained, call_tool, tmp_path):
    call_tool('analysis_tools/report', trained / 'run', '-o', 'report.html',
              '--embedding', 'pca')
    said = visit(tmp_path / 'report.html', tmp_path)
    assert sorted(said) == [400, 1600]
    for width, one in said.items():
        check(width, one)
        # losses, kNN, rates, the bank, the embedding, ...
        assert len(one['plots']) >= 12 and 'Training loss' in one['plots']
        assert len(one['thumbs']) == 2
