// Curves of a run: a line a model, its spread over seeds as a band.

const FRAME = { height: 330, left: 62, right: 18, top: 14, bottom: 46 };
const DASHES = ['', '9 5', '2 4', '10 4 2 4'];

class Curves {
  constructor(root, number) {
    this.number = number;
    this.charts = DATA.runs[number].curves;
    this.models = [...new Set(this.charts.flatMap((chart) => chart.series.map((series) => series.model)))];
    this.hidden = new Set();
    this.step = null;
    const options = this.charts.map(({ label, group }, value) => ({ value, label: label.replaceAll('_', ' '), group }));
    this.picked = choice('Measure', options, () => this.choose());
    this.svg = make('svg', { class: 'chart', role: 'img' });
    this.series = make('fieldset', { class: 'series' });
    this.table = make('div', { class: 'wide', role: 'region', tabindex: 0, 'aria-label': 'Values of the curves' });
    root.append(
      make('h3', {}, 'Curves'),
      make('div', { class: 'panel' },
        make('div', { class: 'controls' }, this.picked.node), this.svg, this.series,
        make('details', {}, make('summary', {}, 'The same as a table'), this.table)));
    document.addEventListener('moment', ({ detail }) => {
      if (detail.run === this.number) this.mark(detail.step);
    });
    redraws.push(() => this.draw()); // its width may be another
    this.choose();
  }

  get chart() {
    return this.charts[+this.picked.select.value];
  }

  choose() {
    const shown = this.chart.series.map((series) => series.model);
    this.series.replaceChildren(make('legend', {}, 'Models; band: ± standard deviation over seeds'),
      ...shown.map((model) => this.toggle(model)));
    this.draw();
    this.fillTable();
  }

  toggle(model) {
    const box = make('input', { type: 'checkbox', checked: !this.hidden.has(model), onchange: () => {
      if (box.checked) this.hidden.delete(model);
      else this.hidden.add(model);
      this.draw();
    } });
    const line = make('line', { x1: 1, x2: 30, y1: 6, y2: 6, ...this.look(model), 'stroke-width': 3 });
    return make('label', {}, box, make('svg', { viewBox: '0 0 31 12', 'aria-hidden': 'true' }, line), model);
  }

  look(model) {
    const place = this.models.indexOf(model);
    return { style: `stroke: var(--c${place % 7})`, 'stroke-dasharray': DASHES[Math.floor(place / 7) % 4] };
  }

