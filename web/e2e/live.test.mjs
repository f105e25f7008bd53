// What breaks while one watches: connections that are cut, a tab that sleeps, no network. Afterwards
// every line is there, once, in its place.
import assert from 'node:assert/strict';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, it } from 'node:test';
import { proxy } from './between.mjs';
import { cspReports, launch, openPage } from './browser.mjs';
import { Rig, until } from './server.mjs';

let browser;
let rig;
let between;
before(async () => {
  browser = await launch();
  rig = new Rig();
  await rig.serve();
  between = await proxy(() => rig.url);
});
after(async () => {
  between?.close();
  await browser?.close();
  await rig?.close();
});

function test(name, body) {
  it(name, async () => {
    const { context, page, faults } = await openPage(browser);
    try {
      await body(page, context);
      assert.deepEqual(await cspReports(page), [], 'reports of the content security policy');
      assert.deepEqual(faults, [], 'errors on the page');
    } finally {
      await context.close();
    }
  });
}

const count = async (page) => Number((await page.getByTestId('log-count').textContent()).replace(/\D/g, ''));
const state = (page, kind) =>
  page.locator(`[data-testid="conn-state"][data-state="${kind}"]`).waitFor({ timeout: 20_000 });

let scripts = 0;
/** A script that prints lines when it is told to. */
async function speaker() {
  scripts += 1;
  const at = (file) => join(rig.storage, `speaker-${scripts}-${file}`);
  const here = scripts;
  const id = await rig.start(
    `k=1; n=0; while [ ! -e ${at('stop')} ]; do if [ -e ${at('b')}$k ]; then read c < ${at('b')}$k; i=0; ` +
      'while [ $i -lt $c ]; do i=$((i+1)); n=$((n+1)); echo "line $n"; done; k=$((k+1)); else sleep 0.02; fi; done',
    { name: `speaker-${here}` },
  );
  let bursts = 0;
  let total = 0;
  return {
    id,
    say(lines) {
      bursts += 1;
      total += lines;
      const file = (name) => join(rig.storage, `speaker-${here}-${name}`);
      writeFileSync(file('new'), `${lines}\n`);
      renameSync(file('new'), file(`b${bursts}`));
      return total;
    },
    recorded: () =>
      until('the server has it', async () => (await rig.get(`/api/executions/${id}?logs=0`)).execution.lines === total),
    async end() {
      writeFileSync(join(rig.storage, `speaker-${here}-stop`), '');
      await rig.end(id);
    },
  };
}

/** Every line in view is the one that its number says, and the last of `total` is among them. */
const right = (page, total) =>
  until(`line ${total} is in view, and all are right`, async () => {
    const rows = await page.$$eval('[data-testid="log-row"]', (all) =>
      all.map((row) => [row.classList.contains('pending'), Number(row.dataset.n), row.querySelector('.log-text').textContent]),
    );
    for (const [pending, n, text] of rows) if (!pending) assert.equal(text, `line ${n}`);
    const numbers = rows.map(([, n]) => n).sort((a, b) => a - b);
    assert.ok(numbers.every((n, at) => at === 0 || n === numbers[at - 1] + 1), `numbers follow one another: ${numbers}`);
    return rows.every(([pending]) => !pending) && numbers.at(-1) === total && (await count(page)) === total;
  });

/** All lines from the top to the end, as the page shows them. */
async function walk(page, total) {
  const pane = page.getByTestId('log-pane');
  await pane.focus();
  await page.keyboard.press('Home');
  // What was in view stays mounted until the next frame: the walk begins where line 1 is.
  await page.locator('[data-testid="log-row"][data-n="1"]').waitFor();
  const lines = new Map();
  for (let step = 0; step < 400 && !lines.has(total); step++) {
    await until('rows are filled', () => page.evaluate(() => document.querySelector('.log-row.pending') === null));
    const rows = await page.$$eval('[data-testid="log-row"]', (all) =>
      all.map((row) => [Number(row.dataset.n), row.querySelector('.log-text').textContent]),
    );
    for (const [n, text] of rows) lines.set(n, text);
    await pane.evaluate((node) => (node.scrollTop += node.clientHeight));
    await page.evaluate(() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r))));
  }
  return [...lines].sort((a, b) => a[0] - b[0]);
}
const oracle = (total) => Array.from({ length: total }, (_, at) => [at + 1, `line ${at + 1}`]);

