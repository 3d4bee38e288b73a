// Pictures on canvases: scenes, phases on the colour wheel and on the circle, states.

// Paint height x width pixels; colour(pixel) gives [r, g, b].
function paint(canvas, height, width, colour) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext('2d');
  const image = context.createImageData(width, height);
  for (let pixel = 0; pixel < height * width; pixel++) {
    const [red, green, blue] = colour(pixel);
    image.data.set([red, green, blue, 255], 4 * pixel);
  }
  context.putImageData(image, 0, 0);
}

// The input of a scene; what belongs to an object is tinted in its colour.
function paintScene(canvas, image, objects, scene) {
  const [, height, width, channels] = image.shape;
  const start = scene * height * width;
  const tints = [...Array(8).keys()].map((number) => rgb(colourOf(number)));
  paint(canvas, height, width, (pixel) => {
    const at = (start + pixel) * channels;
    const light = [0, 1, 2].map((c) => image.data[at + (channels === 3 ? c : 0)]);
    const owners = objects ? bitsOf(objectAt(objects, scene, pixel, height, width)) : [];
    if (!owners.length || channels === 3) return light;
    const share = light[0] / 255;
    return [0, 1, 2].map((c) => {
      const tint = owners.reduce((sum, owner) => sum + tints[owner][c], 0) / owners.length;
      return 255 * share * 0.35 + tint * (0.15 + 0.5 * share);
    });
  });
}

// Bits of the objects at a pixel of a picture that may be finer than the objects' own grid.
function objectAt(objects, scene, pixel, height, width) {
  const [, rows, columns] = objects.shape;
  const row = Math.floor((Math.floor(pixel / width) * rows) / height);
  const column = Math.floor(((pixel % width) * columns) / width);
  return objects.data[(scene * rows + row) * columns + column];
}

function bitsOf(byte) {
  return [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => byte & (1 << bit));
}

// A map of classes.
function paintClasses(canvas, labels, scene) {
  const [, height, width] = labels.shape;
  const start = scene * height * width;
  paint(canvas, height, width, (pixel) => CLASSES[labels.data[start + pixel] % CLASSES.length]);
}

// Phases: hue by phase, brightness by amplitude; one channel, or each pixel's strongest (channel null).
function paintPhases(canvas, frame) {
  paint(canvas, frame.height, frame.width, (pixel) => {
    const unit = frame.shown(pixel);
    const share = frame.amplitude[unit.still] / 255;
    return WHEEL[frame.phase[unit.now]].map((value) => value * share);
  });
}

// States: red above 0, blue below, white (light) or black (dark) at 0.
function paintStates(canvas, frame) {
  const dark = document.documentElement.dataset.theme === 'dark';
  const [low, zero, high] = stateColours(dark);
  paint(canvas, frame.height, frame.width, (pixel) => {
    const value = (frame.state[frame.at(pixel)] - 128) / 127;
    const end = value < 0 ? low : high;
    const share = Math.min(1, Math.abs(value)) ** 0.8;
    return [0, 1, 2].map((c) => zero[c] + share * (end[c] - zero[c]));
  });
}

function stateColours(dark) {
  return dark ? [rgb('#5aa9ff'), rgb('#16181d'), rgb('#ff7f66')] : [rgb('#1b5fae'), rgb('#f7f7f7'), rgb('#b8332a')];
}

// A square canvas for line drawings, sharp on any screen; its context, with the origin in the middle and radius 1.
function circleContext(canvas) {
  const size = Math.round((canvas.clientWidth || 320) * (window.devicePixelRatio || 1));
  canvas.width = canvas.height = size;
  const context = canvas.getContext('2d');
  context.setTransform(size / 2, 0, 0, -size / 2, size / 2, size / 2);
  return context;
}

const WHEEL_INNER = 0.8;
const WHEEL_OUTER = 0.88;
const CIRCLE = 0.52; // radius of the unit circle that the means are measured against

