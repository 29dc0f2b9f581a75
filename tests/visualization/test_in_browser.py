"""The page in a real browser; collected where a Chromium is installed."""
from caco_ext.visualization.page import write_page
from tests.visualization.browser import visit
from tests.visualization.test_page import sections


def test_page_in_a_browser(tmp_path):
    write_page('A <run>', sections(), str(tmp_path / 'page.html'))
    said = visit(tmp_path / 'page.html', tmp_path)
    assert sorted(said) == [400, 1600]
    for width, one in said.items():
        assert one['faults'] == [] and one['asked'] == []
        # lines and their marks, two bars, two points
        assert one['plots']['lines'] >= 5 and one['plots']['bars'] == 2
        assert one['plots']['cloud'] == 2
        assert one['thumbs'] == {
            'cloud': ['block', 'url("data:image']
        }, 'no picture under the pointer'
        assert one['empty'] == 0
        # nothing sticks out, nothing is squeezed
        assert one['whole'] <= width and one['least'] >= 40
