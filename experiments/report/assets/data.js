// The data of the page, and small helpers that all parts share.
const DATA = JSON.parse(document.getElementById('data').textContent);

// '#rrggbb' -> [r, g, b]
function rgb(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

const WHEEL = DATA.wheel.map(rgb);
const CLASSES = DATA.classes.map(rgb);
const TURN = 2 * Math.PI;

// A colour of the theme, by the name of its property.
function themed(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// The colour of a model or an object, by its number.
function colourOf(number) {
  return themed(`--c${number % 7}`);
}

// {shape, data} with data compressed and in base64 -> {shape, data: Uint8Array}
async function unpack(entry) {
  const bytes = Uint8Array.from(atob(entry.data), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
  return { shape: entry.shape, data: new Uint8Array(await new Response(stream).arrayBuffer()) };
}

// An element with attributes and children; text children are text, never markup.
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children);
  return node;
}

// A select with a label; options [{value, label, group?}].
function choice(label, options, onchange) {
  const select = make('select', { onchange });
  fill(select, options);
  return { select, node: make('label', {}, label, select) };
}

function fill(select, options) {
  const groups = new Map();
  select.replaceChildren();
  for (const { value, label, group } of options) {
    const option = make('option', { value }, label);
    if (!group) select.append(option);
    else {
      if (!groups.has(group)) {
        groups.set(group, make('optgroup', { label: group }));
        select.append(groups.get(group));
      }
      groups.get(group).append(option);
    }
  }
}

// Functions to call again when the theme changes, since canvases hold colours.
const redraws = [];
