// Following the end of a log, as a state machine: whatever a reader does in whatever order, the page
// agrees with a model that knows the rules alone.
import assert from 'node:assert/strict';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, it } from 'node:test';
import { cspReports, launch, openPage } from './browser.mjs';
import { Rig, until } from './server.mjs';

const ROUNDS = Number(process.env.STEPFLOW_FOLLOW_ROUNDS ?? 30);
/** Rows and padding: nearer to the end than this is "within two rows". */
const NEAR_PX = 30;
let browser;
let rig;
before(async () => {
  // With a scrollbar: it can be dragged.
  browser = await launch({ ignoreDefaultArgs: ['--hide-scrollbars'] });
  rig = new Rig();
  await rig.serve();
});
after(async () => {
  await browser?.close();
  await rig?.close();
});

function random(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** A script that prints so many lines when it is told to, and its log on a page. */
class Live {
  #bursts = 0;
  total = 0;
  constructor(page, name) {
    this.page = page;
    this.pane = page.getByTestId('log-pane');
    this.follow = page.getByTestId('log-follow');
    this.at = (file) => join(rig.storage, `${name}-${file}`);
    this.name = name;
  }
  async open() {
    const script =
      'echo STEP_START:First; for i in $(seq 1 60); do echo "first $i"; done; echo "error: something"; echo STEP_COMPLETE:First; ' +
      `k=1; n=0; while [ ! -e ${this.at('stop')} ]; do if [ -e ${this.at('b')}$k ]; then read c < ${this.at('b')}$k; ` +
      'i=0; while [ $i -lt $c ]; do i=$((i+1)); n=$((n+1)); echo "line $n"; done; k=$((k+1)); else sleep 0.02; fi; done';
    this.id = await rig.start(script, { name: this.name });
    this.total = 63;
    await this.page.goto(`${rig.url}/executions/${this.id}`);
    await this.burst(200);
  }
  async burst(lines) {
    this.#bursts += 1;
    writeFileSync(this.at('new'), `${lines}\n`);
    renameSync(this.at('new'), this.at(`b${this.#bursts}`));
    this.total += lines;
    await until('the page has heard of all lines', async () => (await this.count()) === this.total);
  }
  async count() {
    return Number((await this.page.getByTestId('log-count').textContent()).replace(/\D/g, ''));
  }
  async on() {
    return (await this.follow.getAttribute('aria-pressed')) === 'true';
  }
  /** Two frames, and the rest after which scrolling has stopped for the page. */
  async settle() {
    await this.page.evaluate(
      () => new Promise((done) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 200)),
    );
    await until('no row waits for its line', () => this.page.evaluate(() => document.querySelector('.log-row.pending') === null));
  }
  /** The first line in view and where it stands; how far the end is below the view. */
  place() {
    return this.page.evaluate(() => {
      const box = document.querySelector('[data-testid="log-pane"]').getBoundingClientRect();
      const rows = [...document.querySelectorAll('.log-row')]
        .map((row) => ({ n: Number(row.dataset.n), box: row.getBoundingClientRect() }))
        .filter((row) => row.box.bottom > box.top && row.box.top < box.bottom)
        .sort((a, b) => a.box.top - b.box.top);
      const last = rows.at(-1);
      return {
        n: rows[0]?.n ?? 0,
        top: Math.round((rows[0]?.box.top ?? 0) - box.top),
        last: last?.n ?? 0,
        rest: last === undefined ? 0 : last.box.bottom - box.bottom,
      };
    });
  }
  stop() {
    writeFileSync(this.at('stop'), '');
  }
}

