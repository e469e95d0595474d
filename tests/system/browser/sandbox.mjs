// Presses every button of the sandbox page as a newcomer would: each switch goes on and off again with its twin, a booked
// card is swiped and its PIN pressed, and the ticket and the receipt appear as pictures.
//
//   node sandbox.mjs PAGE PIN [FOLDER FOR SCREENSHOTS]
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { launch } from "./chromium.mjs";

const [base, pin, shots] = process.argv.slice(2);
if (!base || !/^\d{4,12}$/.test(pin ?? "")) {
  console.error("usage: node sandbox.mjs PAGE PIN [FOLDER]");
  process.exit(2);
}
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SWITCHES = JSON.parse(readFileSync(new URL("../../../ops/sandbox/src/page/assets/switches.json", import.meta.url), "utf8"));
const PATIENCE_MS = 20_000;
let passed = 0;
let failed = 0;

function check(what, holds, detail = "") {
  if (holds) passed += 1;
  else {
    failed += 1;
    console.error(`FAILED ${what}${detail ? `: ${detail}` : ""}`);
  }
}

/** Waits for a look to be true, and says whether it came to be. */
async function until(what, look) {
  const end = Date.now() + PATIENCE_MS;
  while (Date.now() < end) {
    if (await look()) return check(what, true);
    await new Promise((later) => setTimeout(later, 50));
  }
  return check(what, false);
}

const isOn = async (button) => (await button.getAttribute("aria-pressed")) === "true";

/** Nothing serious for axe-core, and nothing wider than the screen. */
async function look(page, name) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"], iframes: false }));
  const bad = found.violations.filter((v) => ["serious", "critical"].includes(v.impact));
  check(`${name}: axe-core finds nothing serious`, bad.length === 0, bad.map((v) => `${v.id} at ${v.nodes.map((n) => n.target.join(" ")).join(", ")}`).join("; "));
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  check(`${name}: nothing is wider than the screen`, wide <= 0, `${wide} px too wide`);
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
}

async function switches(page, terminal) {
  const outside = page.locator("#outside button[aria-pressed]");
  const texts = async (buttons) => (await buttons.allTextContents()).join("; ");
  const listed = (list) => list.map((row) => row.text).join("; ");
  check("the switches for bank and provider are those listed", (await texts(outside)) === listed(SWITCHES.outside), await texts(outside));
  for (const button of await outside.all()) {
    const name = await button.textContent();
    await button.click();
    await until(`${name} goes on`, () => isOn(button));
    await button.click();
    await until(`${name} goes off`, async () => !(await isOn(button)));
  }
  const faults = terminal.locator("[data-fault]");
  check("the switches for devices are those listed", (await texts(faults)) === listed(SWITCHES.device), await texts(faults));
  for (const button of await faults.all()) {
    await button.click();
    await until(`${await button.textContent()} goes on`, () => isOn(button));
  }
  await terminal.getByText("Repair the devices").click();
  for (const button of await faults.all()) await until("a repaired device is well", async () => !(await isOn(button)));
  const cut = terminal.getByText("Cut the network");
  for (const wanted of [true, false]) {
    await cut.click();
    await until(`the network is ${wanted ? "cut" : "mended"}`, async () => (await isOn(cut)) === wanted);
  }
}

async function collect(page, terminal) {
  const glass = terminal.frameLocator("iframe");
  const output = terminal.locator(".pad output");
  const begin = await output.textContent();
  await until("the terminal can be used", async () => (await (await fetch(`${base}/screen/1/state`)).json()).prompt_key === "idle");
  await terminal.getByText("Swipe the card").click();
  await glass.locator("[data-tap=confirm]").first().click({ timeout: PATIENCE_MS });
  await until("the PIN pad asks", async () => (await (await fetch(`${base}/devices/1/state`)).json())["pin-pad"].entering);
  check("the pad's display is shown", begin !== null);
  for (const key of pin) await terminal.locator(".keys button", { hasText: new RegExp(`^${key}$`) }).click();
  await terminal.locator(".keys button.enter").click();
  const papers = terminal.locator(".papers button");
  await until("the ticket lies in the exit", async () => (await papers.count()) >= 1);
  await terminal.getByText("Take the ticket").click();
  await until("ticket and receipt are shown", async () => (await papers.count()) >= 2);
  await papers.first().click();
  const picture = page.locator("#picture img");
  await until("the picture opens", () => picture.evaluate((img) => img.complete && img.naturalWidth > 100));
  await page.locator("#picture button").click();
  await until("the bank's books show the payment", async () => (await page.locator("#money tbody").innerText()).includes("0200"));
}

const browser = await launch();
try {
  const page = await browser.newPage({ viewport: { width: 1400, height: 1000 } });
  page.on("pageerror", (error) => check("no script fails", false, String(error)));
  await page.goto(base);
  await page.locator("#cards tbody tr").first().waitFor({ timeout: PATIENCE_MS });
  const terminal = page.locator("#t1");
  await switches(page, terminal);
  const second = page.locator("#cards tbody button").nth(1);
  await second.click();
  await until("the second card is in the hand", () => isOn(second));
  await page.locator("#card").selectOption({ index: 0 });
  await until("its PIN is told", async () => (await page.locator("#card-says").textContent()).includes(pin));
  await collect(page, terminal);
  for (const name of ["Booking site", "API description", "Metrics", "Screen 1", "Screen 2"]) {
    const address = await page.locator("#links a", { hasText: name }).getAttribute("href");
    check(`${name} is there`, (await fetch(address)).ok, address);
  }
  await look(page, "sandbox-page");
  await page.setViewportSize({ width: 390, height: 844 });
  await look(page, "sandbox-page-phone");
} finally {
  await browser.close();
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
