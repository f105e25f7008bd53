// The log viewer against an oracle: what is shown is what was printed, wherever one looks.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { cspReports, launch, openPage } from './browser.mjs';
import { Rig, until } from './server.mjs';

const LONG = Number(process.env.STEPFLOW_LOG_LINES ?? 1_000_000);
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
const count = async (page) => Number((await page.getByTestId('log-count').textContent()).replace(/\D/g, ''));
const settled = (page) =>
  until('rows are filled', () =>
    page.evaluate(() => {
      const rows = document.querySelectorAll('[data-testid="log-row"]');
      return rows.length > 0 && document.querySelector('.log-row.pending') === null;
    }),
  );

/** The lines in view by number: text, and whether the row is within the pane. */
const shown = (page) =>
  page.evaluate(() => {
    const box = document.querySelector('[data-testid="log-pane"]').getBoundingClientRect();
    return [...document.querySelectorAll('[data-testid="log-row"]')]
      .filter((one) => !one.classList.contains('pending') && one.dataset.step === undefined)
      .map((one) => {
        const { top, bottom } = one.getBoundingClientRect();
        return {
          n: Number(one.dataset.n),
          text: one.querySelector('.log-text').textContent.replaceAll('\n', ''),
          visible: bottom > box.top && top < box.bottom,
          top: top - box.top,
          height: bottom - top,
        };
      })
      .sort((a, b) => a.n - b.n);
  });

function random(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Line `n` of the generated logs: plain, wide, coloured and long ones. */
function lineOf(n) {
  if (n % 97 === 0) return `line ${n} 你好，世界 ${'宽'.repeat(n % 90)}`;
  if (n % 31 === 0) return `line ${n} ${'x'.repeat((n * 7) % 400)}`;
  return `line ${n}`;
}
const GENERATE =
  "const lineOf = eval('(' + process.argv[1] + ')'); let text = ''; " +
  'for (let n = 1; n <= Number(process.argv[2]); n++) { text += lineOf(n) + "\\n"; ' +
  'if (text.length > 60000) { require("fs").writeSync(1, text); text = ""; } } require("fs").writeSync(1, text)';
async function generated(lines) {
  const { id } = await rig.post('/api/executions', {
    command: [process.execPath, '-e', GENERATE, lineOf.toString(), String(lines)],
    name: `generated-${lines}`,
  });
  const end = await rig.end(id, 120_000);
  assert.equal(end.lines, lines);
  return id;
}

async function check(page) {
  await settled(page);
  const lines = await shown(page);
  assert.ok(lines.length > 0);
  for (const { n, text } of lines) assert.equal(text, lineOf(n), `line ${n}`);
  const seen = lines.filter((line) => line.visible);
  for (let at = 1; at < seen.length; at++) {
    assert.equal(seen[at].n, seen[at - 1].n + 1, 'numbers follow one another');
    const gap = Math.abs(seen[at].top - seen[at - 1].top - seen[at - 1].height);
    assert.ok(gap < 1, `rows touch: ${gap} px before line ${seen[at].n}`);
  }
  return lines;
}

describe('T3: logs of every length', () => {
  test('L1 X3: of no line at all, with a word about it', {}, async (page) => {
    const id = await rig.start('true');
    await rig.end(id);
    await page.goto(`${rig.url}/executions/${id}`);
    await page.getByText('This execution printed nothing').or(page.locator('.nothing')).first().waitFor();
    assert.equal(await count(page), 0);
  });

  for (const [lines, scale, positions] of [[1, 1, 1], [10_000, 1, 24], [10_000, 2, 12], [LONG, 1, 12]]) {
    test(`L2 L3 L4 L24 T3: ${lines} lines at scale ${scale}, by jump and by scroll, wrapped and not`, { deviceScaleFactor: scale }, async (page) => {
      const id = await generated(lines);
      const next = random(lines + scale);
      await page.goto(`${rig.url}/executions/${id}`);
      await check(page);
      for (const wrapped of [false, true]) {
        if (wrapped) {
          await page.getByTestId('log-wrap').click();
          await page.locator('.log-pane.wrapped').waitFor();
        }
        for (let at = 0; at < positions; at++) {
          const n = at === 0 ? lines : 1 + next(lines);
          await page.evaluate((line) => (location.hash = `#L${line}`), n);
          await until(`line ${n} is in view`, async () => {
            const found = (await check(page)).find((line) => line.n === n);
            return found?.visible === true;
          });
          await pane(page).hover();
          await page.mouse.wheel(0, next(2000) - 1000);
          await page.evaluate(() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r))));
          await check(page);
        }
        await pane(page).focus();
        await page.keyboard.press('End');
        await until('the last line', async () => (await check(page)).some((line) => line.n === lines && line.visible));
        await page.keyboard.press('Home');
        await until('the first line', async () => (await check(page)).some((line) => line.n === 1 && line.visible));
        const height = await page.evaluate(() => document.querySelector('.log-spacer').offsetHeight);
        assert.ok(height <= 8_000_000, `the spacer is ${height} px high`);
        const nodes = await pane(page).evaluate((node) => node.querySelectorAll('*').length);
        assert.ok(nodes <= 700, `${nodes} nodes`);
      }
    });
  }
});

