import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, it } from 'node:test';
import { launch, openPage } from './browser.mjs';
import { Rig } from './server.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const MAIN = ['/', '/executions', '/settings/profile'];
const PAGES = [...MAIN, '/search', '/search?q=e', '/artifacts', '/statistics', '/health', '/settings/tokens', '/settings/about', '/login', '/nothing-here'];
const TABS = ['log', 'timeline', 'artifacts', 'annotations', 'summary', 'details'];
const OTHERS = ['dimmed', 'light-hc', 'dark-hc', 'light-cb', 'dark-cb', 'light-tritan', 'dark-tritan'];

let browser;
let rig;
let id;
before(async () => {
  browser = await launch();
  rig = new Rig();
  await rig.serve();
  id = await rig.start('echo STEP_START:One; printf "\\033[31mred\\033[0m\\n"; echo STEP_WARNING:careful; echo STEP_ERROR:broken; exit 1', { name: 'for axe', tags: ['a'] });
  await rig.end(id);
});
after(async () => {
  await browser?.close();
  await rig?.close();
});

/** What axe-core finds by all rules of A, AA and best practice, in words. */
async function findings(page) {
  // Evaluated by the test's own channel: the page's policy is not asked, and not weakened.
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    const { violations } = await globalThis.axe.run(document, { runOnly: { type: 'tag', values: tags } });
    return violations.flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.target.join(' ')} ${node.failureSummary?.split('\n')[1] ?? ''}`));
  });
}

async function look(language, theme, paths, dialogs = false) {
  const { context, page } = await openPage(browser, { reducedMotion: 'reduce' });
  await page.addInitScript(([lang, name]) => {
    localStorage.setItem('sf.lang', lang);
    localStorage.setItem('sf.theme', name);
  }, [language, theme]);
  const found = [];
  try {
    for (const path of paths) {
      await page.goto(rig.url + path);
      await page.locator('h1').first().waitFor();
      await page.locator('.loading').first().waitFor({ state: 'detached' }).catch(() => {});
      for (const finding of await findings(page)) found.push(`${path} ${finding}`);
    }
    if (dialogs) {
      await page.goto(rig.url);
      await page.getByTestId('bar-new').waitFor();
      for (const [key, dialog] of [['n', 'dialog'], ['?', '[data-testid="help"]'], ['Control+k', '[data-testid="palette"]']]) {
        await page.keyboard.press(key);
        await page.locator(dialog).waitFor();
        for (const finding of await findings(page)) found.push(`${key} ${finding}`);
        await page.keyboard.press('Escape');
        await page.locator(dialog).waitFor({ state: 'detached' });
      }
    }
  } finally {
    await context.close();
  }
  return found;
}

for (const language of ['en', 'zh-CN']) {
  for (const theme of ['light', 'dark']) {
    it(`A1: axe finds nothing on any page, tab and dialog: ${language}, ${theme}`, async () => {
      const tabs = TABS.map((tab) => `/executions/${id}?tab=${tab}`);
      assert.deepEqual(await look(language, theme, [...PAGES, ...tabs], true), []);
    });
  }
}
for (const theme of OTHERS) {
  it(`A1 A6: axe finds nothing on the main pages: ${theme}`, async () => {
    assert.deepEqual(await look('en', theme, [...MAIN, `/executions/${id}`]), []);
  });
}
