import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { cspReports, launch, openPage } from './browser.mjs';
import { Rig, until } from './server.mjs';

let browser;
let rig;
before(async () => {
  browser = await launch();
  rig = new Rig();
  await rig.serve();
});
after(async () => {
  await browser?.close();
  await rig?.close();
});

/** A page, and at its end the proof that nothing forbidden happened on it. */
function test(name, options, body) {
  it(name, async () => {
    const { context, page, faults } = await openPage(browser, options);
    try {
      await body(page);
      assert.deepEqual(await cspReports(page), [], 'reports of the content security policy');
      assert.deepEqual(faults, [], 'errors on the page');
    } finally {
      await context.close();
    }
  });
}

const row = (page, id) => page.locator(`[data-testid="exec-row"][data-id="${id}"]`);
const count = async (page) =>
  Number((await page.getByTestId('log-count').textContent()).replace(/\D/g, ''));

/** The lines in view by number, in order. */
const shown = (page) =>
  page.$$eval('[data-testid="log-row"]', (rows) =>
    rows
      .filter((r) => !r.classList.contains('pending'))
      .map((r) => [Number(r.dataset.n), r.querySelector('.log-text').textContent])
      .sort((a, b) => a[0] - b[0]),
  );

/** All lines, read by walking through the log from the top. */
async function walk(page) {
  const lines = new Map();
  const pane = page.getByTestId('log-pane');
  await pane.focus();
  await page.keyboard.press('Home');
  await page.locator('[data-testid="log-row"][data-n="1"]').waitFor();
  for (let steps = 0; steps < 400; steps++) {
    await until('rows are filled', () =>
      page.evaluate(() => document.querySelector('.log-row.pending') === null),
    );
    for (const [n, text] of await shown(page)) lines.set(n, text);
    const atEnd = await pane.evaluate((p) => {
      const before = p.scrollTop;
      p.scrollTop += p.clientHeight;
      return p.scrollTop === before;
    });
    if (atEnd) break;
    await page.evaluate(() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r))));
  }
  return lines;
}

describe('dashboard', () => {
  test('U1 X4: shows executions that start while it is open, from the API and from a terminal', {}, async (page) => {
    await page.goto(rig.url);
    await until('live', () => page.locator('[data-testid="conn-state"][data-state="live"]').count());
    const id = await rig.start('echo STEP_START:One; sleep 1; echo STEP_COMPLETE:One', { name: 'from-api' });
    await row(page, id).waitFor();
    const run = rig.run('run', '--name', 'from-terminal', '--output', 'quiet', '--', 'sh', '-c', 'sleep 1; exit 3');
    await page.getByText('from-terminal').waitFor();
    assert.equal((await run).code, 3);
    await until('both ended', async () => {
      const status = await page.$$eval('[data-testid="exec-row"]', (rows) => rows.map((r) => r.dataset.status));
      return status.includes('completed') && status.includes('failed');
    });
  });

  test('starts an execution from its dialog and opens it', {}, async (page) => {
    await page.goto(rig.url);
    await page.getByTestId('new-execution').click();
    await page.waitForFunction(() => document.activeElement?.closest('dialog') !== null);
    await page.keyboard.type('echo "a" | tr a b; echo $WORD');
    await page.getByLabel('Environment').fill('WORD=hello world');
    await page.getByTestId('new-start').click();
    await page.waitForURL(/\/executions\/.+/);
    await page.getByText('hello world', { exact: true }).waitFor();
    const status = page.getByTestId('exec-status');
    await until('completed', async () => (await status.getAttribute('data-look')) === 'completed');
  });
});