describe('document', () => {
  const STEPS =
    'echo before; echo "STEP_START:One"; for i in $(seq 1 40); do echo "one $i"; done; echo "STEP_COMPLETE:One"; ' +
    'echo "STEP_START:Two"; for i in $(seq 1 300); do echo "two $i"; done; echo "error: it broke"; echo "STEP_ERROR:bad"; ' +
    'echo "STEP_START:Three"; for i in $(seq 1 60); do echo "three $i"; done; echo "STEP_COMPLETE:Three"; exit 2';
  let steps;
  before(async () => {
    steps = await rig.start(STEPS, { name: 'steps' });
    await rig.end(steps);
  });

  test('L5: a failed run opens at the first error of the failed step', {}, async (page) => {
    await page.goto(`${rig.url}/executions/${steps}`);
    const line = page.locator('[data-testid="log-row"].is-error').filter({ hasText: 'error: it broke' });
    await until('the error is in view', async () => {
      const n = Number(await line.getAttribute('data-n'));
      return (await shown(page)).some((one) => one.n === n && one.visible);
    });
  });

  test('L1 L2 L21: folding hides a step, keeps its header and all numbers, and unfolds to the same place', {}, async (page) => {
    await page.goto(`${rig.url}/executions/${steps}#L1`);
    await row(page, 2).getByRole('button', { name: 'Fold the step' }).click();
    await until('folded', async () => (await row(page, 3).count()) === 0);
    const numbers = (await shown(page)).map((line) => line.n);
    assert.ok(numbers.includes(1) && numbers.includes(45) && !numbers.some((n) => n > 2 && n < 44));
    await row(page, 44).waitFor(); // The header of the second step.
    assert.match(await row(page, 2).textContent(), /One.*42 lines|41 lines/);
    await row(page, 2).getByRole('button', { name: 'Unfold the step' }).click();
    await row(page, 3).getByText('one 1', { exact: true }).waitFor();
  });

  test('L16 L21: a link to a folded line unfolds its step; one beyond the end says so', {}, async (page) => {
    await page.goto(`${rig.url}/executions/${steps}#L1`);
    await row(page, 2).waitFor();
    await page.locator('.menu summary').click();
    await page.getByRole('button', { name: 'Fold all steps', exact: true }).click();
    await until('all are folded', async () => (await row(page, 10).count()) === 0);
    await page.evaluate(() => (location.hash = '#L10-L12'));
    await row(page, 10).getByText('one 8', { exact: true }).waitFor();
    assert.equal(await page.locator('.log-row.hl').count(), 3);
    await page.evaluate(() => (location.hash = '#L99999'));
    await page.getByTestId('log-beyond').waitFor();
  });

  test('L16: a number is pressed for a link, with shift for a range', {}, async (page) => {
    await page.goto(`${rig.url}/executions/${steps}#L1`);
    await row(page, 4).locator('.log-n').click();
    await page.waitForURL(/#L4$/);
    await row(page, 7).locator('.log-n').click({ modifiers: ['Shift'] });
    await page.waitForURL(/#L4-L7$/);
    await page.reload();
    await until('the range is marked', async () => (await page.locator('.log-row.hl').count()) === 4);
  });

  test('L8 L21: headers stick while their step is read, and show its state', {}, async (page) => {
    await page.goto(`${rig.url}/executions/${steps}#L200`);
    const sticky = page.getByTestId('log-sticky');
    await sticky.getByText('Two').waitFor();
    assert.match(await sticky.textContent(), /Failed/);
    assert.match(await sticky.textContent(), /error/);
  });

  test('L19: levels filter the lines, with counts, context and what is left out', {}, async (page) => {
    await page.goto(`${rig.url}/executions/${steps}#L1`);
    const chip = page.locator('[data-testid="log-level"][data-level="error"]');
    await chip.waitFor();
    const told = Number((await chip.locator('.num').textContent()).replace(/\D/g, ''));
    await chip.click();
    await page.waitForURL(/level=error/);
    await until('filtered', async () => (await shown(page)).length === told);
    assert.ok((await shown(page)).every((line) => /error|bad/i.test(line.text)));
    await page.getByLabel('Lines of context').selectOption('2');
    await until('with context', async () => (await shown(page)).length > told);
    await page.reload();
    await until('the link carries it', async () => (await shown(page)).length > told);
    await page.getByTestId('log-clear').click();
    await row(page, 1).or(row(page, 343)).first().waitFor();
    await until('all lines', async () => (await page.getByTestId('log-filtered').count()) === 0);
  });

  test('L17 L20: search has an exact total, goes round, and errors are gone to by key', {}, async (page) => {
    await page.goto(`${rig.url}/executions/${steps}#L1`);
    await row(page, 1).waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type('two 1');
    const hits = page.getByTestId('log-hits');
    // two 1, two 10-19, two 100-199
    await hits.getByText(/of 111$/).waitFor();
    await page.locator('.log-hit.current').first().waitFor();
    const at = async () => Number((await hits.textContent()).split(' ')[0]);
    assert.equal(await at(), 1);
    await page.keyboard.press('Enter');
    assert.equal(await at(), 2);
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.press('Shift+Enter');
    assert.equal(await at(), 111, 'round the beginning');
    await page.waitForURL(/q=two\+1/);
    await page.locator('.search button', { hasText: '.*' }).click();
    await page.getByRole('searchbox', { name: 'Search the whole log' }).fill('two (');
    await page.getByTestId('log-search-problem').waitFor();
    await page.getByRole('searchbox', { name: 'Search the whole log' }).fill('^three 6\\d?$');
    await hits.getByText(/of 2$/).waitFor();
    await pane(page).focus();
    await page.keyboard.press('e');
    await until('an error is marked', async () => (await page.locator('.log-row.hl.is-error').count()) === 1);
  });

  test('L18: the search is ours while the log has the focus, and the browser\'s after that', {}, async (page) => {
    await page.goto(`${rig.url}/executions/${steps}#L1`);
    await row(page, 1).waitFor();
    await pane(page).focus();
    await page.keyboard.press('Control+f');
    const box = page.getByRole('searchbox', { name: 'Search the whole log' });
    assert.equal(await box.evaluate((node) => node === document.activeElement), true);
    const taken = await box.evaluate((node) => {
      const event = new KeyboardEvent('keydown', { key: 'f', ctrlKey: true, bubbles: true, cancelable: true });
      node.dispatchEvent(event);
      return event.defaultPrevented;
    });
    assert.equal(taken, false);
  });

  test('L22 L23: a selection is copied whole, also where it was never shown', { permissions: ['clipboard-read', 'clipboard-write'] }, async (page) => {
    await page.goto(`${rig.url}/executions/${steps}#L50`);
    await row(page, 50).getByText('two 6', { exact: true }).waitFor();
    await page.evaluate(() => {
      const from = document.querySelector('[data-n="50"] .log-text').firstChild;
      getSelection().setBaseAndExtent(from, 0, from, from.length);
    });
    await page.evaluate(() => (location.hash = '#L330'));
    await row(page, 330).getByText('two 286', { exact: true }).waitFor();
    await page.evaluate(() => {
      const to = document.querySelector('[data-n="330"] .log-text').firstChild;
      getSelection().extend(to, to.length);
    });
    await pane(page).focus();
    await page.keyboard.press('Control+c');
    await until('the clipboard has it', async () => {
      const lines = (await page.evaluate(() => navigator.clipboard.readText())).split('\n');
      return lines.length === 281 && lines[0] === 'two 6' && lines[280] === 'two 286';
    });
    const raw = await fetch(`${rig.url}/api/executions/${steps}/log/raw`);
    const all = await raw.text();
    assert.equal(all.split('\n').length - 1, await count(page));
  });

  test('L13 L14: times in every manner, and standard error marked', {}, async (page) => {
    const id = await rig.start('echo out; echo err >&2; sleep 0.2; echo STEP_START:A; sleep 0.2; echo in', { split_stderr: true });
    await rig.end(id);
    await page.goto(`${rig.url}/executions/${id}`);
    await row(page, 2).waitFor();
    for (const [mode, pattern] of [
      ['relative', /^\+0:00:0\d\.\d{3}$/],
      ['step', /^\+0:00:0\d\.\d{3}$/],
      ['delta', /^\+\d\.\d{3}$/],
      ['absolute', /^\d\d:\d\d:\d\d\.\d{3}$/],
      ['utc', /^\d\d:\d\d:\d\d\.\d{3}$/],
    ]) {
      await page.getByTestId('log-time').selectOption(mode);
      await until(mode, async () => pattern.test((await row(page, 4).locator('.log-time').textContent()) ?? ''));
    }
    await page.reload();
    await row(page, 4).locator('.log-time').waitFor();
    const edge = (n) => row(page, n).locator('.log-n').evaluate((node) => getComputedStyle(node).borderLeftColor);
    const [, second] = (await rig.get(`/api/executions/${id}/log?limit=4`)).lines;
    assert.deepEqual([second.text, second.stream], ['err', 'stderr']);
    assert.notEqual(await edge(2), await edge(1), 'standard error is marked');
    assert.equal(await edge(4), await edge(1));
  });

  test('L10 L11 L12: the final picture, links, control characters, fields, and the rest of a long line', {}, async (page) => {
    const id = await rig.start(
      "printf 'a 1%%\\ra 50%%\\ra 99%%\\n'; printf '\\033]8;;https://a.example/x\\007here\\033]8;;\\007 and http://b.example/y.\\n'; " +
        `printf '{"a":1,"b":"two"}\\n'; head -c 40000 /dev/zero | tr '\\0' z; echo; printf 'bell\\007 \\342\\200\\256rtl\\n'`,
    );
    await rig.end(id);
    await page.goto(`${rig.url}/executions/${id}`);
    await row(page, 1).getByText('a 99%').waitFor();
    await row(page, 1).getByRole('button', { name: /2 updates replaced/ }).click();
    await page.getByTestId('log-line').getByText('a 50%').waitFor();
    const links = await row(page, 2).locator('a[target="_blank"]').evaluateAll((all) => all.map((a) => [a.href, a.rel]));
    // Where it leads stands beside it.
    const to = (url) => [url, 'noopener noreferrer'];
    assert.deepEqual(links, [to('https://a.example/x'), to('https://a.example/x'), to('http://b.example/y')]);
    assert.match(await row(page, 2).textContent(), /here.*https:\/\/a\.example\/x/);
    await row(page, 3).getByRole('button', { name: 'Show the fields' }).click();
    await page.getByTestId('log-line').getByText('two').waitFor();
    assert.equal((await row(page, 4).locator('.log-text').textContent()).length, 16_384);
    await row(page, 4).locator('.log-more').click();
    await page.getByTestId('log-line').locator('.btn', { hasText: 'rest' }).click();
    await until('the rest', async () => ((await page.getByTestId('log-line').locator('pre').textContent()) ?? '').length >= 40_000);
    assert.match(await row(page, 5).locator('.log-text').textContent(), /bell\^G .*202E.*rtl/);
  });

  test('L9: a line reached by a jump looks as it does by scrolling', {}, async (page) => {
    const id = await rig.start("printf '\\033[1;31mred\\n'; seq 1 900; printf 'still\\033[0m\\nplain\\n'");
    await rig.end(id);
    await page.goto(`${rig.url}/executions/${id}#L902`);
    const look = (n) =>
      row(page, n).locator('.log-text > *').first().evaluate((node) => [...node.classList].sort().join(' '));
    await row(page, 902).getByText('still').waitFor();
    assert.equal(await look(902), 'bold fg1');
    assert.equal(await look(890), 'bold fg1');
    assert.equal(await row(page, 903).locator('.log-text > *').count(), 0);
  });

  test('L15: wrapping, resizing and unwrapping leave the line at the top where it is', {}, async (page) => {
    const id = await generated(5000);
    await page.goto(`${rig.url}/executions/${id}#L2500`);
    await check(page);
    const top = () => until('a top line', async () => (await shown(page)).find((line) => line.visible)?.n);
    const before = await top();
    await page.getByTestId('log-wrap').click();
    await page.locator('.log-pane.wrapped').waitFor();
    await check(page);
    assert.ok(Math.abs((await top()) - before) <= 1, 'wrapped');
    await page.setViewportSize({ width: 900, height: 700 });
    await check(page);
    assert.ok(Math.abs((await top()) - before) <= 1, 'narrower');
    await page.getByTestId('log-wrap').click();
    await check(page);
    assert.ok(Math.abs((await top()) - before) <= 1, 'not wrapped');
  });

  test('L25: the count names no gaps only when the server has seen all of it', {}, async (page) => {
    await page.goto(`${rig.url}/executions/${steps}`);
    await page.getByTestId('log-whole').waitFor();
    const meta = await rig.get(`/api/executions/${steps}/log/meta`);
    assert.deepEqual([meta.complete, meta.gaps], [true, []]);
    assert.equal(await count(page), meta.lines);
  });

  test('K3: keys of the log', {}, async (page) => {
    await page.goto(`${rig.url}/executions/${steps}#L1`);
    await row(page, 1).waitFor();
    await pane(page).focus();
    await page.keyboard.press('w');
    await page.locator('.log-pane.wrapped').waitFor();
    await page.keyboard.press('w');
    await page.keyboard.press('m');
    await page.locator('.log-pane.with-time').waitFor();
    await page.keyboard.press('j');
    await page.waitForURL(/#L2$/);
    await page.keyboard.press('j');
    await page.waitForURL(/#L44$/);
    await page.keyboard.press('k');
    await page.waitForURL(/#L2$/);
    await page.keyboard.press('Enter');
    await until('folded', async () => (await row(page, 3).count()) === 0);
    await page.keyboard.press('ArrowRight');
    await row(page, 3).waitFor();
    await page.keyboard.press(':');
    await page.getByTestId('log-goto').fill('300');
    await page.keyboard.press('Enter');
    await page.waitForURL(/#L300$/);
    await row(page, 300).waitFor();
    await page.keyboard.press('f');
    await until('it follows', async () => (await page.getByTestId('log-follow').getAttribute('aria-pressed')) === 'true');
  });
});

describe('follow', () => {
  test('L6 L7 T4: only the reader turns it off and on, and the view never moves by itself', {}, async (page) => {
    const id = await rig.start('i=0; while [ $i -lt 4000 ]; do i=$((i+1)); echo "line $i"; [ $((i % 10)) = 0 ] && sleep 0.02; done', { name: 'live' });
    await page.goto(`${rig.url}/executions/${id}`);
    const follow = page.getByTestId('log-follow');
    const on = async () => (await follow.getAttribute('aria-pressed')) === 'true';
    await until('a page of lines', async () => (await count(page)) > 100);
    assert.equal(await on(), true);
    const next = random(7);
    const top = () => pane(page).evaluate((node) => node.scrollTop);
    const actions = [
      ['wheel', false, async () => { await pane(page).hover(); await page.mouse.wheel(0, -300); }],
      ['key', false, async () => { await pane(page).focus(); await page.keyboard.press('PageUp'); }],
      ['select', false, async () => {
        await page.evaluate(() => {
          const texts = [...document.querySelectorAll('.log-text')].filter((node) => node.textContent !== '');
          getSelection().selectAllChildren(texts[Math.floor(texts.length / 2)]);
        });
      }],
      ['error', false, async () => page.evaluate(() => (location.hash = `#L${1 + Math.floor(Math.random() * 20)}`))],
      ['switch', false, async () => follow.click()],
    ];
    for (let round = 0; round < 8; round++) {
      const [name, , act] = actions[next(actions.length)];
      await act();
      await until(`${name} turns it off`, async () => !(await on()));
      // It rests where the reader left it while lines come.
      await page.waitForFunction(() => new Promise((done) => setTimeout(() => done(true), 250)));
      const before = await top();
      const lines = await count(page);
      await until('more lines', async () => (await count(page)) > lines + 30 || (await rig.get(`/api/executions/${id}?logs=0`)).execution.status !== 'running');
      assert.equal(await top(), before, `${name}: the view stays`);
      await page.evaluate(() => getSelection().removeAllRanges());
      if (round % 2 === 0) {
        await pane(page).focus();
        await page.keyboard.press('End');
      } else await page.getByTestId('log-pill').or(follow).first().click();
      await until('it is on again', on);
      await until('the newest line is in view', async () => {
        const all = await shown(page);
        return all[all.length - 1].visible;
      });
    }
    await rig.end(id);
  });

  test('L8: a passed step folds while the log is followed, a failed one stays open', {}, async (page) => {
    const id = await rig.start(
      'echo STEP_START:Good; echo inside good; sleep 1.5; echo STEP_COMPLETE:Good; echo STEP_START:Bad; echo inside bad; sleep 1; echo STEP_ERROR:no; sleep 1; echo STEP_START:Last; sleep 1; echo end',
    );
    await page.goto(`${rig.url}/executions/${id}`);
    await page.getByText('inside good', { exact: true }).waitFor();
    await until('the passed step folds', async () => (await page.getByText('inside good', { exact: true }).count()) === 0);
    await page.getByText('inside bad', { exact: true }).waitFor();
    await rig.end(id);
    await page.getByText('inside bad', { exact: true }).waitFor();
  });
});

test('A3: the log is a region with a list whose rows say where they are', {}, async (page) => {
  const id = await rig.start('seq 1 500');
  await rig.end(id);
  await page.goto(`${rig.url}/executions/${id}`);
  await row(page, 1).waitFor();
  assert.equal(await pane(page).getAttribute('role'), 'region');
  assert.equal(await pane(page).locator('[role="list"]').count(), 1);
  assert.equal(await row(page, 1).getAttribute('aria-posinset'), '1');
  await until('the total', async () => (await row(page, 1).getAttribute('aria-setsize')) === '500');
  assert.equal(await pane(page).locator('[aria-live]').count(), 0, 'rows are not read out as they come');
});
