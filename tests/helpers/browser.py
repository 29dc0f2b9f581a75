"""A page in a headless Chromium, at the widths of a phone and of a desk."""
import html
import json
import re
import shutil
import subprocess

CHROMIUM = next(
    filter(
        None,
        map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))),
    None)
# Runs in the page, before and after all that is in it.
BEFORE = '''<script>
const faults = [];
addEventListener('error', e => faults.push(String(e.message || e.target.src)),
                 true);
addEventListener('unhandledrejection', e => faults.push(String(e.reason)));
for (const kind of ['error', 'warn'])
  console[kind] = (...words) => faults.push(words.join(' '));
</script>'''
AFTER = '''<script>
const wait = ms => new Promise(done => setTimeout(done, ms));
addEventListener('load', async () => {
  await wait(300);
  const plots = {}, thumbs = {};
  for (const plot of document.querySelectorAll('.plot')) {
    const title = plot.parentElement.querySelector('h3').textContent;
    // a legend has the same marks, also where nothing is drawn
    const marks = [...plot.querySelectorAll('.cartesianlayer .js-line,' +
                                            '.cartesianlayer .point')];
    // charts of two runs may have the same title: the emptier one counts
    plots[title] = Math.min(marks.length, plots[title] ?? Infinity);
    if (!plot.dataset.sheet || !marks.length) continue;
    // a call of Plotly.Fx.hover would tell nobody
    const box = marks[0].getBoundingClientRect();
    plot.querySelector('.nsewdrag').dispatchEvent(
      new MouseEvent('mousemove', {bubbles: true,
        clientX: box.x + box.width / 2, clientY: box.y + box.height / 2}));
    await wait(300);
    const style = getComputedStyle(document.getElementById('thumb'));
    thumbs[title] = [style.display, style.backgroundImage.slice(0, 15)];
  }
  const empty = [...document.images].filter(i => !i.naturalWidth).length;
  const small = [...document.querySelectorAll('figure img, .plot')]
    .map(e => e.getBoundingClientRect().width);
  parent.postMessage(JSON.stringify({
    faults, plots, thumbs, empty, least: Math.min(...small),
    width: innerWidth, whole: document.documentElement.scrollWidth,
    asked: performance.getEntriesByType('resource').map(e => e.name)
      .filter(name => !name.startsWith('data:')),
  }), '*');
});
</script>'''
FRAMES = '''<!DOCTYPE html><body style="margin: 0"><pre id="said"></pre>
<script>
const said = {};
addEventListener('message', e => {
  const one = JSON.parse(e.data);
  said[one.width] = one;
  document.getElementById('said').textContent = JSON.stringify(said);
});
</script>%s</body>'''


def visit(page, folder, widths=(400, 1600), timeout=240):
    """Open a page; gives for each width what it says of itself: 'faults' of
    the console, marks by the 'plots'' titles, 'thumbs' after a hover, 'empty'
    pictures, 'least' width of a picture or plot, 'whole' width, addresses
    'asked' for."""
    assert CHROMIUM, 'there is no Chromium: apt-get install chromium'
    text = page.read_text(encoding='utf-8')
    text = text.replace('<head>', '<head>' + BEFORE, 1)
    head, _, tail = text.rpartition('</body>')
    (folder / 'probed.html').write_text(head + AFTER + '</body>' + tail)
    frames = ''.join(f'<iframe src="probed.html" width="{w}" height="900" '
                     'frameborder="0"></iframe>' for w in widths)
    (folder / 'frames.html').write_text(FRAMES % frames)
    done = subprocess.run([
        CHROMIUM, '--headless', '--no-sandbox', '--disable-gpu',
        '--disable-dev-shm-usage', '--host-resolver-rules=MAP * ~NOTFOUND',
        f'--user-data-dir={folder / "profile"}', '--window-size=2100,1000',
        '--virtual-time-budget=20000', '--dump-dom',
        f'file://{folder / "frames.html"}'
    ],
                          capture_output=True,
                          text=True,
                          timeout=timeout)
    said = re.search(r'<pre id="said">(.*?)</pre>', done.stdout, re.S)
    assert said and said[1], done.stderr[-2000:]
    return {
        int(width): one
        for width, one in json.loads(html.unescape(said[1])).items()
    }