  // Scales from what is shown: values of the curves, their bands and the level of guessing.
  scales() {
    const series = this.chart.series.filter(({ model }) => !this.hidden.has(model));
    const steps = series.flatMap(({ x }) => x || []);
    const values = series.flatMap(({ mean, std }) =>
      mean.flatMap((value, i) => (value === null ? [] : [value - (std[i] || 0), value + (std[i] || 0)])));
    if (this.chart.chance !== null && this.chart.chance !== undefined) values.push(this.chart.chance);
    const [first, last] = steps.length ? [Math.min(...steps), Math.max(...steps)] : [0, 1];
    const [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
    const ticks = round(low - 0.03 * (high - low), high); // nothing lies on the axis
    const [bottom, top] = [ticks[0], Math.max(high, ticks[ticks.length - 1])];
    const { height, left, right, top: above, bottom: below } = FRAME;
    const width = this.svg.clientWidth || 760;
    return {
      ticks, width, first, last, series,
      x: (step) => left + ((step - first) / Math.max(1e-9, last - first)) * (width - left - right),
      y: (value) => height - below - ((value - bottom) / Math.max(1e-9, top - bottom)) * (height - above - below),
    };
  }

  draw() {
    const scales = this.scales();
    const { x, y, series, first, last } = scales;
    this.svg.setAttribute('viewBox', `0 0 ${scales.width} ${FRAME.height}`);
    const parts = [...this.axes(scales)];
    if (this.chart.chance !== null && this.chart.chance !== undefined) {
      const at = y(this.chart.chance);
      parts.push(make('line', { class: 'chance', x1: x(first), x2: x(last), y1: at, y2: at }),
        make('text', { x: x(first) + 6, y: at - 5 }, 'guessing'));
    }
    for (const entry of series) parts.push(...this.line(entry, scales));
    this.now = make('line', { class: 'now', y1: FRAME.top, y2: FRAME.height - FRAME.bottom, visibility: 'hidden' });
    this.svg.replaceChildren(...parts, this.now);
    const ends = series.map(({ model, mean }) => `${model} ${number(mean[mean.length - 1])}`).join(', ');
    this.svg.setAttribute('aria-label', `${this.chart.label} against ${this.chart.x}. At the end: ${ends}.`);
    this.place = { x, first, last };
    this.mark(this.step);
  }

  *axes({ ticks, width, x, y, first, last }) {
    const { height, left, right, bottom } = FRAME;
    for (const tick of ticks) {
      yield make('line', { class: 'grid', x1: left, x2: width - right, y1: y(tick), y2: y(tick) });
      yield make('text', { x: left - 8, y: y(tick) + 4, 'text-anchor': 'end' }, number(tick));
    }
    for (const tick of round(first, last, true).filter((tick) => tick >= first && tick <= last)) {
      yield make('text', { x: x(tick), y: height - bottom + 20, 'text-anchor': 'middle' }, String(tick));
    }
    yield make('line', { class: 'axis', x1: left, x2: width - right, y1: height - bottom, y2: height - bottom });
    yield make('text', { x: (left + width) / 2, y: height - 6, 'text-anchor': 'middle' }, this.chart.x);
    const middle = (FRAME.top + height - bottom) / 2;
    yield make('text', { x: 14, y: middle, 'text-anchor': 'middle', transform: `rotate(-90 14 ${middle})` }, this.chart.y);
  }

  *line({ model, x: steps, mean, std }, { x, y, first, last }) {
    const look = this.look(model);
    // A model without steps of its own is level.
    const points = (steps && steps.length > 1 ? steps.map((step, i) => [step, i]) : [[first, 0], [last, 0]])
      .filter(([, i]) => mean[i] !== null);
    const path = (value) => points.map(([step, i]) => `${x(step).toFixed(1)} ${y(value(i)).toFixed(1)}`);
    if (points.some(([, i]) => std[i])) {
      const upper = path((i) => mean[i] + (std[i] || 0));
      const lower = path((i) => mean[i] - (std[i] || 0)).reverse();
      yield make('path', { class: 'band', d: `M${[...upper, ...lower].join('L')}Z`, style: look.style.replace('stroke', 'fill') });
    }
    if (points.length) yield make('path', { class: 'line', d: `M${path((i) => mean[i]).join('L')}`, ...look });
  }

  // The moment that the viewer shows.
  mark(step) {
    this.step = step;
    const { x, first, last } = this.place;
    const shown = step !== null && this.chart.x === 'step of the dynamics' && step >= first && step <= last;
    this.now.setAttribute('visibility', shown ? 'visible' : 'hidden');
    if (shown) for (const end of ['x1', 'x2']) this.now.setAttribute(end, x(step));
  }

  fillTable() {
    const { series, x: title } = this.chart;
    const steps = [...new Set(series.flatMap(({ x }) => x || []))].sort((a, b) => a - b);
    const cell = ({ x, mean, std }, step) => {
      const i = x && x.length > 1 ? x.indexOf(step) : 0;
      return i < 0 || mean[i] === null ? '' : `${number(mean[i])}${std[i] ? ` ± ${number(std[i])}` : ''}`;
    };
    const head = make('tr', {}, ...[title, ...series.map(({ model }) => model)].map((text) => make('th', { scope: 'col' }, text)));
    const rows = steps.map((step) => make('tr', {}, make('th', { scope: 'row' }, String(step)),
      ...series.map((entry) => make('td', {}, cell(entry, step)))));
    this.table.replaceChildren(make('table', { class: 'scores' }, make('thead', {}, head), make('tbody', {}, ...rows)));
  }
}

// About five round numbers that span a range; whole ones where asked for.
function round(low, high, whole = false) {
  const span = Math.max(high - low, 1e-6);
  const power = 10 ** Math.floor(Math.log10(span / 5));
  const unit = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => span / n <= 6 && (!whole || Number.isInteger(n))) || 1;
  const ticks = [];
  for (let n = Math.floor(low / unit); n * unit <= high + unit * 0.999; n++) ticks.push(+(n * unit).toPrecision(10));
  return ticks;
}

function number(value) {
  if (value === null || value === undefined) return 'undefined';
  return (Math.abs(value) >= 1e4 || (value && Math.abs(value) < 1e-3)) ? value.toExponential(1) : String(+value.toFixed(3));
}
