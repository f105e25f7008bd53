import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { cspReports, launch, openPage } from './browser.mjs';
import { Rig, until } from './server.mjs';

let browser;
let rig;
before(async () => {
  browser = await launch();
  rig = new Rig();
  await rig.serve({ auth: 'on' });
});
after(async () => {
  await browser?.close();
  await rig?.close();
});

/** The link, where the page is: before the server there may be a page from elsewhere. */
const here = (link) => rig.url + link.slice(new URL(link).origin.length);

it('U9: asks for a login, keeps the place, and uses the code once', async () => {
  const [link] = await until('the link is printed', () => /http:\/\/\S+\/login#code=\S+/.exec(rig.log));
  const { context, page, faults } = await openPage(browser);
  await page.goto(`${rig.url}/executions?status=failed`);
  await page.waitForURL(/\/login\?next=/);
  await page.getByText('stepflow open').waitFor();

  await page.getByRole('textbox').fill('wrong');
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('alert').waitFor();

  await page.getByRole('textbox').fill(link);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.waitForURL(/\/executions\?status=failed$/);
  await until('live', () => page.locator('[data-testid="conn-state"][data-state="live"]').count());

  const other = await openPage(browser);
  await other.page.goto(here(link));
  await other.page.getByRole('alert').waitFor();
  assert.doesNotMatch(other.page.url(), /code=/);
  assert.deepEqual([...faults, ...other.faults], []);
  assert.deepEqual(await cspReports(page), []);
  await context.close();
  await other.context.close();
});

it('U9: logs in by the link and takes the code out of the address', async () => {
  const { code, output } = await rig.run('open');
  assert.equal(code, 0, output);
  const [link] = /http:\/\/\S+\/login#code=\S+/.exec(output) ?? [];
  const { context, page } = await openPage(browser);
  await page.goto(here(link));
  await page.waitForURL(`${rig.url}/`);
  await page.locator('h1').waitFor();
  await context.close();
});
