// Runs before the first paint; see vite.config.ts. `src/lib/settings.svelte.ts` writes these keys.
(function () {
  try {
    var root = document.documentElement;
    var theme = localStorage.getItem('sf.theme');
    if (/^(light|dark|dimmed|(light|dark)-(hc|cb|tritan))$/.test(theme)) root.dataset.theme = theme;
    var density = localStorage.getItem('sf.density');
    if (density === 'compact' || density === 'large') root.dataset.density = density;
    var lang = localStorage.getItem('sf.lang');
    if (lang === 'en' || lang === 'zh-CN') root.lang = lang;
  } catch (error) {
    // No storage: the system's theme stands.
  }
})();
