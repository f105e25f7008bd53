// What `stepflow export` writes: a page that opens from a file, without any network, and a trace.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { cspReports, launch, openPage } from './browser.mjs';
import { Rig } from './server.mjs';

const SCRIPT = `
echo 'before any step'
echo 'STEP_START:Build [id=b]'
printf '\\033[31mred <b>not bold</b>\\033[0m\\n'
echo 'STEP_START:Inner [id=i][parent=b]'
echo '日本語の行'
echo 'STEP_COMPLETE:Inner [id=i]'
echo 'STEP_COMPLETE:Build [id=b]'
echo 'STEP_START:Tests <img src=x onerror=alert(1)>'
echo 'error: it broke </script><script>alert(1)</script>'
echo 'https://example.com/see'
printf 'half a line'
exit 3
`;

const rig = new Rig();
const files = mkdtempSync(join(tmpdir(), 'stepflow-export-'));
let browser;

before(async () => {
  browser = await launch();
  const { code } = await rig.run('run', '--name', 'exported', '--output', 'quiet', '--shell', '--', SCRIPT);
  assert.equal(code, 3);
});

after(async () => {
  await browser?.close();
  await rig.close();
  rmSync(files, { recursive: true, force: true });
});

async function exported(format, name) {
  const path = join(files, name);
  const { code, output } = await rig.run('export', 'last', '--format', format, '-o', path);
  assert.equal(code, 0, output);
  return path;
}

test('L23: a page from the command line opens from a file without network, hostile text and all', async () => {
  const path = await exported('html', 'page.html');
  const { context, page, faults } = await openPage(browser);
  const asked = [];
  await context.setOffline(true);
  page.on('request', (request) => asked.push(request.url()));
  await page.goto(pathToFileURL(path).href);
  assert.deepEqual(asked, [pathToFileURL(path).href], 'it asks for nothing but itself');
  const text = await page.evaluate(() => document.body.innerText);
  for (const wanted of [
    'exported',
    'before any step',
    'red <b>not bold</b>',
    '日本語の行',
    'Tests <img src=x onerror=alert(1)>',
    'error: it broke </script><script>alert(1)</script>',
    'half a line',
  ]) {
    assert.ok(text.includes(wanted), `${wanted} is not shown:\n${text}`);
  }
  assert.equal(await page.locator('img').count(), 0);
  // What the terminal coloured is coloured, and can be read on its background.
  const red = page.getByText('red <b>not bold</b>').last();
  const [colour, plain] = await Promise.all([
    red.evaluate((node) => getComputedStyle(node).color),
    page.getByText('half a line').last().evaluate((node) => getComputedStyle(node).color),
  ]);
  assert.notEqual(colour, plain);
  // Nothing is cut at the width of a phone, and both themes are there.
  await page.setViewportSize({ width: 360, height: 740 });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= 360, `${wide} wide on a phone`);
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.emulateMedia({ colorScheme: 'light' });
  const light = await background();
  await page.emulateMedia({ colorScheme: 'dark' });
  assert.notEqual(await background(), light);
  assert.deepEqual(faults, []);
  assert.deepEqual(await cspReports(page), []);
  await context.close();
});

test('the trace is what trace viewers read: events of one thread lie within one another', async () => {
  const trace = JSON.parse(readFileSync(await exported('trace', 'trace.json'), 'utf8'));
  assert.ok(['ms', 'ns'].includes(trace.displayTimeUnit));
  const spans = trace.traceEvents.filter((event) => event.ph === 'X');
  assert.deepEqual(
    spans.filter((span) => span.cat === 'step').map((span) => span.name),
    ['Build', 'Inner', 'Tests <img src=x onerror=alert(1)>'],
  );
  for (const event of trace.traceEvents) {
    assert.ok(Number.isInteger(event.pid) && typeof event.name === 'string', JSON.stringify(event));
    assert.ok(['X', 'M', 'i'].includes(event.ph), event.ph);
    if (event.ph === 'X') assert.ok(Number.isInteger(event.ts) && event.dur >= 0 && Number.isInteger(event.tid));
  }
  for (const tid of new Set(spans.map((span) => span.tid))) {
    const open = [];
    for (const span of spans.filter((one) => one.tid === tid).sort((a, b) => a.ts - b.ts || b.dur - a.dur)) {
      while (open.length > 0 && open.at(-1) <= span.ts) open.pop();
      if (open.length > 0) assert.ok(span.ts + span.dur <= open.at(-1), `${span.name} reaches out of its parent`);
      open.push(span.ts + span.dur);
    }
  }
});

test('everything as JSON: each line once, in order', async () => {
  const all = JSON.parse(readFileSync(await exported('json', 'all.json'), 'utf8'));
  assert.equal(all.schema, 'stepflow-export');
  assert.deepEqual(
    all.lines.map((one) => one.number),
    Array.from({ length: all.lines.length }, (_, at) => at + 1),
  );
  assert.equal(all.lines.at(-1).text, 'half a line');
});
