// The viewer of a run: a model, a scene and a moment, and the phases (or states) there.

const STRONGEST = 'strongest';

class Viewer {
  constructor(root, number) {
    this.number = number;
    this.samples = DATA.runs[number].samples;
    this.moment = 0;
    this.timer = null;
    this.build(root);
    root.addEventListener('keydown', (event) => this.press(event));
    redraws.push(() => this.draw());
    this.ready = this.load();
  }

  build(root) {
    const models = Object.keys(this.samples).map((name) => ({ value: name, label: name }));
    this.model = choice('Model', models, () => this.load());
    this.scene = choice('Scene', [], () => this.rewind());
    this.channel = choice('Channel', [], () => this.draw());
    this.slider = make('input', { type: 'range', min: 0, value: 0, oninput: () => this.go(+this.slider.value) });
    this.slider.setAttribute('aria-label', 'Time step');
    this.play = make('button', { type: 'button', class: 'play', onclick: () => this.toggle() }, '▶ Play');
    this.back = make('button', { type: 'button', onclick: () => this.go(this.moment - 1) }, '‹');
    this.back.setAttribute('aria-label', 'One step back');
    this.forward = make('button', { type: 'button', onclick: () => this.go(this.moment + 1) }, '›');
    this.forward.setAttribute('aria-label', 'One step forward');
    this.output = make('output', {});
    this.status = make('p', { class: 'status-line', 'aria-live': 'polite' });
    this.stage = make('div', { class: 'stage' });
    const title = `run${this.number}-scenes`;
    root.append(
      make('h3', { id: title }, 'Scenes'),
      make('div', { class: 'panel', role: 'group', 'aria-labelledby': title },
        make('div', { class: 'controls' }, this.model.node, this.scene.node, this.channel.node),
        make('div', { class: 'time' }, this.play, this.back, this.slider, this.forward, this.output),
        this.stage, this.status));
  }

  async load() {
    this.stop();
    const packed = this.samples[this.model.select.value];
    const opened = { ...packed };
    for (const name of ['image', 'objects', 'labels', 'predictions', 'phase', 'amplitude', 'state']) {
      if (packed[name]) opened[name] = await unpack(packed[name]);
    }
    if (packed !== this.samples[this.model.select.value]) return; // another model was chosen meanwhile
    this.data = opened;
    const scene = this.scene.select.value;
    fill(this.scene.select, packed.scenes.map((entry, i) => ({ value: i, label: entry.label })));
    if (scene && scene < packed.scenes.length) this.scene.select.value = scene;
    this.fillChannels();
    this.slider.max = Math.max(0, packed.steps.length - 1);
    for (const control of [this.slider, this.play, this.back, this.forward]) control.disabled = packed.steps.length < 2;
    this.arrange();
    this.go(Math.min(this.moment, packed.steps.length - 1));
  }

  fillChannels() {
    const { channels, kind } = this.data;
    const numbers = [...Array(channels).keys()].map((i) => ({ value: i, label: `${i + 1} of ${channels}` }));
    const all = { value: STRONGEST, label: 'strongest at each pixel' };
    fill(this.channel.select, kind === 'phases' ? [all, ...numbers] : numbers);
    this.channel.node.hidden = channels < 2;
  }

  // The canvases of the kind of data, and their legends.
  arrange() {
    const canvas = (kind = '') => make('canvas', { role: 'img', class: kind });
    const figure = (picture, ...caption) => make('figure', {}, picture, make('figcaption', {}, ...caption));
    this.input = canvas();
    this.map = canvas('field');
    this.plot = canvas('plot');
    this.stage.className = `stage ${this.data.kind}`;
    if (this.data.kind === 'phases') {
      this.keys = make('ul', { class: 'keys' });
      this.stage.replaceChildren(
        make('div', { class: 'small' }, figure(this.input, 'input, objects tinted')),
        figure(this.map, `hue: phase, as on the wheel${this.data.bright ? '; brightness: amplitude' : ''}`),
        figure(this.plot, 'dots: phases of active units; arrow: their mean, up to the circle', this.keys));
      return;
    }
    this.truth = canvas();
    this.predicted = canvas();
    const small = make('div', { class: 'small' },
      figure(this.input, 'input'), figure(this.truth, 'true classes'), figure(this.predicted, 'predicted classes'));
    if (!this.data.state) {
      this.stage.replaceChildren(small, make('p', {}, 'This model has no dynamics.'));
      return;
    }
    this.bar = make('span', { class: 'bar' });
    this.ends = make('span', { class: 'ends' });
    this.keys = make('ul', { class: 'keys' });
    this.stage.replaceChildren(small,
      figure(this.map, this.bar, this.ends, 'state of every unit'),
      figure(this.plot, 'mean state of the units of each true class over time', this.keys));
  }

