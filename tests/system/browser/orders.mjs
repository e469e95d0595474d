// Opens bookings in whatever state they are in, at a desk in English and on a phone in Chinese, and asks axe-core about
// each page; a ticket that can be given back is followed to the question, and not further.
//
//   node orders.mjs BASE NAME=REFERENCE:STATE … [FOLDER FOR SCREENSHOTS]
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { launch } from "./chromium.mjs";

const SECRET = "5678";
const PATIENCE_MS = 20_000;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const [base, ...rest] = process.argv.slice(2);
const orders = rest.filter((word) => word.includes("=")).map((word) => word.split(/[=:]/));
const shots = rest.find((word) => !word.includes("="));
if (!base || orders.length === 0 || orders.some((order) => order.length !== 3)) {
  console.error("usage: node orders.mjs BASE NAME=REFERENCE:STATE … [FOLDER]");
  process.exit(2);
}
let passed = 0;
let failed = 0;

function check(what, holds, detail = "") {
  if (holds) {
    passed += 1;
    return;
  }
  failed += 1;
  console.error(`FAILED ${what}${detail ? `: ${detail}` : ""}`);
}

async function look(page, name) {
  await page.waitForLoadState("load");
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const bad = found.violations.filter((v) => ["serious", "critical"].includes(v.impact));
  check(`${name}: axe-core finds nothing serious`, bad.length === 0, bad.map((v) => v.id).join("; "));
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  check(`${name}: nothing is wider than the screen`, wide <= 0, `${wide} px too wide`);
  if (shots) await page.screenshot({ path: join(shots, `site-${name}.png`), fullPage: true });
}

const browser = await launch();
try {
  for (const [view, locale, width, height] of [["desk-en", "en-GB", 1280, 800], ["phone-zh", "zh-CN", 390, 844]]) {
    for (const [name, reference, state] of orders) {
      const context = await browser.newContext({ locale, viewport: { width, height }, timezoneId: "Europe/Berlin" });
      context.setDefaultTimeout(PATIENCE_MS);
      const page = await context.newPage();
      await page.goto(`${base}/bookings`);
      await page.fill("#reference", reference);
      await page.fill("#secret", SECRET);
      await Promise.all([page.waitForURL(/\/bookings\/[0-9A-Z]{10}$/), page.press("#secret", "Enter")]);
      check(`${view} ${name}: the state is ${state}`, (await page.getAttribute("#state", "data-code")) === state);
      await look(page, `${view}-order-${name}`);
      const back = page.locator('a[href*="/refund"]').first();
      if (await back.count()) {
        await back.click();
        await page.waitForURL(/\/refund$/);
        await look(page, `${view}-order-${name}-give-back`);
      }
      await context.close();
    }
  }
} finally {
  await browser.close();
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
