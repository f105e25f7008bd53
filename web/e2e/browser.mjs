import { chromium } from 'playwright-core';

/** A browser that talks to nobody but the pages that are opened. */
export function launch(more = {}) {
  return chromium.launch({
    ...more,
    executablePath: process.env.CHROMIUM_BIN || '/usr/bin/chromium',
    headless: true,
    args: [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-default-apps',
      '--disable-sync',
      '--no-first-run',
      '--no-default-browser-check',
    ],
  });
}

/** A page, with everything that must not happen on it in `faults`. */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 900 },
    locale: 'en-GB',
    timezoneId: 'UTC',
    ...options,
  });
  // Whoever breaks the page on purpose does not want to wait long for what cannot come.
  if (process.env.STEPFLOW_E2E_MS !== undefined) context.setDefaultTimeout(Number(process.env.STEPFLOW_E2E_MS));
  const page = await context.newPage();
  const faults = [];
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  page.on('console', (message) => {
    const text = message.text();
    if (message.type() === 'error' && !/Failed to load resource|WebSocket connection/.test(text)) {
      faults.push(`console: ${text}`);
    }
  });
  page.on('dialog', (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await page.addInitScript(() => {
    globalThis.cspReports = [];
    document.addEventListener('securitypolicyviolation', (event) => {
      globalThis.cspReports.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
    });
  });
  return { context, page, faults };
}

export const cspReports = (page) => page.evaluate(() => globalThis.cspReports);
