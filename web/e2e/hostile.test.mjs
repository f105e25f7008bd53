// Text of scripts is hostile, wherever it is shown: it must stay text.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, it } from 'node:test';
import { cspReports, launch, openPage } from './browser.mjs';
import { Rig } from './server.mjs';

const CORPUS = [
  '<img src=x onerror="globalThis.pwned=1" data-pwned>',
  '"><svg onload=globalThis.pwned=1 data-pwned>',
  "'-globalThis.pwned=1-'",
  '</script><script>globalThis.pwned=1</script>',
  '</title></style></textarea><b data-pwned>x</b>',
  'javascript:globalThis.pwned=1',
  "{{constructor.constructor('globalThis.pwned=1')()}}",
  '${globalThis.pwned=1} {n} {name} %s $& $1',
  '__proto__',
  'constructor',
  '\u202Egnp.evil\u2066\u200B\uFEFF',
  '../../etc/passwd',
  '<a href="javascript:globalThis.pwned=1" data-pwned>click</a>',
  '你好 👩‍👩‍👧 é\u0301\u0301\u0301 ﷽',
  `long-${'x'.repeat(4000)}`,
];

let browser;
let rig;
const ids = [];
before(async () => {
  browser = await launch();
  rig = new Rig();
  await rig.serve();
  const dir = join(rig.storage, 'hostile');
  mkdirSync(dir);
  const html = CORPUS.slice(0, 5).join('\n');
  const files = {
    'a.html': `<html><body>${html}</body></html>`,
    'a.svg': '<svg xmlns="http://www.w3.org/2000/svg" onload="globalThis.pwned=1"><script>parent.pwned=1</script></svg>',
    'summary.md': CORPUS.map((text) => `# ${text}\n\n[${text}](javascript:globalThis.pwned=1) ![x](${text})\n\n| ${text.replaceAll('|', '')} |\n|---|\n| <b data-pwned>x</b> |\n`).join('\n'),
    'a.csv': CORPUS.map((text) => `"${text.replaceAll('"', '""')}","=cmd|' /C calc'!A0"`).join('\n'),
    'a.json': JSON.stringify(Object.fromEntries(CORPUS.map((text) => [text, text]))),
    'a.txt': CORPUS.join('\n'),
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  const lines = [];
  for (const text of CORPUS) {
    lines.push(`META:${text}:${text}`, `STEP_START:${text}`, text, `\x1b[31m${text}\x1b[0m`);
    lines.push(`\x1b]8;;${text}\x07${text}\x1b]8;;\x07`, `error: ${text}`, JSON.stringify({ level: text, msg: text }));
    lines.push(`STEP_SKIP:${text}:${text}`, `PROGRESS:40:${text}`, `STEP_ERROR:${text}`);
  }
  for (const name of Object.keys(files)) {
    lines.push(`ARTIFACT:${name}:${name === 'summary.md' ? 'summary' : CORPUS[0]}`);
  }
  writeFileSync(join(dir, 'out'), `${lines.join('\n')}\n`);
  for (const text of CORPUS.slice(0, 6)) {
    const clean = text.slice(0, 200);
    ids.push(
      await rig.start('cat out; exit 3', {
        name: text,
        working_directory: dir,
        tags: [clean],
        environment: { EVIL: text },
        metadata: { [text]: text },
      }),
    );
  }
  const sent = await fetch(
    `${rig.url}/api/ingest?name=${encodeURIComponent(CORPUS[1])}&user=${encodeURIComponent(CORPUS[0])}`,
    { method: 'PUT', body: lines.join('\n') },
  );
  assert.ok(sent.ok, await sent.text());
  for (const id of ids) await rig.end(id);
});
after(async () => {
  await browser?.close();
  await rig?.close();
});

async function visit(page, path) {
  await page.goto(rig.url + path);
  await page.locator('h1').first().waitFor();
  await page.waitForLoadState('networkidle');
  const found = await page.evaluate(() => ({
    pwned: globalThis.pwned,
    planted: document.querySelectorAll('[data-pwned]').length,
    handlers: [...document.querySelectorAll('*')].filter((node) =>
      [...node.attributes].some(({ name }) => name.startsWith('on')),
    ).length,
    links: [...document.querySelectorAll('[href], [src]')]
      .map((node) => node.getAttribute('href') ?? node.getAttribute('src'))
      .filter((to) => /^\s*(javascript|data|file|vbscript):/i.test(to)),
    title: document.title,
  }));
  assert.equal(found.pwned, undefined, `${path}: script ran`);
  assert.equal(found.planted, 0, `${path}: markup became nodes`);
  assert.equal(found.handlers, 0, `${path}: handlers in attributes`);
  assert.deepEqual(found.links, [], path);
  assert.deepEqual(await cspReports(page), [], path);
}

it('T6: hostile text in every field of every page stays text, without one report of the policy', async () => {
  const { context, page, faults } = await openPage(browser);
  const outside = [];
  page.on('request', (request) => {
    const { origin, protocol } = new URL(request.url());
    if (origin !== rig.url && protocol !== 'blob:') outside.push(request.url());
  });
  const { artifacts } = await rig.get('/api/artifacts?limit=200');
  const of = artifacts.filter((artifact) => artifact.execution_id === ids[0]);
  assert.equal(of.length, 6, 'every artifact was collected');
  const id = ids[0];
  const tabs = ['', '?tab=timeline', '?tab=artifacts', '?tab=annotations', '?tab=summary', '?tab=details'];
  const paths = ['/', '/executions', '/search?q=e', '/artifacts', '/statistics', '/health', '/settings', '/settings/tokens'];
  for (const path of [
    ...paths,
    ...tabs.map((tab) => `/executions/${id}${tab}`),
    ...of.map((artifact) => `/executions/${id}/artifacts/${artifact.id}`),
    `/executions?name=${encodeURIComponent(CORPUS[0])}`,
    `/executions?q=${encodeURIComponent(CORPUS[1])}`,
    `/executions/${id}?q=${encodeURIComponent(CORPUS[0])}`,
    `/nothing/${encodeURIComponent(CORPUS[0])}`,
    `/login?next=${encodeURIComponent('javascript:globalThis.pwned=1')}`,
  ]) {
    await visit(page, path);
  }
  await context.close();
  assert.deepEqual(faults, [], 'errors or dialogs on the pages');
  assert.deepEqual(outside, [], 'requests elsewhere');
});

it('A8: nothing is asked of anybody else, and no font is loaded', async () => {
  const { context, page } = await openPage(browser);
  const asked = [];
  page.on('request', (request) => asked.push(request));
  await visit(page, '/');
  await visit(page, `/executions/${ids[0]}`);
  await context.close();
  assert.ok(asked.length > 5, 'requests are seen');
  assert.ok(asked.every((request) => request.url().startsWith(rig.url)));
  assert.ok(asked.every((request) => request.resourceType() !== 'font'));
});
