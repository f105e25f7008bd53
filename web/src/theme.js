// Runs before the first paint; see vite.config.ts. `src/lib/settings.svelte.ts` writes these keys.
(function () {
  try {
    var root = document.documentElement;
    var theme = localStorage.getItem('sf.theme');
    if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
    var lang = localStorage.getItem('sf.lang');
    if (lang === 'en' || lang === 'zh-CN') root.lang = lang;
  } catch (error) {
    // No storage: the system's theme stands.
  }
})();
