window.MathJax = {
  tex: { inlineMath: [['\\(', '\\)']], displayMath: [['\\[', '\\]']], processEscapes: true },
  options: { ignoreHtmlClass: '.*|', processHtmlClass: 'arithmatex' },
};
// Pages change without being loaded anew.
document$.subscribe(() => { if (window.MathJax.typesetPromise) window.MathJax.typesetPromise(); });
