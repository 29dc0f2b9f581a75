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
