// What a reader meets beside plain lines: fields, gaps, steps that a search has hit, a phone's tools,
// the palette of an open execution, the profile.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
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
    `echo STEP_START:Load; echo plain; echo '{"msg":"done","user":{"id":7,"roles":["admin"]},"ok":true}'; echo STEP_COMPLETE:Load
     echo STEP_START:Check; echo 'warning: needle'; echo needle; echo STEP_COMPLETE:Check`,
    { name: 'reading' },
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

test('L12: i opens a JSON line as a tree, goes on to other lines, and gives the focus back', {}, async (page) => {
  await open(page);
  await page.locator('.log-row[data-n="3"]').waitFor();
  await page.keyboard.press('i');
  const more = page.getByTestId('log-line');
  await more.locator('[data-path="$.user.roles[0]"]').getByText('"admin"').waitFor();
  await more.locator('[data-path="$.user"]').click();
  await until('it is closed', async () => (await more.locator('[data-path="$.user.id"]').count()) === 0);
  // The line itself stays as it was printed.
  assert.match(await page.locator('.log-row[data-n="3"] .log-text').textContent(), /^\{"msg":"done"/);
  await more.getByRole('button', { name: 'The line before' }).click();
  await more.getByText('plain', { exact: true }).waitFor();
  await page.keyboard.press('Escape');
  await until('it is gone', async () => (await more.count()) === 0);
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('data-testid')), 'log-pane');
});

test('L17: hits are counted at their steps', {}, async (page) => {
  await open(page, '?q=needle');
  const hits = page.locator('[data-testid="step-node"][data-index="1"] [data-testid="step-hits"]');
  await hits.getByText('2', { exact: true }).waitFor();
  assert.equal(await page.locator('[data-index="0"] [data-testid="step-hits"]').count(), 0);
  await page.keyboard.press('/');
  await page.keyboard.press('Escape');
  await until('they are gone', async () => (await hits.count()) === 0);
});

test('K1: the palette takes what is written while it opens, and knows the open execution', {}, async (page) => {
  await open(page);
  const link = rig.url + `/executions/${id}`;
  // Not a letter is waited for.
  await page.evaluate(() => {
    const press = (key, more = {}) =>
      document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...more }));
    press('k', { ctrlKey: true });
    for (const letter of 'che') press(letter);
  });
  const box = page.getByTestId('palette').getByRole('combobox');
  await until('the letters are there', async () => (await box.inputValue()) === 'che');
  await page.keyboard.type('ck');
  await until('the step is first', async () =>
    /Check/.test((await page.getByTestId('palette-item').first().textContent()) ?? ''));
  await page.keyboard.press('Enter');
  await page.waitForURL(`${link}#L5`);
  await page.keyboard.press('Control+k');
  await box.fill('run again');
  await until('it can be run again', async () =>
    /Run again$/m.test((await page.getByTestId('palette-item').first().innerText()) ?? ''));
});

test('L2 L25: lost output is a row of its own, with its reason', {}, async (page) => {
  const lost = await rig.start('echo STEP_START:Work; echo one; sleep 60', { name: 'lost' });
  await page.goto(`${rig.url}/executions/${lost}`);
  await page.locator('.log-row[data-n="2"]:not(.pending)').waitFor();
  const keepers = readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      return words.includes('__record') && words.includes(lost);
    } catch {
      return false;
    }
  });
  assert.ok(keepers.length > 0);
  for (const pid of keepers) process.kill(Number(pid), 'SIGKILL');
  await until('it is lost', async () => (await page.getByTestId('exec-status').getAttribute('data-look')) === 'lost');
  const row = page.getByTestId('log-gap');
  await row.getByText('Output may be missing here').waitFor();
  // It is no line: numbers stay, and the rows do not overlap.
  assert.equal(await page.getByTestId('log-count').textContent(), '2 lines');
  const [line, gap] = await Promise.all([
    page.locator('.log-row[data-n="2"] .log-text').boundingBox(),
    row.boundingBox(),
  ]);
  assert.ok(gap.y >= line.y + line.height - 4, `${gap.y} ${line.y}`);
});