test('T5 X2: a socket that is cut again and again in the middle of a live log loses and doubles no line', async (page) => {
  const live = await speaker();
  await page.goto(`${between.url}/executions/${live.id}`);
  await state(page, 'live');
  let total = live.say(100);
  await right(page, total);
  for (let cut = 0; cut < 4; cut++) {
    between.cut();
    total = live.say(1 + 700 * (cut % 2));
    await live.recorded();
    await page.locator('[data-testid="log-row"]').first().waitFor(); // What is there stays there.
    await state(page, 'live');
    await right(page, total);
  }
  assert.deepEqual(await walk(page, total), oracle(total));
  await live.end();
  await page.locator('[data-testid="exec-status"][data-look="completed"]').waitFor();
  assert.equal(await count(page), total);
});

test('T5 X1: a tab that slept, and whose socket was cut meanwhile, catches up when it is awake', async (page, context) => {
  const live = await speaker();
  await page.goto(`${between.url}/executions/${live.id}`);
  await state(page, 'live');
  let total = live.say(50);
  await right(page, total);
  const devtools = await context.newCDPSession(page);
  await devtools.send('Page.setWebLifecycleState', { state: 'frozen' });
  total = live.say(3000);
  await live.recorded();
  between.cut();
  await devtools.send('Page.setWebLifecycleState', { state: 'active' });
  await state(page, 'live');
  await right(page, total);
  total = live.say(5);
  await right(page, total);
  assert.deepEqual(await walk(page, total), oracle(total));
  await live.end();
});

test('X1: a tab that nobody sees draws nothing, and all of it when it is seen', async (page) => {
  await page.addInitScript(() => {
    let hidden = false;
    Object.defineProperty(document, 'hidden', { get: () => hidden });
    globalThis.hide = (value) => {
      hidden = value;
      document.dispatchEvent(new Event('visibilitychange'));
    };
  });
  const live = await speaker();
  await page.goto(`${between.url}/executions/${live.id}`);
  let total = live.say(50);
  await right(page, total);
  await page.evaluate(() => {
    hide(true);
    globalThis.drawn = 0;
    new MutationObserver((changes) => (globalThis.drawn += changes.length)).observe(document.querySelector('.log-list'), {
      childList: true,
      subtree: true,
    });
  });
  for (let burst = 0; burst < 5; burst++) {
    total = live.say(200);
    await live.recorded();
  }
  // Longer than what arrives for a hidden tab is held back: after that it would have been drawn.
  await page.evaluate(() => new Promise((passed) => setTimeout(passed, 1_500)));
  assert.equal(await page.evaluate(() => globalThis.drawn), 0, 'rows were drawn for nobody');
  await page.evaluate(() => hide(false));
  await right(page, total);
  await live.end();
});

test('X2 T5: without a network it says so, keeps what is shown, and goes on when there is one', async (page, context) => {
  const live = await speaker();
  await page.goto(`${between.url}/executions/${live.id}`);
  await state(page, 'live');
  let total = live.say(60);
  await right(page, total);
  await context.setOffline(true);
  between.cut();
  await state(page, 'offline');
  total = live.say(40);
  await live.recorded();
  assert.equal(await page.getByText('line 60', { exact: true }).isVisible(), true, 'content already there stays');
  await context.setOffline(false);
  await state(page, 'live');
  await right(page, total);
  await live.end();
});

test('X4: changes made elsewhere arrive within a second, and durations tick by themselves', async (page) => {
  await page.goto(`${between.url}/executions`);
  await state(page, 'live');
  const id = await rig.start('sleep 30', { name: 'ticks' });
  await page.getByTestId('list-new').click();
  const row = page.locator(`[data-testid="exec-row"][data-id="${id}"]`);
  const timer = row.getByRole('timer');
  const before = await timer.textContent();
  // Nothing is told: whatever changes now, the page does by itself.
  between.cut();
  await until('it ticks', async () => (await timer.textContent()) !== before);
  await state(page, 'live');
  const from = Date.now();
  await rig.post(`/api/executions/${id}/cancel`, {});
  await page.locator(`[data-testid="exec-row"][data-id="${id}"][data-status="cancelled"]`).waitFor();
  // The script's own end is part of it: nothing that is slower on a slow machine is promised here.
  assert.ok(Date.now() - from < 10_000);
});
