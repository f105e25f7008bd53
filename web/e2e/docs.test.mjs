import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
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

it('shows every route, filters them, and tries one, without another host', async () => {
  const { context, page, faults } = await openPage(browser);
  const hosts = new Set();
  page.on('request', (request) => hosts.add(new URL(request.url()).host));
  await page.goto(`${rig.url}/api/docs`);
  const document = await (await fetch(`${rig.url}/api/openapi.json`)).json();
  const routes = Object.values(document.paths).flatMap((item) => Object.keys(item)).length;
  await until('all routes are there', async () => (await page.locator('nav a').count()) === routes);

  await page.keyboard.press('/');
  await page.keyboard.type('executions stat');
  await until('one is left', async () => (await page.locator('nav a:visible').count()) === 1);
  await page.locator('nav a:visible').click();
  const operation = page.locator('#getStatistics');
  await until('it is open', () => operation.getAttribute('open').then((open) => open !== null));
  await operation.getByRole('button', { name: 'Try it' }).click();
  await operation.locator('[aria-live]').getByText('"success_rate"').waitFor({ timeout: 10_000 });
  await operation.getByText('200 OK').waitFor({ timeout: 10_000 });

  // A change is shown, never done: nothing can be started from a manual.
  const create = page.locator('#createExecution');
  await create.locator('> summary').click();
  await create.getByText('split_stderr', { exact: true }).first().waitFor({ timeout: 10_000 });
  assert.equal(await create.getByRole('button', { name: 'Try it' }).count(), 0);

  assert.deepEqual([...hosts], [new URL(rig.url).host]);
  assert.deepEqual(faults, []);
  assert.deepEqual(await cspReports(page), []);
  await context.close();
});

for (const colorScheme of ['light', 'dark']) {
  it(`is legible in ${colorScheme} and on a narrow screen`, async () => {
    const { context, page } = await openPage(browser, { colorScheme, viewport: { width: 390, height: 800 } });
    await page.goto(`${rig.url}/api/docs#getExecution`);
    await page.locator('#getExecution[open]').waitFor({ timeout: 10_000 });
    const found = await page.evaluate(() => {
      const style = getComputedStyle(document.body);
      const light = (text) => text.match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0);
      return {
        back: light(style.backgroundColor), text: light(style.color),
        wider: document.documentElement.scrollWidth > document.documentElement.clientWidth,
      };
    });
    assert.ok(colorScheme === 'light' ? found.back - found.text > 400 : found.text - found.back > 400);
    assert.equal(found.wider, false);
    if (process.env.STEPFLOW_SCREENSHOTS) {
      await page.screenshot({ path: `${process.env.STEPFLOW_SCREENSHOTS}/docs-${colorScheme}.png` });
    }
    await context.close();
  });
}