  rewind() {
    this.stop();
    this.go(this.moment);
  }

  go(moment) {
    this.moment = Math.max(0, Math.min(moment, this.data.steps.length - 1));
    this.slider.value = this.moment;
    this.draw();
  }

  toggle() {
    if (this.timer) return this.stop();
    if (this.moment >= this.data.steps.length - 1) this.go(0);
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    this.timer = setInterval(() => this.advance(), calm ? 900 : this.data.steps.length > 40 ? 70 : 220);
    this.play.textContent = '❚❚ Pause';
    this.status.setAttribute('aria-live', 'off');
  }

  advance() {
    this.go(this.moment + 1);
    if (this.moment >= this.data.steps.length - 1) this.stop();
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    this.play.textContent = '▶ Play';
    this.status.setAttribute('aria-live', 'polite');
  }

  press(event) {
    if (event.target.tagName === 'SELECT' || event.altKey || event.ctrlKey || event.metaKey) return;
    const last = this.data.steps.length - 1;
    const aims = { ArrowRight: this.moment + 1, ArrowLeft: this.moment - 1, Home: 0, End: last };
    if (event.key in aims && last > 0) this.go(aims[event.key]);
    else if (event.key === ' ' && event.target === this.slider) this.toggle();
    else return;
    event.preventDefault();
  }

  draw() {
    if (!this.data) return;
    const scene = +this.scene.select.value;
    const { steps } = this.data;
    const when = steps.length ? `step ${steps[this.moment]} of ${steps[steps.length - 1]}` : '';
    this.output.textContent = when;
    this.slider.setAttribute('aria-valuetext', when);
    paintScene(this.input, this.data.image, this.data.objects, scene);
    this.input.setAttribute('aria-label', `Scene ${this.data.scenes[scene].label}`);
    if (this.data.kind === 'phases') this.drawPhases(scene, when);
    else this.drawStates(scene, when);
  }

  drawPhases(scene, when) {
    const frame = this.phaseFrame(scene);
    paintPhases(this.map, frame);
    paintPolar(this.plot, frame);
    this.keys.replaceChildren(...frame.groups.map((group) => {
      const swatch = make('span', { class: 'swatch', style: `background:${colourOf(group.number)}` });
      return make('li', {}, swatch, `object ${group.number + 1}: r = ${group.order.toFixed(2)}`);
    }));
    const parts = frame.groups.map(
      (group) => `object ${group.number + 1}: synchrony ${group.order.toFixed(2)}, mean phase ${inPi(group.angle)}`);
    if (frame.groups.length === 2) parts.push(`${inPi(apart(...frame.groups))} apart`);
    this.map.setAttribute('aria-label', `Phases at ${when}`);
    this.plot.setAttribute('aria-label', `Phases on the circle at ${when}: ${parts.join('; ')}`);
    this.status.textContent = `${capital(when)}: ${parts.join('; ')}.`;
  }

