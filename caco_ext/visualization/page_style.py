"""Looks and behaviour of the page of a report."""

CSS = '''
:root { color-scheme: light; --ink: #222; --soft: #666; --line: #ddd; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 0 16px 48px; max-width: 1560px;
  color: var(--ink); background: #fff;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.5rem; margin: 20px 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 36px 0 10px; padding-top: 8px;
  border-top: 1px solid var(--line); overflow-wrap: anywhere; }
section { scroll-margin-top: 48px; }
h2.chapter { font-size: 1.4rem; border-top: 3px solid var(--ink); }
h3 { font-size: 1rem; margin: 0 0 4px; }
p { margin: 4px 0 8px; color: var(--soft); }
nav { position: sticky; top: 0; z-index: 5; background: #fff; padding: 8px 0;
  border-bottom: 1px solid var(--line); display: flex; gap: 4px 16px;
  overflow-x: auto; white-space: nowrap; }
nav .chapter { font-weight: 600; }
a { color: #1f5fa8; text-decoration: none; }
a:hover { text-decoration: underline; }
.panels { display: grid; gap: 24px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); }
.panel { min-width: 0; }
.wide { grid-column: 1 / -1; }
.plot { width: 100%; height: 320px; }
.wide > .plot { height: 600px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.88rem; }
th, td { text-align: left; vertical-align: top; padding: 4px 14px 4px 0;
  border-bottom: 1px solid var(--line); }
td { min-width: 5em; }
td.long { min-width: 14em; overflow-wrap: anywhere; }
.rows { --row: min(100%, calc(120px * var(--tiles) + 4px));
  display: grid; gap: 12px 36px;
  grid-template-columns: repeat(auto-fill, minmax(var(--row), 1fr)); }
.row { display: flex; gap: 8px; }
figure { margin: 0; flex: 1 1 0; font-size: 0.72rem; max-width: 150px;
  min-width: max(52px, min(150px, calc(0.9ch * var(--word)))); }
figure:first-child { margin-right: 12px; }
figure img { display: block; width: 100%; }
figure.framed img { border: 3px solid var(--frame); }
figcaption { line-height: 1.35; white-space: pre-line;
  overflow-wrap: break-word; color: var(--frame, var(--soft)); }
@media (min-width: 900px) {
  nav { flex-wrap: wrap; max-height: 30vh; overflow-y: auto; }
  nav .chapter { margin-left: 12px; }
  section { scroll-margin-top: 84px; }
  td:first-child { white-space: nowrap; }
  td.long { white-space: normal; }
}
pre { background: #f6f6f6; padding: 12px; overflow-x: auto; }
summary { cursor: pointer; }
#thumb { position: fixed; display: none; z-index: 10; pointer-events: none;
  border: 2px solid #fff; outline: 1px solid #888; }
'''

JS = '''
const thumb = document.getElementById('thumb');
function show(event, sheet) {
  const point = event.points[0];
  if (point.customdata === undefined || point.customdata === null) return;
  const side = +sheet.side, scale = 2, size = side * scale;
  const column = point.customdata % +sheet.columns;
  const row = Math.floor(point.customdata / +sheet.columns);
  const style = thumb.style;
  thumb.className = sheet.sheet;
  style.width = style.height = size + 'px';
  style.backgroundSize = size * +sheet.columns + 'px auto';
  style.backgroundPosition = `${-column * size}px ${-row * size}px`;
  const pointer = event.event || {clientX: 0, clientY: 0};
  style.left = Math.min(pointer.clientX + 14, innerWidth - size - 8) + 'px';
  style.top = Math.max(8, pointer.clientY - size - 14) + 'px';
  style.display = 'block';
}
for (const plot of document.querySelectorAll('.plot')) {
  const source = document.getElementById(plot.id + '-data');
  const spec = JSON.parse(source.textContent);
  Plotly.newPlot(plot, spec.data, spec.layout,
                 {responsive: true, displaylogo: false});
  if (!plot.dataset.sheet) continue;
  plot.on('plotly_hover', event => show(event, plot.dataset));
  plot.on('plotly_click', event => show(event, plot.dataset));
  plot.on('plotly_unhover', () => { thumb.style.display = 'none'; });
}
'''
