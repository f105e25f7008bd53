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
          attrs: { src: serving ? '/src/theme.js' : `/${name()}` },
          injectTo: 'head-prepend',
        },
      ],
    },
  };
}

export default defineConfig({
  plugins: [svelte(), themeScript()],
  resolve: { alias: { $lib: fileURLToPath(new URL('./src/lib', import.meta.url)) } },
  build: {
    target: 'es2022',
    cssTarget: ['chrome123', 'firefox128', 'safari17.5'],
    // Everything is a file of its own: the policy has neither `data:` scripts nor inline ones.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 200,
  },
  server: {
    proxy: { '/api': 'http://127.0.0.1:8080', '/ws': { target: 'ws://127.0.0.1:8080', ws: true } },
  },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
});
