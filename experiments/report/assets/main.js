// The theme, then everything that a run has.

const system = matchMedia('(prefers-color-scheme: dark)');
const THEMES = { auto: ['light', '◐ Auto', 'as the system'], light: ['dark', '☀ Light', 'light'], dark: ['auto', '☾ Dark', 'dark'] };
let theme = 'auto';

function applyTheme() {
  const [, text, told] = THEMES[theme];
  const button = document.getElementById('theme');
  document.documentElement.dataset.theme = theme === 'auto' ? (system.matches ? 'dark' : 'light') : theme;
  button.textContent = text;
  button.setAttribute('aria-label', `Colours of the page: ${told}`);
  for (const redraw of redraws) redraw();
}

document.getElementById('theme').addEventListener('click', () => {
  theme = THEMES[theme][0];
  applyTheme();
});
system.addEventListener('change', applyTheme);
applyTheme();

for (const root of document.querySelectorAll('.curves')) new Curves(root, +root.dataset.run);
const viewers = [...document.querySelectorAll('.viewer')].map((root) => new Viewer(root, +root.dataset.run));
window.addEventListener('resize', () => redraws.forEach((redraw) => redraw()));
Promise.all(viewers.map((viewer) => viewer.ready)).then(() => { document.documentElement.dataset.ready = ''; });
