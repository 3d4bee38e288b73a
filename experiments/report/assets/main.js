// The theme, then the viewers of the runs.

const system = matchMedia('(prefers-color-scheme: dark)');
const THEMES = { auto: ['light', '◐ Auto', 'as the system'], light: ['dark', '☀ Light', 'light'], dark: ['auto', '☾ Dark', 'dark'] };
let theme = 'auto';

function applyTheme() {
  const [, text, name] = THEMES[theme];
  const button = document.getElementById('theme');
  document.documentElement.dataset.theme = theme === 'auto' ? (system.matches ? 'dark' : 'light') : theme;
  button.textContent = text;
  button.setAttribute('aria-label', `Colours of the page: ${name}`);
  for (const redraw of redraws) redraw();
}

document.getElementById('theme').addEventListener('click', () => {
  theme = THEMES[theme][0];
  applyTheme();
});
system.addEventListener('change', applyTheme);
applyTheme();

const viewers = [...document.querySelectorAll('.viewer')].map((root) => new Viewer(root, +root.dataset.run));
window.addEventListener('resize', () => redraws.forEach((redraw) => redraw()));
Promise.all(viewers.map((viewer) => viewer.ready)).then(() => { document.documentElement.dataset.ready = ''; });
