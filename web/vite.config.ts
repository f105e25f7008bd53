import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

/**
 * Puts `src/theme.js` into the head as a plain blocking script with a hashed name. The policy has
 * no inline scripts, and a module would run after the first paint: a flash of the wrong theme.
 */
function themeScript(): Plugin {
  const path = fileURLToPath(new URL('./src/theme.js', import.meta.url));
  let serving = false;
  const name = () => {
    const hash = createHash('sha256').update(readFileSync(path)).digest('base64url').slice(0, 8);
    return `assets/theme-${hash}.js`;
  };
  return {
    name: 'stepflow-theme-script',
    configResolved(config) {
      serving = config.command === 'serve';
    },
    generateBundle() {
      this.emitFile({ type: 'asset', fileName: name(), source: readFileSync(path, 'utf8') });
    },
    transformIndexHtml: {
      order: 'post',
      handler: () => [
        {
          tag: 'script',
          attrs: { src: serving ? '/src/theme.js' : `./${name()}` },
          injectTo: 'head-prepend',
        },
      ],
    },
  };
}

/** Where `npm run dev` finds a server. */
const API = process.env.STEPFLOW_API ?? 'http://127.0.0.1:8080';

export default defineConfig({
  // Relative: the server puts the path before them under which a proxy offers it.
  base: './',
  plugins: [svelte(), themeScript()],
  resolve: { alias: { $lib: fileURLToPath(new URL('./src/lib', import.meta.url)) } },
  build: {
    target: 'es2022',
    cssTarget: ['chrome123', 'firefox128', 'safari17.5'],
    // Everything is a file of its own: the policy has neither `data:` scripts nor inline ones.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 200,
    rolldownOptions: {
      output: {
        // The log viewer is a file of its own, so that its size can be held to its budget. It is
        // asked for together with the page that shows it.
        codeSplitting: {
          groups: [{ name: 'log', test: /src\/lib\/(?:log\/(?!meta|announce)|format\/log-|components\/Log(?:View|Toolbar)\.)/, includeDependenciesRecursively: false }],
        },
      },
    },
  },
  server: {
    proxy: { '/api': API, '/ws': { target: API.replace('http', 'ws'), ws: true } },
  },
  test: { include: ['src/**/*.test.ts'], environment: 'node', css: true },
});