test('A7: below 600 px the tools are one menu', { viewport: { width: 360, height: 740 } }, async (page) => {
  await open(page);
  await until('they are folded', async () => !(await page.getByTestId('log-time').isVisible()));
  assert.equal(await page.getByTestId('log-wrap').isVisible(), false);
  await page.getByTestId('log-menu').locator('summary').click();
  await page.getByTestId('log-menu-time').selectOption('utc');
  await page.locator('.log-row[data-n="2"] .log-time').getByText(/^\d\d:\d\d:\d\d\.\d{3}$/).waitFor();
  await page.getByTestId('log-menu-wrap').uncheck();
  await until('lines do not wrap', async () => (await page.locator('.log-pane.wrapped').count()) === 0);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `${wide} px too wide`);
});

test('U8: the profile keeps how times are written and how a log is read', { timezoneId: 'Asia/Shanghai' }, async (page) => {
  await page.goto(`${rig.url}/settings/profile`);
  await page.getByTestId('set-moments').selectOption('utc');
  await page.getByTestId('set-moments-now').getByText(/UTC/).first().waitFor();
  await page.getByTestId('set-log-time').selectOption('relative');
  await page.getByTestId('set-wrap').check();
  await page.getByTestId('set-contrast').uncheck();
  await page.getByTestId('set-announce').selectOption('off');
  const { execution } = await rig.get(`/api/executions/${id}?logs=0`);
  await page.goto(`${rig.url}/executions`);
  await page.locator('[data-testid="exec-row"] time').first().getByText(/UTC$/).waitFor();
  const written = await page.locator(`time[datetime="${execution.started_at}"]`).first().textContent();
  assert.match(written, new RegExp(`${execution.started_at.slice(11, 16)}\\sUTC$`));
  await page.goto(`${rig.url}/executions/${id}`);
  await page.locator('.log-pane.wrapped .log-time').first().waitFor();
  assert.equal(await page.getByTestId('log-time').inputValue(), 'relative');
});

test('U4: a type of artifact is looked for among older ones, and it is said how far', {}, async (page) => {
  const many = await rig.start(
    'touch old.csv; echo a,b > old.csv; echo ARTIFACT:old.csv:Old; for i in $(seq 1 120); do echo $i > n$i.txt; echo "ARTIFACT:n$i.txt:N"; done',
    { working_directory: rig.storage },
  );
  await rig.end(many);
  await until('all are kept', async () => (await rig.get(`/api/executions/${many}?logs=0`)).artifacts.length === 121);
  await page.goto(`${rig.url}/artifacts?type=table`);
  await page.getByTestId('file-row').getByText('old.csv').waitFor();
  await page.getByTestId('files-looked').getByText('1 of all 121 artifacts are of this type.').waitFor();
});

test('L12: the line that is opened stays in view above what is opened', {}, async (page) => {
  const last = await rig.start(`for i in $(seq 1 200); do echo "line $i"; done; echo '{"a":{"b":1}}'`, { name: 'last' });
  await rig.end(last);
  // The key is pressed while the line's text is still on its way.
  let pressed;
  const sent = new Promise((resolve) => (pressed = resolve));
  await page.route('**/log?*', async (route) => {
    await sent;
    await route.continue();
  });
  await page.goto(`${rig.url}/executions/${last}#L201`);
  await page.locator('.log-row[data-n="201"].hl').waitFor();
  await page.keyboard.press('i');
  pressed();
  await page.getByTestId('log-line').locator('[data-path="$.a.b"]').waitFor();
  await until('it is in view', async () => {
    const [line, pane] = await Promise.all([
      page.locator('.log-row[data-n="201"]').boundingBox(),
      page.getByTestId('log-pane').boundingBox(),
    ]);
    return line !== null && line.y >= pane.y && line.y + line.height <= pane.y + pane.height + 1;
  });
});