// Phases of the active units on the circle, a band of dots an object, their mean an arrow; the wheel is the legend.
function paintPolar(canvas, frame) {
  const context = circleContext(canvas);
  drawWheel(context);
  context.lineWidth = 0.006;
  context.strokeStyle = themed('--line');
  context.beginPath();
  context.arc(0, 0, CIRCLE, 0, TURN);
  context.moveTo(-CIRCLE, 0);
  context.lineTo(CIRCLE, 0);
  context.moveTo(0, -CIRCLE);
  context.lineTo(0, CIRCLE);
  context.stroke();
  const band = (WHEEL_INNER - 0.03 - CIRCLE - 0.03) / Math.max(1, frame.groups.length);
  frame.groups.forEach((group, place) => {
    const near = CIRCLE + 0.03 + band * place;
    drawDots(context, group, frame, (spread) => near + band * (0.12 + 0.76 * spread));
  });
  for (const group of frame.groups) drawArrow(context, group.mean, colourOf(group.number));
  return context;
}

function drawWheel(context) {
  for (let step = 0; step < 256; step++) {
    context.beginPath();
    context.arc(0, 0, (WHEEL_INNER + WHEEL_OUTER) / 2, ((step - 0.75) / 256) * TURN, ((step + 0.75) / 256) * TURN);
    context.lineWidth = WHEEL_OUTER - WHEEL_INNER;
    context.strokeStyle = DATA.wheel[step];
    context.stroke();
  }
  const { a: scale } = context.getTransform();
  context.save();
  context.setTransform(1, 0, 0, 1, scale, scale);
  context.fillStyle = themed('--soft');
  context.font = `${0.075 * scale}px system-ui, sans-serif`;
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  ['0', 'π/2', 'π', '−π/2'].forEach((label, quarter) => {
    const angle = (quarter * TURN) / 4;
    context.fillText(label, Math.cos(angle) * 0.945 * scale, -Math.sin(angle) * 0.945 * scale);
  });
  context.restore();
}

function drawDots(context, group, frame, radius) {
  context.fillStyle = colourOf(group.number);
  const size = group.units.length > 400 ? 0.009 : 0.013;
  context.globalAlpha = group.units.length > 400 ? 0.45 : 0.7;
  group.units.forEach((unit) => {
    const angle = (frame.phase[unit.now] / 256) * TURN;
    const far = radius(((unit.still * 2654435761) % 4096) / 4096); // the radius only spreads dots apart
    context.beginPath();
    context.arc(far * Math.cos(angle), far * Math.sin(angle), size, 0, TURN);
    context.fill();
  });
  context.globalAlpha = 1;
}

function drawArrow(context, mean, colour) {
  const length = CIRCLE * Math.hypot(mean.x, mean.y);
  context.save();
  context.rotate(Math.atan2(mean.y, mean.x));
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = 0.022;
  context.beginPath();
  context.moveTo(0, 0);
  context.lineTo(Math.max(0, length - 0.05), 0);
  context.stroke();
  const head = Math.min(0.075, length);
  context.beginPath();
  context.moveTo(length, 0);
  context.lineTo(length - head, 0.5 * head);
  context.lineTo(length - head, -0.5 * head);
  context.fill();
  context.restore();
}

// Mean state of each class over time, with the moment shown.
function paintTraces(canvas, traces, moment, length) {
  const context = circleContext(canvas);
  context.lineWidth = 0.006;
  const x = (step) => -0.95 + (1.9 * step) / Math.max(1, length - 1);
  context.strokeStyle = themed('--line');
  context.beginPath();
  context.moveTo(-0.95, 0);
  context.lineTo(0.95, 0);
  context.stroke();
  const top = Math.max(0.05, ...traces.flatMap((trace) => trace.values.map(Math.abs)));
  context.lineWidth = 0.016;
  for (const trace of traces) {
    context.strokeStyle = trace.colour;
    context.beginPath();
    trace.values.forEach((value, step) => context.lineTo(x(step), (0.85 * value) / top));
    context.stroke();
  }
  context.lineWidth = 0.008;
  context.strokeStyle = themed('--accent');
  context.beginPath();
  context.moveTo(x(moment), -0.95);
  context.lineTo(x(moment), 0.95);
  context.stroke();
}
