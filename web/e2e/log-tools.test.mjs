// What is around the lines of a log: downloads, errors, the count, times, what is said aloud.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import { after, before, it } from 'node:test';
import { cspReports, launch, openPage } from './browser.mjs';
import { Rig, until } from './server.mjs';

let browser;
let rig;
let id;
before(async () => {
  browser = await launch();
  rig = new Rig();
  await rig.serve();
  id = await rig.start(
    `echo STEP_START:One; echo '<script>alert(1)</script>'; echo 'a.c:1:1: error: first'; echo STEP_COMPLETE:One
     echo STEP_START:Two; for i in $(seq 1 600); do echo "line $i"; done; echo 'b.c:2:2: error: second'
     printf '10 %%\\r100 %%\\n'; printf '\\033[31mred\\033[0m\\n'; echo STEP_COMPLETE:Two`,
    { name: 'tools' },
  );
  await rig.end(id);
});
after(async () => {
  await browser?.close();
  await rig?.close();
});

function test(name, options, body) {
  it(name, async () => {
    const { context, page, faults } = await openPage(browser, options);
    try {
      await body(page, context);
      assert.deepEqual(await cspReports(page), [], 'reports of the content security policy');
      assert.deepEqual(faults, [], 'errors on the page');
    } finally {
      await context.close();
    }
  });
}

async function open(page, query = '') {
  await page.goto(`${rig.url}/executions/${id}${query}`);
  await page.locator('.log-row:not(.pending)').first().waitFor();
}

async function download(page, testid) {
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByTestId(testid).click()]);
  return { name: file.suggestedFilename(), bytes: await readFile(await file.path()) };
}

test('L23 K3: d opens the downloads; raw, text, JSON lines, one step, the filter, gzip', { acceptDownloads: true }, async (page) => {
  await open(page);
  const raw = await (await fetch(`${rig.url}/api/executions/${id}/log/raw`)).text();
  await page.keyboard.press('d');
  const what = page.getByTestId('log-download-what');
  await until('it has the focus', () => what.evaluate((one) => one === document.activeElement));
  const whole = await download(page, 'log-download-raw');
  assert.equal(whole.bytes.toString(), raw);
  assert.match(whole.name, /^tools-[0-9a-f]{12}\.log$/);
  await what.selectOption('step:1');
  const step = await download(page, 'log-download-raw');
  assert.ok(step.bytes.toString().startsWith('STEP_START:Two\nline 1\n'));
  await page.getByTestId('log-download-gzip').check();
  const packed = await download(page, 'log-download-jsonl');
  const lines = gunzipSync(packed.bytes).toString().trim().split('\n').map(JSON.parse);
  assert.equal(lines[1].text, 'line 1');
  await page.getByTestId('log-download-gzip').uncheck();
  await page.keyboard.press('Escape');
  assert.equal(await what.isVisible(), false);
  await open(page, '?level=error');
  await page.keyboard.press('d');
  const text = (await download(page, 'log-download-text')).bytes.toString();
  assert.match(text, /^\S+Z {2}a\.c:1:1: error: first\n\S+Z {2}b\.c:2:2: error: second\n$/);
});

test('L23: the whole execution as one HTML file opens without network', { acceptDownloads: true }, async (page, context) => {
  await open(page);
  await page.keyboard.press('d');
  const { bytes, name } = await download(page, 'log-download-html');
  assert.match(name, /\.html$/);
  const other = await context.newPage();
  const asked = [];
  other.on('request', (request) => asked.push(request.url()));
  await other.setContent(bytes.toString());
  assert.equal(await other.locator('details').count(), 2);
  assert.equal(await other.locator('#L2 > span').textContent(), '<script>alert(1)</script>');
  await other.locator('summary').first().click();
  assert.equal(await other.locator('#L2').isVisible(), false);
  assert.deepEqual(asked.filter((url) => url.startsWith('http')), []);
  await other.close();
});

test('L20 K3: e and E go to errors over all steps, and say when they went round', {}, async (page) => {
  await open(page, '#L2');
  const at = () => page.evaluate(() => location.hash);
  await page.getByTestId('log-pane').focus();
  await page.keyboard.press('e');
  await until('the first error', async () => (await at()) === '#L3');
  await page.keyboard.press('e');
  await until('the second error', async () => (await at()) === '#L606');
  await page.keyboard.press('e');
  await until('round', async () => (await at()) === '#L3');
  await page.getByTestId('log-error-said').waitFor();
  await page.keyboard.press('Shift+E');
  await until('back round', async () => (await at()) === '#L606');
});

test('L25: the count says "no gaps" of an ended log alone', {}, async (page) => {
  await open(page);
  await page.getByTestId('log-whole').waitFor();
  const running = await rig.start('echo one; while [ ! -e go ]; do sleep 0.1; done; echo two', {
    working_directory: rig.storage,
  });
  await page.goto(`${rig.url}/executions/${running}`);
  await page.locator('.log-row:not(.pending)').first().waitFor();
  const meta = page.waitForResponse((answer) => answer.url().endsWith('/log/meta'));
  await page.reload();
  await meta;
  await page.locator('.log-row:not(.pending)').first().waitFor();
  assert.equal(await page.getByTestId('log-whole').count(), 0);
  await rig.run('cancel', running);
});

test('L13: times of the server’s clock and of UTC', {}, async (page) => {
  await open(page);
  await page.getByTestId('log-time').selectOption('utc');
  const first = (await rig.get(`/api/executions/${id}/log?limit=1`)).lines[0];
  const time = page.locator('.log-row[data-n="1"] .log-time');
  await until('UTC', async () => (await time.textContent()).includes(first.t.slice(11, 23)));
  const { utc_offset_min } = await rig.get(`/api/executions/${id}/log/meta`);
  await page.getByTestId('log-time').selectOption('server');
  const there = new Date(Date.parse(first.t) + utc_offset_min * 60_000).toISOString().slice(11, 23);
  await until('the server', async () => (await time.textContent()).includes(there));
  await page.reload();
  assert.equal(await page.getByTestId('log-time').inputValue(), 'server', 'kept per reader');
});

test('A3: new lines are said at most once in five seconds, and not when that is off', {}, async (page) => {
  await page.clock.install();
  const running = await rig.start('i=0; while [ ! -e stop ]; do i=$((i+1)); echo $i; sleep 0.05; done', {
    working_directory: rig.storage,
  });
  await page.goto(`${rig.url}/executions/${running}`);
  const said = page.getByTestId('log-status');
  await said.waitFor({ state: 'attached' });
  await page.evaluate(() => {
    globalThis.times = [];
    const status = document.querySelector('[data-testid="log-status"]');
    new MutationObserver(() => globalThis.times.push(Date.now())).observe(status, { childList: true, characterData: true, subtree: true });
  });
  // By the page's own clock, which runs faster than the script prints.
  const times = await until('it was said five times', async () => {
    await page.clock.runFor(500);
    const all = await page.evaluate(() => globalThis.times);
    return all.length >= 5 && all;
  });
  assert.match(await said.textContent(), /\d+ new lines/);
  for (let at = 1; at < times.length; at++) {
    const gap = times[at] - times[at - 1];
    assert.ok(gap >= 4_900, `${gap} ms after it was said, it is said again`);
  }
  await page.evaluate(() => localStorage.setItem('sf.announce', 'off'));
  await page.reload();
  await until('lines are there', async () => (await page.clock.runFor(1_000), /[1-9]/.test(await page.getByTestId('log-count').textContent())));
  await page.clock.runFor(20_000);
  assert.equal((await said.textContent()).trim(), '', 'it is off');
  await rig.run('cancel', running);
});
