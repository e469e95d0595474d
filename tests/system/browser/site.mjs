// Books on the site as a person would: by mouse in English at a desk, by keyboard alone in Chinese on a phone; opens the
// booking again, cancels it, and asks axe-core about every page.
//
//   node site.mjs BASE CARD [FOLDER FOR SCREENSHOTS]
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { launch } from "./chromium.mjs";

const [base, card, shots] = process.argv.slice(2);
if (!base || !/^\d{13,19}$/.test(card ?? "")) {
  console.error("usage: node site.mjs BASE CARD [FOLDER]");
  process.exit(2);
}
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PATIENCE_MS = 20_000;
const TABS_MAX = 400;
const SECRET = "Kranich 7";
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

/** What axe-core finds on a page; only serious and critical findings fail. */
async function look(page, name, { full = true } = {}) {
  await page.waitForLoadState("load");
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const bad = found.violations.filter((v) => ["serious", "critical"].includes(v.impact));
  const said = bad.map((v) => `${v.id} at ${v.nodes.map((n) => n.target.join(" ")).join(", ")}`);
  check(`${name}: axe-core finds nothing serious`, bad.length === 0, said.join("; "));
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  check(`${name}: nothing is wider than the screen`, wide <= 0, `${wide} px too wide`);
  if (shots) await page.screenshot({ path: join(shots, `site-${name}.png`), fullPage: full });
}

async function open(browser, { locale, width, height }) {
  const context = await browser.newContext({
    locale, viewport: { width, height }, timezoneId: "Europe/Berlin",
  });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  page.on("console", (message) => {
    // A page that answers 404 or 422 is told on the console too; it is what is tested.
    if (message.type() === "error" && !/status of 4\d\d/.test(message.text())) {
      check("the console stays silent", false, message.text());
    }
  });
  page.on("pageerror", (error) => check("no script fails", false, String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(base)) check("nothing is fetched from elsewhere", false, request.url());
  });
  return { context, page };
}

const focused = (page) => page.evaluate(() => document.activeElement?.id ?? "");

/** Walks with the Tab key until an element is focused whose id fits. */
async function tab_to(page, wanted) {
  const fits = (id) => (wanted instanceof RegExp ? wanted.test(id) : id === wanted);
  for (let n = 0; n < TABS_MAX; n += 1) {
    await page.keyboard.press("Tab");
    const id = await focused(page);
    if (fits(id)) {
      const seen = await page.evaluate(() => {
        const style = getComputedStyle(document.activeElement);
        const after = document.activeElement.nextElementSibling;
        return style.outlineStyle !== "none" || (after && getComputedStyle(after).outlineStyle !== "none");
      });
      check(`focus is seen on ${id}`, seen);
      return id;
    }
  }
  throw new Error(`the Tab key does not reach ${wanted}`);
}

async function press_to_next(page, key = "Enter") {
  await Promise.all([page.waitForEvent("framenavigated"), page.keyboard.press(key)]);
  await page.waitForLoadState("load");
}

/** A search that finds trains, with the names that people would type. */
async function example() {
  const get = async (path) => {
    const answer = await fetch(`${base}${path}`);
    if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
    return answer.json();
  };
  const found = await get("/api/v1/example");
  const query = new URLSearchParams(found);
  const journeys = await get(`/api/v1/journeys?${query}`);
  if (journeys.length === 0) throw new Error("the example has no journeys");
  return { ...found, fromName: journeys[0].from_name, toName: journeys[0].to_name };
}

async function reference_of(page) {
  await page.waitForSelector("#state[data-code=held]");
  return page.getAttribute("#reference", "data-reference");
}

/** The order has the seats that were chosen, no others, and the page tells each. */
async function has_seats(page, reference, names, told) {
  const answer = await fetch(`${base}/api/v1/orders/${reference}`, { headers: { "X-Second-Factor": SECRET } });
  const { lines } = await answer.json();
  const [wanted, given] = [names, lines.map(told)].map((list) => [...list].sort().join(", "));
  check("the order has the seats that were chosen", wanted === given, `${given} instead of ${wanted}`);
  const shown = await page.locator(".order-line").allTextContents();
  const missing = lines.filter((line) => !shown.some((text) => text.includes(line.seat)));
  check("the page tells the seats", shown.length === lines.length && missing.length === 0, JSON.stringify(shown));
}

