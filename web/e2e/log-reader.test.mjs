// A reader at work in the log: what the other files of the log leave out.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, it } from 'node:test';
import { cspReports, launch, openPage } from './browser.mjs';
import { Rig, until } from './server.mjs';

let browser;
let rig;
let mixed;
before(async () => {
  browser = await launch();
  rig = new Rig();
  await rig.serve();
  mixed = await rig.start(
    `echo STEP_START:One; for i in $(seq 1 80); do echo "one $i"; done; echo 'a.c:1:1: error: first'; echo STEP_COMPLETE:One
     echo STEP_START:Two; for i in $(seq 1 300); do echo "two $i"; done; printf '\\033[31mred \`tick\`\\033[0m end\\n'
     echo 'warning: careful' >&2; echo 'time="now" level=info msg="a b"'; echo STEP_COMPLETE:Two`,
    { name: 'mixed', split_stderr: true },
  );
  await rig.end(mixed);
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

const pane = (page) => page.getByTestId('log-pane');
const row = (page, n) => page.locator(`[data-testid="log-row"][data-n="${n}"]`);
const follow = async (page) => (await page.getByTestId('log-follow').getAttribute('aria-pressed')) === 'true';
/** The first line in view, and how many pixels of it are out of it. */
const top = (page) =>
  page.evaluate(() => {
    const box = document.querySelector('[data-testid="log-pane"]').getBoundingClientRect();
    const rows = [...document.querySelectorAll('[data-testid="log-row"]')]
      .map((one) => ({ n: Number(one.dataset.n), box: one.getBoundingClientRect() }))
      .filter((one) => one.box.bottom > box.top + 1)
      .sort((a, b) => a.box.top - b.box.top);
    return [rows[0].n, Math.round(rows[0].box.top - box.top)];
  });
const open = async (page, place = '') => {
  await page.goto(`${rig.url}/executions/${mixed}${place}`);
  await page.locator('.log-row:not(.pending)').first().waitFor();
};
const lineOf = async (text) => {
  const { lines } = await rig.get(`/api/executions/${mixed}/log?limit=1000`);
  return lines.find((line) => line.text.includes(text)).n;
};

test('L2 L19: numbers are those of the whole log, also in what a filter leaves', {}, async (page) => {
  await open(page, '?level=error,warning');
  const wanted = [await lineOf('error: first'), await lineOf('warning: careful')];
  await until('the two lines', async () => {
    const found = await page.$$eval('[data-testid="log-row"]:not(.pending)', (rows) => rows.map((one) => [Number(one.dataset.n), one.querySelector('.log-n').textContent]));
    assert.deepEqual(found, wanted.map((n) => [n, String(n)]));
    return true;
  });
  // What is left out is said where it is, and opens there.
  const skip = row(page, wanted[1]).getByRole('button', { name: /left out|hidden|skipped/i }).or(row(page, wanted[1]).locator('.log-skip'));
  assert.equal(Number((await skip.first().textContent()).replace(/\D/g, '')), wanted[1] - wanted[0] - 1);
  await skip.first().click();
  await row(page, wanted[1] - 1).waitFor();
});

test('L1 L21: unfolding restores the very place, in one scroll area', {}, async (page) => {
  await open(page, '#L150');
  await row(page, 150).waitFor();
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  const before = await top(page);
  await page.locator('.menu summary').click();
  await page.getByRole('button', { name: 'Fold all steps', exact: true }).click();
  await until('folded', async () => (await row(page, 150).count()) === 0);
  await page.getByRole('button', { name: 'Unfold all steps', exact: true }).click();
  await row(page, 150).waitFor();
  await until('at the very place', async () => {
    assert.deepEqual(await top(page), before);
    return true;
  });
  const scrollers = await page.evaluate(() =>
    [...document.querySelectorAll('.log *')].filter((one) => one.scrollHeight > one.clientHeight + 1 && /auto|scroll/.test(getComputedStyle(one).overflowY)).length,
  );
  assert.equal(scrollers, 1);
});

test('L3: at most twenty rows are mounted either side of the view', {}, async (page) => {
  await open(page, '#L200');
  await row(page, 200).waitFor();
  const [mounted, inView] = await page.evaluate(() => {
    const box = document.querySelector('[data-testid="log-pane"]').getBoundingClientRect();
    const rows = [...document.querySelectorAll('[data-testid="log-row"]')].map((one) => one.getBoundingClientRect());
    return [rows.length, rows.filter((one) => one.bottom > box.top && one.top < box.bottom).length];
  });
  assert.ok(mounted > inView && mounted <= inView + 40, `${mounted} are mounted, ${inView} in view`);
});

test('L5: a line in the address wins, a run that passed opens at its top, a running one follows', {}, async (page) => {
  const failed = await rig.start('seq 1 200; echo STEP_START:Bad; seq 1 200; echo "error: late"; echo STEP_ERROR:no; exit 1');
  await rig.end(failed);
  await page.goto(`${rig.url}/executions/${failed}`);
  await row(page, 402).waitFor();
  await page.goto(rig.url);
  await page.goto(`${rig.url}/executions/${failed}#L20`);
  await row(page, 20).waitFor();
  await page.waitForFunction(() => new Promise((done) => setTimeout(() => done(true), 300)));
  assert.equal(await row(page, 20).isVisible(), true, 'nothing takes the view away again');
  await open(page);
  assert.deepEqual(await top(page), [1, 0]);
  assert.equal(await follow(page), false);
  const running = await rig.start('seq 1 300; sleep 30');
  await page.goto(`${rig.url}/executions/${running}`);
  await row(page, 300).waitFor();
  await until('it follows', () => follow(page));
  await rig.post(`/api/executions/${running}/cancel`, {});
});

test('L6 L18: keys of the log work while a number in it has the focus', {}, async (page) => {
  const id = await rig.start('seq 1 400; sleep 30');
  await page.goto(`${rig.url}/executions/${id}`);
  await row(page, 400).waitFor();
  await row(page, 390).locator('.log-n').click();
  await until('a line link turns it off', async () => !(await follow(page)));
  await page.keyboard.press('End');
  await until('End turns it on', () => follow(page));
  await page.keyboard.press('Home');
  await row(page, 1).waitFor();
  await until('Home turns it off', async () => !(await follow(page)));
  await page.keyboard.press('Control+f');
  const box = page.getByRole('searchbox', { name: 'Search the whole log' });
  assert.equal(await box.evaluate((node) => node === document.activeElement), true);
  await rig.post(`/api/executions/${id}/cancel`, {});
});

test('L8: a step that the reader has touched is left as it is', {}, async (page) => {
  const go = join(rig.storage, 'go-touched');
  const id = await rig.start(`echo STEP_START:Touched; echo inside touched; while [ ! -e ${go} ]; do sleep 0.05; done; echo STEP_COMPLETE:Touched; echo STEP_START:Next; sleep 30`);
  await page.goto(`${rig.url}/executions/${id}`);
  const inside = page.getByText('inside touched', { exact: true });
  await inside.waitFor();
  await row(page, 1).getByRole('button', { name: 'Fold the step' }).click();
  await inside.waitFor({ state: 'detached' });
  await row(page, 1).getByRole('button', { name: 'Unfold the step' }).click();
  await inside.waitFor();
  await page.getByTestId('log-follow').click();
  writeFileSync(go, '');
  await page.locator('[data-testid="step-node"][data-index="0"][data-status="completed"]').waitFor();
  await page.locator('[data-testid="log-row"][data-step="running"]').waitFor();
  assert.equal(await inside.count(), 1, 'it stays open');
  await rig.post(`/api/executions/${id}/cancel`, {});
});

test('L14: standard error has an edge and a filter of its own', {}, async (page) => {
  const n = await lineOf('warning: careful');
  await open(page, `#L${n}`);
  await row(page, n).waitFor();
  const edge = (line) => row(page, line).locator('.log-n').evaluate((node) => getComputedStyle(node).borderLeftColor);
  assert.notEqual(await edge(n), await edge(n - 1));
  await page.getByTestId('log-stderr').click();
  await page.waitForURL(/stream=stderr/);
  await until('it alone', async () => (await page.locator('[data-testid="log-row"]:not(.pending)').count()) === 1);
  await row(page, n).waitFor();
});

test('L12: fields of logfmt open by a press, and the line stays as printed', {}, async (page) => {
  const n = await lineOf('level=info');
  await open(page, `#L${n}`);
  await row(page, n).getByRole('button', { name: 'Show the fields' }).click();
  const fields = page.getByTestId('log-line');
  await fields.getByText('a b', { exact: true }).waitFor();
  assert.equal(await row(page, n).locator('.log-text').textContent(), 'time="now" level=info msg="a b"');
});

test('L16: a line that does not exist yet is waited for', {}, async (page) => {
  const go = join(rig.storage, 'go-wait');
  const id = await rig.start(`seq 1 50; while [ ! -e ${go} ]; do sleep 0.05; done; seq 51 300; sleep 30`);
  await page.goto(`${rig.url}/executions/${id}#L280`);
  await page.getByText('Line 280 does not exist yet.').waitFor();
  assert.equal(await row(page, 280).count(), 0);
  writeFileSync(go, '');
  await page.locator('.log-row.hl[data-n="280"]').waitFor();
  await rig.post(`/api/executions/${id}/cancel`, {});
});

test('L17: new lines are searched as they come, going round is said, a case can be asked for', {}, async (page) => {
  const go = join(rig.storage, 'go-search');
  const id = await rig.start(`echo Needle; while [ ! -e ${go} ]; do sleep 0.05; done; echo hay; echo needle; sleep 30`);
  await page.goto(`${rig.url}/executions/${id}`);
  await row(page, 1).waitFor();
  const box = page.getByRole('searchbox', { name: 'Search the whole log' });
  await box.fill('needle');
  const hits = page.getByTestId('log-hits');
  await hits.getByText(/of 1$/).waitFor();
  writeFileSync(go, '');
  await hits.getByText(/of 2$/).waitFor();
  await box.focus();
  await page.keyboard.press('Enter');
  await page.locator('[data-n="3"] .log-hit.current').waitFor();
  assert.equal(await page.getByTestId('log-wrapped').count(), 0);
  await page.keyboard.press('F3');
  await page.getByTestId('log-wrapped').waitFor();
  await page.locator('[data-n="1"] .log-hit.current').waitFor();
  await page.getByRole('button', { name: 'Match case' }).or(page.locator('.search button', { hasText: 'Aa' })).first().click();
  await hits.getByText(/of 1$/).waitFor();
  await rig.post(`/api/executions/${id}/cancel`, {});
});

test('L17: what is folded or filtered away is searched, and a hit in it is shown', {}, async (page) => {
  await open(page, '#L1');
  await page.locator('.menu summary').click();
  await page.getByRole('button', { name: 'Fold all steps', exact: true }).click();
  await until('folded', async () => (await row(page, 10).count()) === 0);
  await page.locator('.menu summary').click();
  await page.getByRole('searchbox', { name: 'Search the whole log' }).fill('two 299');
  await page.locator('.log-hit.current').waitFor();
  assert.equal(await row(page, await lineOf('two 299')).locator('.log-hit').textContent(), 'two 299');
});

test('L22: copied as it was printed, with colours, or as a block that no line can end', { permissions: ['clipboard-read', 'clipboard-write'] }, async (page) => {
  const n = await lineOf('red');
  await open(page, `#L${n}`);
  await row(page, n).waitFor();
  const clip = () => page.evaluate(() => navigator.clipboard.readText());
  const copy = async (name) => {
    await page.locator('.menu summary').click();
    await page.getByRole('button', { name, exact: true }).click();
    await page.keyboard.press('Escape');
  };
  await copy('Copy lines');
  await until('plain', async () => (await clip()) === 'red `tick` end');
  await copy('Copy lines with colours (ANSI)');
  await until('ANSI', async () => (await clip()) === '\x1b[31mred `tick`\x1b[0m end');
  await copy('Copy as a Markdown block');
  await until('Markdown', async () => (await clip()) === '```\nred `tick` end\n```\n');
  await copy('Copy lines with times');
  await until('times', async () => /^\d{4}-\d\d-\d\dT\S+Z red `tick` end$/.test(await clip()));
  await copy('Copy the link');
  await until('the link', async () => (await clip()) === page.url());
});

test('L22: where the clipboard is not allowed the text is there to be copied by hand', {}, async (page) => {
  await page.addInitScript(() => {
    Object.defineProperty(navigator, 'clipboard', { value: undefined });
  });
  const n = await lineOf('red');
  await open(page, `#L${n}-L${n + 1}`);
  await row(page, n).waitFor();
  await pane(page).focus();
  await page.keyboard.press('c');
  const area = page.getByRole('dialog', { name: /copy/i }).locator('textarea');
  await area.waitFor();
  // Which of the two streams comes first is not said.
  const next = (await rig.get(`/api/executions/${mixed}/log?limit=1000`)).lines.find((line) => line.n === n + 1);
  const text = `red \`tick\` end\n${next.text}`;
  assert.equal(await area.inputValue(), text);
  assert.equal(await area.evaluate((node) => node === document.activeElement && node.selectionEnd - node.selectionStart), text.length);
});

test('L13: neither numbers nor times can be selected', {}, async (page) => {
  await open(page);
  await page.getByTestId('log-time').selectOption('utc');
  const time = row(page, 2).locator('.log-time');
  await time.waitFor();
  for (const part of [time, row(page, 2).locator('.log-n')]) {
    assert.equal(await part.evaluate((node) => getComputedStyle(node).userSelect), 'none');
  }
});

test('L20: the ruler leads to hits, and its marks are told in words', {}, async (page) => {
  await open(page, '?q=two+299');
  const n = await lineOf('two 299');
  await page.getByTestId('log-hits').getByText(/of 1$/).waitFor();
  await page.getByText(/1 error.*1 warning.*1/i).first().waitFor({ state: 'attached' });
  const ruler = page.getByTestId('log-ruler');
  const box = await ruler.boundingBox();
  const { lines } = await rig.get(`/api/executions/${mixed}/log/meta`);
  await ruler.click({ position: { x: 5, y: ((n - 1) / lines) * box.height } });
  await row(page, n).waitFor();
});

test('L25: the count names the gaps of a log and leads to the first one', {}, async (page) => {
  await page.route('**/log/meta', async (route) => {
    const body = await (await route.fetch()).json();
    body.gaps = [{ line: 200, bytes: 4096, reason: 'recovered', message: 'the disk was full' }];
    await route.fulfill({ json: body });
  });
  await open(page);
  const gaps = page.getByTestId('log-gaps');
  await gaps.waitFor();
  assert.equal(await page.getByTestId('log-whole').count(), 0);
  assert.match(await gaps.getAttribute('title'), /the disk was full/);
  await gaps.click();
  await row(page, 200).waitFor();
});

test('U3: the head says how much time is usually left, and how an end compares', {}, async (page) => {
  for (let turn = 0; turn < 2; turn++) await rig.end(await rig.start('sleep 1', { name: 'usual' }));
  const running = await rig.start('sleep 1; while [ ! -e go ]; do sleep 0.1; done', { name: 'usual', working_directory: rig.storage });
  await page.goto(`${rig.url}/executions/${running}`);
  const head = page.getByTestId('exec-usual');
  await head.getByText(/^longer than usual by \d/).waitFor();
  await rig.start('touch go', { working_directory: rig.storage });
  await rig.end(running);
  await head.getByText(/slower$/).waitFor();
});

test('U3: of many steps the tree opens at the one that failed', {}, async (page) => {
  const many = await rig.start(
    'for i in $(seq 1 80); do echo "STEP_START:Step $i"; [ $i = 70 ] && echo "STEP_ERROR:no"; echo "STEP_COMPLETE:Step $i"; done; exit 1',
    { name: 'many' },
  );
  await rig.end(many);
  await page.goto(`${rig.url}/executions/${many}`);
  const node = page.locator('[data-testid="step-node"][data-index="69"][data-status="failed"]');
  await node.waitFor();
  await until('it is in view', () => node.evaluate((one) => {
    const box = one.getBoundingClientRect();
    const view = one.closest('.scroll').getBoundingClientRect();
    return box.top >= view.top && box.bottom <= view.bottom;
  }));
});