describe('execution', () => {
  test('U3 X4: shows steps, lines and the end as they come', {}, async (page) => {
    const id = await rig.start(
      'echo STEP_START:Build; echo one; sleep 1; echo two; echo STEP_COMPLETE:Build;' +
        'echo STEP_START:Check; printf half; sleep 1; echo; echo STEP_ERROR:went wrong; exit 4',
    );
    await page.goto(`${rig.url}/executions/${id}`);
    await page.getByText('one', { exact: true }).waitFor();
    await page.locator('[data-testid="step-node"][data-index="0"][data-status="running"]').waitFor();
    await page.locator('[data-testid="step-node"][data-index="0"][data-status="completed"]').waitFor();
    await page.getByText('half', { exact: true }).waitFor();
    await page.locator('[data-testid="step-node"][data-index="1"][data-status="failed"]').waitFor();
    await until('failed', async () => (await page.getByTestId('exec-status').getAttribute('data-look')) === 'failed');
    await rig.end(id);
    assert.equal(await count(page), 7);
    await page.getByText('went wrong', { exact: true }).first().waitFor();
    await page.locator('[data-testid="step-node"][data-index="1"]').click();
    await page.waitForURL(/#L5$/);
    await page.locator('.log-row.hl[data-n="5"]').waitFor();
  });

  test('U3: cancels, and kills at the second press', {}, async (page) => {
    const id = await rig.start("trap '' TERM; echo ready; while :; do sleep 0.2; done");
    await page.goto(`${rig.url}/executions/${id}`);
    await page.getByText('ready', { exact: true }).waitFor();
    await page.getByTestId('cancel').click();
    const kill = page.getByRole('button', { name: 'Kill now' });
    await kill.waitFor();
    await Promise.all([page.waitForRequest(/\/cancel$/), kill.click()]);
    const end = await rig.end(id);
    assert.equal(end.status, 'cancelled');
    await until('shown', async () => (await page.getByTestId('exec-status').getAttribute('data-look')) === 'cancelled');
  });

  test('offers artifacts for download', {}, async (page) => {
    const id = await rig.start('printf "a report" > report.txt; echo "ARTIFACT:report.txt:The report"', {
      working_directory: rig.storage,
    });
    await rig.end(id);
    await page.goto(`${rig.url}/executions/${id}?tab=artifacts`);
    const download = page.waitForEvent('download');
    await page.getByTestId('artifact-link').click();
    const stream = await (await download).createReadStream();
    let text = '';
    for await (const chunk of stream) text += chunk;
    assert.equal(text, 'a report');
  });

  test('shows markup and names of a script as text', {}, async (page) => {
    const evil = '<img src=x onerror="document.title=1"><script>alert(1)</script>';
    const id = await rig.start(
      `printf '%s\\n' 'STEP_START:${evil}' '${evil}' 'META:${evil}:${evil}' "$(printf '\\033]8;;javascript:alert(1)\\007x\\033]8;;\\007')"`,
      { name: evil, tags: [evil], environment: { EVIL: evil }, metadata: { [evil]: evil } },
    );
    await rig.end(id);
    for (const path of ['/', '/executions', `/executions/${id}`, `/executions/${id}?tab=details`]) {
      await page.goto(rig.url + path);
      await page.getByText('<img src=x').first().waitFor();
      assert.equal(await page.locator('img').count(), 0);
      assert.notEqual(await page.title(), '1');
      assert.deepEqual(await cspReports(page), []);
    }
  });

  test('T5 X2: catches up without gap or repeat when the server is killed and comes back', {}, async (page) => {
    const lines = 300;
    const id = await rig.start(`i=1; while [ $i -le ${lines} ]; do echo "line $i"; i=$((i+1)); sleep 0.02; done`);
    await page.goto(`${rig.url}/executions/${id}`);
    await until('some lines', async () => (await count(page)) > 20);
    const { port } = rig;
    await rig.kill();
    await page.locator('[data-testid="conn-state"][data-state="reconnecting"]').waitFor();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await rig.serve({ port });
    await page.locator('[data-testid="conn-state"][data-state="live"]').waitFor({ timeout: 20_000 });
    await rig.end(id);
    await until('all lines', async () => (await count(page)) === lines);
    await until('the end', async () => (await page.getByTestId('exec-status').getAttribute('data-look')) === 'completed');
    await page.getByText(`line ${lines}`, { exact: true }).waitFor();
    const found = await walk(page);
    const expected = Array.from({ length: lines }, (_, i) => [i + 1, `line ${i + 1}`]);
    assert.deepEqual([...found].sort((a, b) => a[0] - b[0]), expected);
  });
});

describe('log', () => {
  const LINES = 200_000;
  let long;
  before(async () => {
    long = await rig.start(`seq -f 'line %.0f' 1 ${LINES}`);
    await rig.end(long);
  });

  test('of 200,000 lines: any line is reached and few nodes are mounted', {}, async (page) => {
    await page.goto(`${rig.url}/executions/${long}`);
    await page.getByText('line 1', { exact: true }).waitFor();
    const pane = page.getByTestId('log-pane');
    await pane.focus();
    await page.keyboard.press('End');
    await page.getByText(`line ${LINES}`, { exact: true }).waitFor();
    await page.keyboard.press('Home');
    await page.getByText('line 1', { exact: true }).waitFor();
    for (let at = 1; at <= 10; at++) {
      await pane.evaluate((p, share) => (p.scrollTop = p.scrollHeight * share), at / 11);
      await until('rows are filled', () =>
        page.evaluate(() => document.querySelector('.log-row.pending') === null),
      );
      for (const [n, text] of await shown(page)) assert.equal(text, `line ${n}`);
      const nodes = await pane.evaluate((p) => p.querySelectorAll('*').length);
      assert.ok(nodes <= 700, `${nodes} nodes`);
    }
  });

  test('L16: opens at a line and marks it', {}, async (page) => {
    await page.goto(`${rig.url}/executions/${long}#L123456`);
    await page.locator('.log-row.hl[data-n="123456"]').waitFor();
    await page.getByText('line 123456', { exact: true }).waitFor();
    await page.locator('.log-row[data-n="123460"] .log-n').click();
    await page.waitForURL(/#L123460$/);
  });

  test('L6 L7: follows until the reader scrolls, and again when asked', {}, async (page) => {
    const id = await rig.start('i=1; while [ $i -le 600 ]; do echo "line $i"; i=$((i+1)); sleep 0.02; done');
    await page.goto(`${rig.url}/executions/${id}`);
    const follow = page.getByTestId('log-follow');
    const following = async (wanted) =>
      until(`follow is ${wanted}`, async () => (await follow.getAttribute('aria-pressed')) === String(wanted));
    await until('a page of lines', async () => (await count(page)) > 80);
    await following(true);
    await page.getByTestId('log-pane').hover();
    await page.mouse.wheel(0, -600);
    await following(false);
    const top = () => page.getByTestId('log-pane').evaluate((p) => p.scrollTop);
    await new Promise((resolve) => setTimeout(resolve, 400));
    const before = await top();
    await page.getByTestId('log-pill').waitFor();
    const seen = await count(page);
    await until('more lines', async () => (await count(page)) > seen + 20);
    assert.equal(await top(), before, 'the view stays where it is');
    await page.getByTestId('log-pill').click();
    await following(true);
    await page.getByText('line 600', { exact: true }).waitFor({ timeout: 30_000 });
  });
});

describe('appearance', () => {
  for (const [width, locale] of [[360, 'en-GB'], [360, 'zh-CN'], [768, 'zh-CN'], [1280, 'zh-CN'], [2560, 'en-GB']]) {
    test(`A7: nothing is wider than ${width} px in ${locale}`, { viewport: { width, height: 740 }, locale }, async (page) => {
      const id = await rig.start('echo STEP_START:A-name-without-a-single-space-that-is-longer-than-a-phone-is-wide; seq 1 300', {
        name: 'a-name-without-a-single-space-that-is-longer-than-a-phone-is-wide',
      });
      await rig.end(id);
      const paths = ['/', '/executions', '/login', '/nothing', ...['', '?tab=artifacts', '?tab=annotations', '?tab=details'].map((q) => `/executions/${id}${q}`)];
      for (const path of paths) {
        await page.goto(rig.url + path);
        await page.locator('h1').waitFor();
        const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert.equal(over, 0, path);
      }
    });
  }

  test('A4: nothing moves for who wants no motion', { reducedMotion: 'reduce' }, async (page) => {
    const id = await rig.start('echo STEP_START:Runs; sleep 30');
    for (const path of ['/', '/executions', `/executions/${id}`]) {
      await page.goto(rig.url + path);
      await page.locator('h1').waitFor();
      await page.getByText('Running').first().waitFor();
      const moving = await page.evaluate(() =>
        document.getAnimations().filter((one) => one.playState === 'running' && one.effect.getComputedTiming().duration > 1).length,
      );
      assert.equal(moving, 0, path);
    }
    await rig.post(`/api/executions/${id}/cancel`, {});
  });

  test('A5: changes the language without a reload', {}, async (page) => {
    await page.goto(rig.url);
    await page.getByRole('heading', { level: 1, name: 'Dashboard' }).waitFor();
    await page.evaluate(() => (globalThis.here = true));
    await page.getByTestId('language').selectOption('zh-CN');
    await page.getByRole('heading', { level: 1, name: '概览' }).waitFor();
    assert.equal(await page.getAttribute('html', 'lang'), 'zh-CN');
    assert.equal(await page.evaluate(() => globalThis.here), true);
  });
});

describe('old links', () => {
  test('lead to the new pages', {}, async (page) => {
    await page.goto(`${rig.url}/history?status=failed`);
    await page.waitForURL(/\/executions\?status=failed$/);
    const id = '0198c2aa-0000-7000-8000-000000000001';
    await page.goto(`${rig.url}/execution?id=${id}#L3`);
    await page.waitForURL(new RegExp(`/executions/${id}#L3$`));
  });
});