async function by_mouse(browser, trip) {
  const { context, page } = await open(browser, { locale: "en-GB", width: 1280, height: 900 });
  await page.goto(`${base}/`);
  check("the site is in English", (await page.getAttribute("html", "lang")) === "en");
  await look(page, "desk-en-home");
  await page.goto(`${base}/nowhere`);
  await look(page, "desk-en-error");
  await page.click("#brand");

  for (const [field, name] of [["from", trip.fromName], ["to", trip.toName]]) {
    await page.click(`#${field}`);
    await page.keyboard.type(name);
    await page.click(`#${field}-list [role=option]:text-is("${name.replaceAll('"', '\\"')}")`);
    check(`${field} was chosen`, (await page.inputValue(`#${field}-id`)) === trip[field]);
  }
  await page.click("#swap");
  check("from and to change places", (await page.inputValue("#from-id")) === trip.to);
  await page.click("#swap");
  await page.fill("#date", trip.date);
  await page.selectOption("#passengers", "2");
  await page.click("#search-submit");
  check("trains are found", (await page.locator(".train").count()) > 0);
  await look(page, "desk-en-results", { full: false });
  await page.click("#change-search");
  await page.keyboard.press("Escape");

  await page.locator("a[id^=seats-]").last().click();
  await page.waitForSelector(".seat");
  const free = page.locator(".coach:not([hidden]) .seat input:enabled");
  // Not the first ones, which would be given to who chooses none.
  const chosen = [free.nth(-1), free.nth(-4)];
  for (const seat of chosen) await seat.check({ force: true });
  const names = await Promise.all(chosen.map((seat) => seat.getAttribute("data-name")));
  check("both seats are told", /2/.test(await page.textContent("#chosen")));
  await free.nth(0).click({ force: true });
  check("a third seat is not given", (await page.locator(".seat input:checked").count()) === 2);
  await look(page, "desk-en-seats");
  await page.click("#seats-continue");

  await page.click("#hold");
  await page.waitForSelector("#errors");
  check("the errors have the focus", (await focused(page)) === "errors");
  await look(page, "desk-en-passengers-errors");
  await page.fill("#p0-name", "Erika Mustermann");
  await page.fill("#p0-document", "C01X00T47");
  await page.fill("#p1-name", "Jürgen <b>O'Neil</b> & Söhne");
  await page.selectOption("#p1-kind", "passport");
  await page.fill("#p1-document", "L8981234");
  await page.fill("#card", card.replace(/.$/, (d) => String((Number(d) + 1) % 10)));
  await page.fill("#secret", SECRET);
  await page.click("#hold");
  await page.waitForSelector("#card-wrong:not([hidden])");
  check("a wrong card number is not kept", (await page.inputValue("#card")) === "");
  check("names are kept", (await page.inputValue("#p0-name")) === "Erika Mustermann");
  await page.fill("#card", card);
  await look(page, "desk-en-passengers");
  await page.click("#hold");
  const reference = await reference_of(page);
  check("a reference is given", /^[0-9A-Z]{10}$/.test(reference ?? ""));
  await has_seats(page, reference, names, (line) => `coach ${line.coach} seat ${line.seat}`);
  check("nobody's name becomes markup", (await page.locator(".order-line b >> text=O'Neil").count()) === 0);
  check("the card is masked", !(await page.content()).includes(card));
  await look(page, "desk-en-confirmation");
  await page.click("#close");

  await page.waitForSelector("#mine");
  await page.fill("#reference", reference.toLowerCase());
  await page.fill("#secret", "not this");
  await page.click("#open");
  await page.waitForSelector("#errors");
  await look(page, "desk-en-my-booking");
  await page.fill("#secret", SECRET);
  await page.click("#open");
  await page.waitForSelector("#order");
  await look(page, "desk-en-booking");
  await page.click("#cancel");
  await page.waitForSelector("#cancel-form");
  await look(page, "desk-en-cancel");
  await page.click("#cancel-yes");
  await page.waitForSelector("#state[data-code=cancelled]");
  await look(page, "desk-en-cancelled");
  await context.close();
}

async function choose_station(page, field, name, id) {
  await tab_to(page, field);
  await page.keyboard.type(name);
  const option = page.locator(`#${field}-list [role=option]`).first();
  await option.waitFor();
  const names = await page.locator(`#${field}-list [role=option]`).allTextContents();
  const at = names.indexOf(name);
  for (let n = 0; n <= at; n += 1) await page.keyboard.press("ArrowDown");
  const active = await page.getAttribute(`#${field}`, "aria-activedescendant");
  check("the marked option is told", active === `${field}-list-${at}`);
  await page.keyboard.press("Enter");
  check(`${field} was chosen by keyboard`, (await page.inputValue(`#${field}-id`)) === id);
}

/** Types a date; the order of its parts is the browser's own, so each is tried until the value is right. */
async function type_date(page, date) {
  const [year, month, day] = date.split("-");
  for (const parts of [[month, day, year], [day, month, year], [year, month, day]]) {
    await tab_to(page, "date");
    for (const part of parts) {
      await page.keyboard.type(part);
      // Four digits of a year do not lead on by themselves.
      if (part === year) await page.keyboard.press("ArrowRight");
    }
    if ((await page.inputValue("#date")) === date) break;
    do {
      await page.keyboard.press("Shift+Tab");
    } while ((await focused(page)) === "date");
  }
  check("the date was typed", (await page.inputValue("#date")) === date, await page.inputValue("#date"));
}

