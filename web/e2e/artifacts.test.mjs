import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, openPage } from './browser.mjs';
import { Rig } from './server.mjs';

let browser;
let rig;
before(async () => {
  rig = new Rig();
  await rig.serve();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await rig?.close();
});

test('U4: artifacts are found, previewed, and HTML runs no script until it is allowed', async () => {
  const id = await rig.start(
    `printf 'name,n\\na,10\\nb,9\\n' > t.csv; printf '<h1>Report</h1><script>document.body.append("RAN")</script>' > r.html; echo ARTIFACT:t.csv:T; echo ARTIFACT:r.html:R`,
    { working_directory: rig.storage },
  );
  await rig.end(id);
  const { context, page } = await openPage(browser);
  try {
    await page.goto(`${rig.url}/artifacts?name=t.csv`);
    await page.getByTestId('file-row').getByRole('link', { name: 't.csv' }).click();
    await page.locator('[data-testid="preview"][data-kind="csv"]').waitFor();
    await page.getByTestId('table-column').nth(1).click();
    assert.match(await page.getByTestId('table-row').first().textContent(), /b/);
    await page.goto(`${rig.url}/executions/${id}/artifacts/${id}-a1?as=document`);
    const frame = page.frameLocator('[data-testid="doc-frame"]');
    await frame.getByText('Report').waitFor();
    assert.equal(await frame.getByText('RAN').count(), 0);
    await page.getByTestId('doc-scripts').click();
    await frame.getByText('RAN').waitFor();
  } finally {
    await context.close();
  }
});