/** What a reader can do, and what it makes of following. `null`: nothing. */
const ACTIONS = [
  ['wheel up', async ({ page, pane }) => (await pane.hover(), await page.mouse.wheel(0, -260)), () => false],
  ['PageUp', async ({ page, pane }) => (await pane.focus(), await page.keyboard.press('PageUp')), () => false],
  ['ArrowUp', async ({ page, pane }) => (await pane.focus(), await page.keyboard.press('ArrowUp')), () => false],
  ['Home', async ({ page, pane }) => (await pane.focus(), await page.keyboard.press('Home')), () => false],
  ['the scrollbar', async (live) => {
    const box = await live.pane.boundingBox();
    await live.page.mouse.move(box.x + box.width - 5, box.y + box.height / 2);
    await live.page.mouse.down();
    await live.page.mouse.move(box.x + box.width - 5, box.y + box.height / 3, { steps: 3 });
    await live.page.mouse.up();
  }, () => false],
  ['selecting text', ({ page }) => page.evaluate(() => {
    const texts = [...document.querySelectorAll('.log-text')].filter((node) => node.textContent !== '');
    getSelection().selectAllChildren(texts[Math.floor(texts.length / 2)]);
  }), () => false],
  ['a line link', async ({ page, next }) => {
    await page.locator('.log-row .log-n').nth(8 + next(10)).click();
  }, () => false],
  ['a search', async ({ page, next }) => {
    const box = page.getByRole('searchbox', { name: 'Search the whole log' });
    await box.fill(`first ${1 + next(9)}`);
    await page.locator('.log-hit.current').first().waitFor();
    await box.fill('');
  }, () => false],
  ['an error', async ({ page, pane }) => {
    await pane.focus();
    await page.keyboard.press('e');
    await page.locator('.log-row.hl.is-error').waitFor();
  }, () => false],
  ['folding all', async ({ page }) => {
    await page.locator('.menu summary').click();
    await page.getByRole('button', { name: 'Fold all steps', exact: true }).click();
    await page.locator('.menu summary').click();
  }, () => false],
  ['unfolding all', async ({ page }) => {
    await page.locator('.menu summary').click();
    await page.getByRole('button', { name: 'Unfold all steps', exact: true }).click();
    await page.locator('.menu summary').click();
  }, () => false],
  ['the switch', ({ follow }) => follow.click(), (on) => !on],
  ['the key f', async ({ page, pane }) => (await pane.focus(), await page.keyboard.press('f')), (on) => !on],
  ['End', async ({ page, pane }) => (await pane.focus(), await page.keyboard.press('End')), () => true],
  ['jump to latest', async ({ page }) => {
    const pill = page.getByTestId('log-pill');
    if ((await pill.count()) > 0) await pill.click();
  }, (on, { pill }) => on || pill],
  ['scrolling to the end', async ({ page, pane }) => {
    await pane.hover();
    // A log that is wrapped learns its height on the way.
    for (let turn = 0; turn < 3; turn++) await page.mouse.wheel(0, 1_000_000);
  }, () => true],
  ['a little down', async ({ page, pane }) => (await pane.hover(), await page.mouse.wheel(0, 40)), (on, { place, total }) =>
    on || (place.last === total && place.rest <= NEAR_PX)],
  ['wrapping', async ({ page, pane }) => (await pane.focus(), await page.keyboard.press('w')), (on) => on],
  ['another size', async ({ page, next }) => {
    await page.setViewportSize({ width: 1000 + next(400), height: 600 + next(400) });
  }, (on) => on],
];

const SWITCH = ACTIONS.find(([name]) => name === 'the switch');
/** Each action while it follows, and while it does not. */
const TOUR = ACTIONS.flatMap((action) => [true, false].map((on) => ({ action, on })));

async function check(seed, plan) {
  const { context, page, faults } = await openPage(browser);
  const live = new Live(page, `model-${seed}`);
  live.next = random(seed);
  try {
    await live.open();
    await live.settle();
    let on = true;
    let seen = 0;
    assert.equal(await live.on(), true, 'it opens following');
    const story = [];
    const act = async ([name, run, rule]) => {
      story.push(name);
      const told = story.slice(-4).join(', ');
      const pill = !on && live.total > seen;
      await run(live);
      await live.settle();
      const place = await live.place();
      const was = on;
      on = rule(on, { place, total: live.total, pill });
      if (was && !on) seen = live.total;
      assert.equal(await live.on(), on, `after ${told}`);
      await page.evaluate(() => getSelection().removeAllRanges());
      const before = await live.place();
      await live.burst(1 + live.next(live.next(3) === 0 ? 2000 : 60));
      await live.settle();
      const then = await live.place();
      assert.equal(await live.on(), on, `lines change nothing, after ${told}`);
      if (on) {
        assert.equal(then.last, live.total, `the newest line is in view, after ${told}`);
        assert.ok(then.rest <= 1, `all of it, after ${told}: ${then.rest} px are missing`);
        assert.equal(await page.getByTestId('log-pill').count(), 0);
      } else {
        assert.deepEqual([then.n, then.top], [before.n, before.top], `the view does not move by a pixel, after ${told}`);
        const text = await page.getByTestId('log-pill').textContent();
        assert.equal(Number(text.replace(/\D/g, '')), live.total - seen, `new lines are counted, after ${told}`);
      }
    };
    for (const { action, on: wanted } of plan(live.next)) {
      if (wanted !== undefined && wanted !== on) await act(SWITCH);
      await act(action);
    }
    assert.deepEqual(await cspReports(page), []);
    assert.deepEqual(faults, []);
  } finally {
    live.stop();
    await context.close();
  }
}

it('T4 L6 L7: what a reader does turns following off and on as the model says, each from both', () => check(1, () => TOUR));

it('T4 L6 L7: a random reader agrees with the model', () =>
  check(2, (next) => Array.from({ length: ROUNDS }, () => ({ action: ACTIONS[next(ACTIONS.length)] }))));