  // The units of a moment: the places of their phases and amplitudes in the arrays, and which units belong to which object.
  phaseFrame(scene) {
    const { phase, amplitude, objects } = this.data;
    const [, moments, height, width, channels] = phase.shape;
    const area = height * width;
    const selected = this.channel.select.value;
    const unit = (pixel, channel) => ({
      still: (scene * area + pixel) * channels + channel,
      now: ((scene * moments + this.moment) * area + pixel) * channels + channel,
    });
    const strongest = (pixel) => {
      let best = unit(pixel, 0);
      for (let channel = 1; channel < channels; channel++) {
        const other = unit(pixel, channel);
        if (amplitude.data[other.still] > amplitude.data[best.still]) best = other;
      }
      return best;
    };
    const shown = selected === STRONGEST || channels < 2 ? strongest : (pixel) => unit(pixel, +selected);
    const members = new Map();
    for (let pixel = 0; pixel < area; pixel++) {
      for (const number of bitsOf(objectAt(objects, scene, pixel, height, width))) {
        if (!members.has(number)) members.set(number, []);
        for (let channel = 0; channel < channels; channel++) {
          const one = unit(pixel, channel);
          const counts = selected === STRONGEST || channels < 2 || channel === +selected;
          if (counts && amplitude.data[one.still] > 0) members.get(number).push(one);
        }
      }
    }
    const groups = [...members].sort((a, b) => a[0] - b[0]).map(([number, units]) => {
      const angles = units.map((one) => (phase.data[one.now] / 256) * TURN);
      const mean = {
        x: angles.reduce((sum, angle) => sum + Math.cos(angle), 0) / Math.max(1, angles.length),
        y: angles.reduce((sum, angle) => sum + Math.sin(angle), 0) / Math.max(1, angles.length),
      };
      return { number, units, mean, order: Math.hypot(mean.x, mean.y), angle: Math.atan2(mean.y, mean.x) };
    });
    return { height, width, shown, groups, phase: phase.data, amplitude: amplitude.data };
  }

  drawStates(scene, when) {
    const { labels, predictions, state } = this.data;
    paintClasses(this.truth, labels, scene);
    paintClasses(this.predicted, predictions, scene);
    const [, height, width] = labels.shape;
    const pixels = [...Array(height * width).keys()].map((pixel) => scene * height * width + pixel);
    const right = pixels.filter((pixel) => labels.data[pixel] === predictions.data[pixel]).length / pixels.length;
    const text = `${(100 * right).toFixed(0)} % of the pixels are correct`;
    this.truth.setAttribute('aria-label', 'True classes');
    this.predicted.setAttribute('aria-label', `Predicted classes: ${text}`);
    this.status.textContent = `${when ? `${capital(when)}; ` : ''}after the last step, ${text}.`;
    if (state) this.drawField(scene, when);
  }

  drawField(scene, when) {
    const { labels, state } = this.data;
    const [, moments, height, width, channels] = state.shape;
    const channel = +(this.channel.select.value || 0);
    const at = (moment, pixel) => ((scene * moments + moment) * height * width + pixel) * channels + channel;
    paintStates(this.map, { height, width, state: state.data, at: (pixel) => at(this.moment, pixel) });
    this.map.setAttribute('aria-label', `States at ${when}`);
    const limit = this.data.limits[scene][channel];
    const ends = stateColours(document.documentElement.dataset.theme === 'dark').map((c) => `rgb(${c})`);
    this.bar.style.background = `linear-gradient(90deg, ${ends})`;
    this.ends.replaceChildren(...[-limit, 0, limit].map((x) => make('span', {}, String(+x.toPrecision(2)))));
    const traces = this.traces(scene, at, height * width, moments, labels.data);
    paintTraces(this.plot, traces, this.moment, moments);
    this.plot.setAttribute('aria-label', `Mean state of each class over time, ${when} marked`);
    this.keys.replaceChildren(...traces.map((trace) => make('li', {},
      make('span', { class: 'swatch', style: `background:${trace.colour}` }), trace.label)));
  }

  traces(scene, at, area, moments, labels) {
    const byLabel = new Map();
    for (let pixel = 0; pixel < area; pixel++) {
      const label = labels[scene * area + pixel];
      if (!byLabel.has(label)) byLabel.set(label, []);
      byLabel.get(label).push(pixel);
    }
    return [...byLabel].sort((a, b) => a[0] - b[0]).map(([label, pixels]) => ({
      label: label ? `class ${label}` : 'background',
      colour: label ? DATA.classes[label % DATA.classes.length] : themed('--soft'),
      values: [...Array(moments).keys()].map(
        (moment) => pixels.reduce((sum, pixel) => sum + this.data.state.data[at(moment, pixel)] - 128, 0) / pixels.length / 127),
    }));
  }
}

// The smaller angle between the means of two groups.
function apart(first, second) {
  const angle = Math.abs(first.angle - second.angle);
  return Math.min(angle, TURN - angle);
}

function inPi(angle) {
  return `${(angle / Math.PI).toFixed(2).replace('-', '−')} π`;
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
