import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, describe, test as plain } from 'node:test';
import { cspReports, launch, openPage } from './browser.mjs';
import { Rig } from './server.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** TAP and a report; what fails depends on the number of the run. */
const SCRIPT = `n=0; exec 3>r.xml; echo '<testsuite name="s">' >&3; echo 'TAP version 13'
t() { n=$((n+1)); if [ "$2" = pass ]; then echo "ok $n - $1"; echo "<testcase classname='pkg.test_it' name='$1' time='0.0$n'/>" >&3
else echo "not ok $n - $1"; echo "<testcase classname='pkg.test_it' name='$1' time='0.0$n'><failure message='run $RUN broke it'>trace of $1&#10;  at line 7</failure></testcase>" >&3; fi; }
t steady pass; t broken $([ $RUN -lt 4 ] && echo pass || echo fail); t moody $([ $((RUN % 2)) = 0 ] && echo pass || echo fail)
t mended $([ $RUN -lt 4 ] && echo fail || echo pass); echo 1..$n; echo '</testsuite>' >&3`;

let browser;
let rig;
const ids = [];
let many;
before(async () => {
  browser = await launch();
  rig = new Rig();
  await rig.serve();
  for (const RUN of ['1', '2', '3', '4']) {
    const id = await rig.start(SCRIPT, { name: 'nightly', environment: { RUN }, junit: ['r.xml'], working_directory: rig.storage });
    await rig.end(id);
    ids.push(id);
  }
  const big = `(echo '<testsuite name="big">'; seq 1 20000 | awk '{ printf "<testcase name=\\"case %d\\" time=\\"%.3f\\"/>", $1, $1 / 1000 }'; echo '</testsuite>') > big.xml`;
  many = await rig.start(big, { name: 'many', junit: ['big.xml'], working_directory: rig.storage });
  await rig.end(many);
});
after(async () => {
  await browser?.close();
  await rig?.close();
});

function test(name, run, options = {}) {
  plain(name, async () => {
    const { context, page, faults } = await openPage(browser, options);
    try {
      await run(page);
      assert.deepEqual(faults, []);
      assert.deepEqual(await cspReports(page), []);
    } finally {
      await context.close();
    }
  });
}

const rows = (page) => page.getByTestId('test-row');

/** The list once its rows are there. */
async function open(page, id, more = '') {
  await page.goto(`${rig.url}/executions/${id}?tab=tests${more}`);
  await rows(page).first().locator('.name').first().waitFor();
}

describe('tests', () => {
  test('what failed stands first, with what the past says of it', async (page) => {
    await open(page, ids[3]);
    assert.match(await page.getByTestId('tests-sums').textContent(), /1 failed\s*3 passed\s*0 skipped/);
    assert.match(await page.getByTestId('tests-sums').textContent(), /compared with 3 earlier executions/);
    const names = await rows(page).locator('.what .name:first-child').allTextContents();
    assert.deepEqual(names, ['broken', 'moody', 'steady', 'mended']);
    const badges = async (at) => rows(page).nth(at).getByTestId('test-badge').allTextContents();
    assert.deepEqual(await badges(0), ['new failure']);
    assert.deepEqual(await badges(1), ['fixed', 'flaky']);
    assert.deepEqual(await badges(2), []);
    assert.deepEqual(await badges(3), ['fixed']);
  });

  test('a filter is in the address and says how many it lets through', async (page) => {
    await open(page, ids[3]);
    await page.getByTestId('tests-failed').click();
    await page.waitForURL(/show=failed/);
    await page.getByText('1 test', { exact: true }).waitFor();
    assert.equal(await rows(page).count(), 1);
    await page.getByTestId('tests-flaky').click();
    await page.locator('[data-testid="test-row"]', { hasText: 'moody' }).waitFor();
    await page.getByTestId('tests-all').click();
    await page.getByRole('searchbox').fill('STEA');
    await page.getByText('1 test', { exact: true }).waitFor();
    await page.getByRole('searchbox').fill('nothing like it');
    await page.getByText('No test matches this filter.').waitFor();
  });

  test('one is opened: message, details, the log line, and its history', async (page) => {
    await open(page, ids[3]);
    await rows(page).first().locator('.main').click();
    const detail = page.getByTestId('test-detail');
    await detail.getByText('run 4 broke it').waitFor();
    await detail.getByText('at line 7').waitFor();
    await detail.getByText('1 failure in the last 4').waitFor();
    const runs = await page.getByTestId('test-run').evaluateAll((all) => all.map((one) => one.className.split(' ')[1]));
    assert.deepEqual(runs, ['passed', 'passed', 'passed', 'failed']);
    await page.getByTestId('test-run').first().click();
    await page.waitForURL((url) => url.pathname.endsWith(ids[0]) && url.searchParams.get('text') === 'broken');
    await page.goBack();
    await rows(page).first().locator('.main').click();
    await page.getByTestId('test-line').click();
    await page.waitForURL(/#L3$/);
    await page.locator('[data-testid="log"], .log').first().waitFor();
  });

  test('20,000 are listed without mounting them, by mouse and by keys', async (page) => {
    await open(page, many);
    await page.getByText('20,000 tests', { exact: true }).waitFor();
    assert.ok((await rows(page).count()) < 60);
    await rows(page).first().locator('.main').focus();
    await page.keyboard.press('ArrowDown');
    await page.waitForFunction(() => document.activeElement?.getAttribute('data-at') === '1');
    await page.keyboard.press('End');
    await page.getByText('case 20000', { exact: true }).waitFor();
    assert.ok((await rows(page).count()) < 60);
    await page.getByTestId('tests-slowest').click();
    await page.waitForFunction(
      () => document.querySelector('[data-testid="test-row"] .name')?.textContent === 'case 20000',
    );
    await rows(page).first().locator('.main').focus();
    await page.keyboard.press('Enter');
    await page.getByTestId('test-detail').waitFor();
  });

  test('without tests there is no tab, and the key leads nowhere else', async (page) => {
    const id = await rig.start('echo nothing', { name: 'plain' });
    await rig.end(id);
    await page.goto(`${rig.url}/executions/${id}`);
    await page.getByTestId('exec-status').waitFor();
    assert.equal(await page.getByRole('link', { name: 'Tests' }).count(), 0);
    await page.goto(`${rig.url}/executions/${ids[3]}`);
    await page.getByRole('link', { name: /^Tests/ }).waitFor();
    await page.keyboard.press('7');
    await page.waitForURL(/tab=tests/);
  });

  for (const [language, theme] of [['en', 'light'], ['zh-CN', 'dark']]) {
    for (const width of [1280, 360]) {
      test(
        `axe finds nothing, and nothing is wider than the window: ${language}, ${theme}, ${width}`,
        async (page) => {
          await page.addInitScript(([lang, name]) => {
            localStorage.setItem('sf.lang', lang);
            localStorage.setItem('sf.theme', name);
          }, [language, theme]);
          await open(page, ids[3]);
          await rows(page).first().locator('.main').click();
          await page.getByTestId('test-run').first().waitFor();
          const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          assert.ok(over <= 0, `${over} px too wide`);
          await page.evaluate(AXE);
          const found = await page.evaluate(async () => {
            const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
            const { violations } = await globalThis.axe.run(document, { runOnly: { type: 'tag', values: tags } });
            return violations.flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.target.join(' ')}`));
          });
          if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/tests-${language}-${theme}-${width}.png` });
          assert.deepEqual(found, []);
        },
        { viewport: { width, height: 800 }, reducedMotion: 'reduce' },
      );
    }
  }
});