async function by_keyboard(browser, trip) {
  const { context, page } = await open(browser, { locale: "zh-CN", width: 390, height: 844 });
  await page.goto(`${base}/`);
  check("the site is in Chinese", (await page.getAttribute("html", "lang")) === "zh-CN");
  await look(page, "phone-zh-home");
  await page.keyboard.press("Tab");
  check("the first stop skips to the content", (await focused(page)) === "skip");
  await page.keyboard.press("Enter");

  await choose_station(page, "from", trip.fromName, trip.from);
  await choose_station(page, "to", trip.toName, trip.to);
  await type_date(page, trip.date);
  await tab_to(page, "search-submit");
  await press_to_next(page);
  await look(page, "phone-zh-results", { full: false });

  await tab_to(page, /^seats-\d+-2$/);
  await press_to_next(page);
  await tab_to(page, /^coach-tab-/);
  const coach = await page.getAttribute("[role=tab][aria-selected=true]", "id");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowLeft");
  check("the arrows come back to the coach", (await page.getAttribute("[role=tab][aria-selected=true]", "id")) === coach);
  const first = await tab_to(page, /^seat-\d+$/);
  await page.keyboard.press("ArrowDown");
  const second = await focused(page);
  check("the arrow moves to another seat", second !== first && /^seat-\d+$/.test(second), second);
  await page.keyboard.press("Space");
  check("the seat is chosen", await page.isChecked(`#${second}`));
  const name = await page.getAttribute(`#${second}`, "data-name");
  await look(page, "phone-zh-seats", { full: false });
  await tab_to(page, "seats-continue");
  await press_to_next(page);

  await tab_to(page, "p0-name");
  await page.keyboard.type("李娜");
  await tab_to(page, "p0-kind");
  await page.keyboard.press("ArrowDown");
  await tab_to(page, "p0-document");
  await page.keyboard.type("E12345678");
  await tab_to(page, "card");
  await page.keyboard.type(card);
  await tab_to(page, "pickup");
  await tab_to(page, "secret");
  await page.keyboard.type(SECRET);
  await tab_to(page, "contact");
  await page.keyboard.type("+86 138 0013 8000");
  await look(page, "phone-zh-passengers");
  await tab_to(page, "hold");
  await press_to_next(page);
  const reference = await reference_of(page);
  check("a reference is given", /^[0-9A-Z]{10}$/.test(reference ?? ""));
  await has_seats(page, reference, [name], (line) => `${line.coach}车${line.seat}座`);
  await look(page, "phone-zh-confirmation");

  await tab_to(page, "close");
  await press_to_next(page);
  await tab_to(page, "reference");
  await page.keyboard.type(reference);
  await tab_to(page, "secret");
  await page.keyboard.type(SECRET.toUpperCase());
  await look(page, "phone-zh-my-booking");
  await press_to_next(page);
  await page.waitForSelector("#order");
  await look(page, "phone-zh-booking");
  await tab_to(page, "cancel");
  await press_to_next(page);
  await look(page, "phone-zh-cancel");
  await tab_to(page, "cancel-yes");
  await press_to_next(page);
  await page.waitForSelector("#state[data-code=cancelled]");
  check("the booking is cancelled", true);
  await look(page, "phone-zh-cancelled");
  await tab_to(page, "language");
  await press_to_next(page);
  check("the language changes in place", (await page.getAttribute("html", "lang")) === "en" && page.url().endsWith(reference));
  await context.close();
}

/** The same pages in the language and on the screen that the two bookings did not see. */
async function others(browser, trip) {
  const query = new URLSearchParams({ from: trip.from, to: trip.to, date: trip.date });
  for (const [name, locale, width, height] of [["phone-en", "en-GB", 390, 844], ["desk-zh", "zh-CN", 1280, 900], ["small-en", "en-GB", 360, 740]]) {
    const { context, page } = await open(browser, { locale, width, height });
    await page.goto(`${base}/`);
    await look(page, `${name}-home`);
    await page.goto(`${base}/journeys?${query}`);
    await look(page, `${name}-results`, { full: false });
    const seats = await page.locator("a[id^=seats-]").last().getAttribute("href");
    const book = await page.locator("a[id^=choose-]").last().getAttribute("href");
    await page.goto(base + seats);
    await look(page, `${name}-seats`, { full: false });
    await page.goto(base + book);
    await page.click("#add-passenger");
    await look(page, `${name}-passengers`);
    await page.goto(`${base}/bookings`);
    await look(page, `${name}-my-booking`);
    await page.goto(`${base}/nowhere`);
    await look(page, `${name}-error`);
    await context.close();
  }
}

const browser = await launch();
try {
  const trip = await example();
  for (const part of [by_mouse, by_keyboard, others]) {
    try {
      await part(browser, trip);
    } catch (error) {
      check(`${part.name} comes to its end`, false, error.message);
    }
  }
} catch (error) {
  check("the site has an example to try", false, error.message);
} finally {
  await browser.close();
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
