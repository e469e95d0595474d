// Collects a booking at the terminal as a person would, with the screen in a real browser; then replays every state
// that the terminal showed, in both languages and in high contrast, and asks axe-core about each.
//
//   node kiosk.mjs SCREEN DEVICES TRACK2 PIN
//   node kiosk.mjs SCREEN previews      every screen of a terminal with --preview; SCREENS_DIR=folder for kiosk-NAME-LANGUAGE.png
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { launch } from "./chromium.mjs";

const [screen, devices, track2, pin] = process.argv.slice(2).map((word) => word.replace(/\/+$/, ""));
const isPreviews = devices === "previews";
if (!screen || !devices || !isPreviews && (!/^\d{12,19}=\d+$/.test(track2 ?? "") || !/^\d{4,12}$/.test(pin ?? ""))) {
  console.error("usage: node kiosk.mjs SCREEN DEVICES TRACK2 PIN | node kiosk.mjs SCREEN previews");
  process.exit(2);
}
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const shots = process.env.SCREENS_DIR;
const PATIENCE_MS = 60_000;
const LOOK_EVERY_MS = 100;
const TABS_MAX = 40;
const TARGET_MIN_PX = 60;
const VIEWPORT = { width: 1080, height: 1920 };
const LANDSCAPE = { width: 1280, height: 800 };
/** How each preview is looked at: language, setting, viewport. The first two are kept as pictures. */
const LOOKS = [["zh", "", VIEWPORT], ["en", "", VIEWPORT], ["zh", "contrast", VIEWPORT], ["en", "larger", VIEWPORT], ["en", "offline", VIEWPORT], ["zh", "", LANDSCAPE], ["en", "", LANDSCAPE]];
/** Pictures are smaller than the screen. */
const SHOT_SCALE = 2 / 3;
const LOCALES = { zh: "zh-CN", en: "en-GB" };
const CARD_NUMBER = track2?.split("=")[0];
/** Screens that only a verified PIN leads to. */
const AFTER_PIN = new Set(["issuing", "take_ticket", "receipt", "done"]);
/** Screens that a collection without trouble always shows. */
const WALK = ["idle", "confirm", "pin_entry", "take_ticket", "done"];
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

const pause = (ms) => new Promise((later) => setTimeout(later, ms));

async function until(what, look) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not seen in ${PATIENCE_MS} ms: ${what}`);
    await pause(LOOK_EVERY_MS);
  }
}

/** One move at the twin of the devices; answers whether it was possible. */
async function device(path, body) {
  const answer = await fetch(`${devices}${path}`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  if (!answer.ok && answer.status !== 409) throw new Error(`${path} answered ${answer.status}: ${await answer.text()}`);
  return answer.ok;
}

/** Every state that the terminal tells of, in order, from its own event stream. */
function listen() {
  const states = [];
  const stop = new AbortController();
  const ended = (async () => {
    const answer = await fetch(`${screen}/events`, { signal: stop.signal });
    const words = new TextDecoder();
    let rest = "";
    for await (const piece of answer.body) {
      const lines = (rest + words.decode(piece, { stream: true })).split("\n");
      rest = lines.pop();
      for (const line of lines) if (line.startsWith("data:")) states.push(JSON.parse(line.slice(5)));
    }
  })().catch((error) => {
    if (!stop.signal.aborted) check("the event stream stays open", false, String(error));
  });
  return { states, close: async () => { stop.abort(); await ended; } };
}

function watch(page) {
  page.on("console", (message) => {
    if (message.type() === "error" && !/status of 409/.test(message.text())) {
      check("the console stays silent", false, message.text());
    }
  });
  page.on("pageerror", (error) => check("no script fails", false, String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(screen)) check("nothing is fetched from elsewhere", false, request.url());
  });
}

/** Runs in the page: keeps every text that was ever in it, with the screen it belonged to. */
function remember_texts() {
  window.everShown = [];
  const keep = () => {
    const main = document.getElementById("main");
    if (!main) return;
    const labels = [...document.querySelectorAll("[aria-label]")].map((e) => e.getAttribute("aria-label"));
    const text = [document.title, document.body.textContent, main.dataset.speech ?? "", ...labels].join("\n");
    const name = main.className.split(" ")[1] ?? "";
    const last = window.everShown.at(-1);
    if (!last || last.text !== text) window.everShown.push({ name, text });
  };
  new MutationObserver(keep).observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
}

const shows = (page) => page.evaluate(() => document.getElementById("main").className.split(" ")[1] ?? "");
const until_shows = (page, ...names) => until(`the screen shows ${names.join(" or ")}`, async () => {
  const now = await shows(page);
  return names.includes(now) && now;
});

/** What axe-core finds and how large the targets are; `name` says where. */
async function look(page, name, viewport = VIEWPORT) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const bad = found.violations.filter((v) => ["serious", "critical"].includes(v.impact));
  const said = bad.map((v) => `${v.id} at ${v.nodes.map((n) => `${n.target.join(" ")} (${n.any[0]?.message ?? ""})`).join(", ")}`);
  check(`${name}: axe-core finds nothing serious`, bad.length === 0, said.join("; "));
  const buttons = await page.evaluate(() => [...document.querySelectorAll("button, [role=button]")]
    .map((b) => ({ box: b.getBoundingClientRect(), text: b.textContent, seen: b.checkVisibility({ visibilityProperty: true }) }))
    .filter(({ seen }) => seen)
    .map(({ box, text }) => ({ text, width: box.width, height: box.height, right: box.right, bottom: box.bottom })));
  const small = buttons.filter((b) => b.height < TARGET_MIN_PX || b.width < TARGET_MIN_PX);
  check(`${name}: there are buttons`, buttons.length > 0);
  check(`${name}: every target is large`, small.length === 0, small.map((b) => `${b.text} ${b.width}x${b.height}`).join(", "));
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  check(`${name}: nothing is wider than the screen`, wide <= 0, `${wide} px too wide`);
  const outside = buttons.filter((b) => b.right > viewport.width + 1 || b.bottom > viewport.height + 1);
  check(`${name}: every button is on the screen`, outside.length === 0, outside.map((b) => b.text).join(", "));
}

/** The prompt that a person reads. */
async function prompt(page) {
  return page.evaluate(() => ({
    lang: document.documentElement.lang,
    title: document.getElementById("title").textContent.trim(),
    hint: document.querySelector(".hint").textContent.trim(),
  }));
}

const until_language = (page, language) =>
  until(`the page is in ${language}`, async () => (await prompt(page)).lang === LOCALES[language]);
const button = (tap) => `button[data-tap="${tap}"]`;

async function languages(page) {
  const said = {};
  for (const language of ["en", "zh", "en"]) {
    await page.click(button(`language:${language}`));
    await until_language(page, language);
    const now = await prompt(page);
    check(`the ${language} prompt has words`, now.title !== "" && now.hint !== "", JSON.stringify(now));
    check(`the ${language} button is the pressed one`,
      (await page.getAttribute(button(`language:${language}`), "aria-pressed")) === "true");
    check("the prompt comes back in the same words", !said[language] || said[language].title === now.title);
    said[language] = now;
    await look(page, `idle ${language}`);
  }
  check("the prompts differ", said.en.title !== said.zh.title && said.en.hint !== said.zh.hint, JSON.stringify(said));
  check("the Chinese prompt is Chinese", /\p{Script=Han}/u.test(said.zh.title));
  check("the English prompt is English", /^[\x20-\x7e’]+$/.test(said.en.title), said.en.title);
}

const dots = (page) => page.locator(".dot.on").count();

async function enter_pin(page) {
  check("no digit is entered yet", (await dots(page)) === 0);
  for (const [at, key] of [...pin].entries()) {
    await device("/pin-pad/key", { key });
    await until(`${at + 1} digits on the screen`, async () => (await dots(page)) === at + 1);
  }
  check("each digit is a dot", (await dots(page)) === pin.length);
  await device("/pin-pad/key", { key: "enter" });
}

/** Takes what lies in the exit until the terminal says goodbye. */
async function take_tickets(page) {
  await until("the terminal says goodbye", async () => {
    const now = await shows(page);
    if (now === "problem") throw new Error(`the terminal shows a problem: ${(await prompt(page)).title}`);
    if (now === "take_ticket") await device("/paper/take", {});
    return now === "done";
  });
}

/** The names that were printed: the full ones, which the screen may show only after the PIN. */
async function printed_names() {
  const { papers } = await (await fetch(`${devices}/paper`)).json();
  const names = papers.filter((p) => p.kind === "ticket").flatMap((p) => texts_of(p.note));
  return { papers, names };
}

function texts_of(value) {
  if (typeof value === "string") return [value];
  return value && typeof value === "object" ? Object.values(value).flatMap(texts_of) : [];
}

/** Touches a button whose answer comes only after the event stream has told of a later screen, which must stay. */
async function touch_with_late_answer(page, tap, later) {
  let release;
  const seen = new Promise((go) => { release = go; });
  await page.route(`${screen}/tap`, async (route) => {
    const answer = await route.fetch();
    await seen;
    await route.fulfill({ response: answer });
  });
  const answered = page.waitForEvent("requestfinished", (request) => request.url() === `${screen}/tap`);
  await page.click(button(tap));
  await until_shows(page, later).finally(release);
  await answered;
  // Two frames: the page has read the answer by then.
  await page.evaluate(() => new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(done)); }));
  check(`a late answer does not bring back what was before ${later}`, (await shows(page)) === later, await shows(page));
  await page.unroute(`${screen}/tap`);
}

async function collect(page, states) {
  await device("/swipe", { track2 });
  await until_shows(page, "confirm");
  await look(page, "confirm");
  const masked = (await page.locator(".ticket .name").allTextContents()).map((n) => n.trim());
  check("the booking shows a masked name", masked.length > 0 && masked.every((n) => /[*•＊]/.test(n)), masked.join(", "));
  await touch_with_late_answer(page, "confirm", "pin_entry");
  await look(page, "pin_entry");
  await enter_pin(page);
  await until_shows(page, "take_ticket");
  const name = await page.evaluate(() => document.querySelector(".for")?.textContent ?? "");
  await look(page, "take_ticket");
  await take_tickets(page);
  await look(page, "done");
  const full = states.map((s) => s.params?.name).find((n) => typeof n === "string" && n !== "") ?? "";
  check("the ticket's screen calls the passenger by name", full !== "" && name.includes(full), name);
  const { papers, names } = await printed_names();
  check("the ticket is printed for that passenger", names.some((n) => n.includes(full)), JSON.stringify(papers));
  return full;
}

/** Nothing that only the card's holder may see was shown before the PIN, and the card's number never. */
async function secrets(page, states, full) {
  const texts = await page.evaluate(() => window.everShown);
  const firstTexts = texts.findIndex((t) => AFTER_PIN.has(t.name));
  const firstState = states.findIndex((s) => AFTER_PIN.has(s.screen));
  check("the walk went past the PIN", firstTexts > 0 && firstState > 0);
  const before = [...texts.slice(0, firstTexts).map((t) => t.text), ...states.slice(0, firstState).map((s) => JSON.stringify(s))];
  check("the screens before the PIN were read", ["confirm", "pin_entry"].every((n) => texts.slice(0, firstTexts).some((t) => t.name === n)));
  check("the full name is not told before the PIN", full !== "" && !before.some((text) => text.includes(full)), full);
  const ever = [...texts.map((t) => t.text), ...states.map((s) => JSON.stringify(s))];
  const pieces = [CARD_NUMBER, CARD_NUMBER.replace(/(\d{4})(?=\d)/g, "$1 ")];
  check("the card's number is never told", !ever.some((text) => pieces.some((piece) => text.includes(piece))));
}

/** Walks with the Tab key to the button of a tap, which must show that it has the focus. */
async function tab_to(page, tap) {
  for (let n = 0; n < TABS_MAX; n += 1) {
    await page.keyboard.press("Tab");
    const now = await page.evaluate(() => {
      const at = document.activeElement;
      const style = getComputedStyle(at);
      return { tap: at.dataset?.tap, ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 };
    });
    if (now.tap === tap) {
      check(`the focus is seen on ${tap}`, now.ring);
      return;
    }
  }
  throw new Error(`the Tab key does not reach ${tap}`);
}

/** The same card again, when nothing waits for it any more; without mouse or touch. */
async function by_keyboard(page) {
  await tab_to(page, "done");
  await page.keyboard.press("Enter");
  await until_shows(page, "idle");
  for (const language of ["zh", "en"]) {
    await tab_to(page, `language:${language}`);
    await page.keyboard.press(language === "zh" ? "Enter" : "Space");
    await until_language(page, language);
    check(`the focus stays on ${language}`,
      (await page.evaluate(() => document.activeElement.dataset?.tap)) === `language:${language}`);
  }
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const plain = await ground();
  await tab_to(page, "contrast");
  await page.keyboard.press("Enter");
  await until("high contrast", () => page.evaluate(() => document.documentElement.classList.contains("contrast")));
  check("high contrast is on", (await page.getAttribute(button("contrast"), "aria-pressed")) === "true");
  check("high contrast is black", (await ground()) === "rgb(0, 0, 0)" && plain !== "rgb(0, 0, 0)", `${plain} ${await ground()}`);
  await look(page, "idle in contrast");

  await device("/swipe", { track2 });
  await until_shows(page, "problem");
  check("no booking waits any more", (await page.getAttribute("#main", "class")).includes("problem_no_booking"));
  await look(page, "problem in contrast");
  await tab_to(page, "done");
  await page.keyboard.press("Enter");
  await until_shows(page, "idle");
}

/** The contrast by a click, on and off again. */
async function contrast(page) {
  for (const wanted of ["true", "false"]) {
    const now = await page.getAttribute(button("contrast"), "aria-pressed");
    if (now === wanted) continue;
    await page.click(button("contrast"));
    await until(`contrast ${wanted}`, async () => (await page.getAttribute(button("contrast"), "aria-pressed")) === wanted);
    check(`a click sets the contrast to ${wanted}`, true);
  }
}

/** Runs in the page: what the browser's voice is given is kept instead of being heard. */
function remember_speech() {
  window.everSpoken = [];
  SpeechSynthesis.prototype.speak = (utterance) => { window.everSpoken.push({ lang: utterance.lang, text: utterance.text }); };
}

/** Read aloud on demand, in the language of the screen, and no more once it is switched off. */
async function speech(page) {
  const spoken = () => page.evaluate(() => window.everSpoken);
  const pressed = (wanted) => until(`speech ${wanted}`, async () => (await page.getAttribute(button("speech"), "aria-pressed")) === wanted);
  check("nothing is read aloud unasked", (await spoken()).length === 0);
  await page.click(button("speech"));
  await pressed("true");
  const last = async () => (await spoken()).at(-1) ?? {};
  const here = await prompt(page);
  check("the prompt is read aloud", (await last()).text?.includes(here.title) && (await last()).lang === here.lang, JSON.stringify(await last()));
  const other = here.lang === LOCALES.zh ? "en" : "zh";
  await page.click(button(`language:${other}`));
  await until_language(page, other);
  const there = await prompt(page);
  check("another language is read aloud in its own voice", (await last()).text?.includes(there.title) && (await last()).lang === LOCALES[other], JSON.stringify(await last()));
  await page.click(button("speech"));
  await pressed("false");
  const before = (await spoken()).length;
  await languages(page);
  check("nothing is read aloud after it is switched off", (await spoken()).length === before);
}

/** One state of each kind that was shown, with the name it is kept under. */
function kinds(states) {
  const seen = new Map();
  for (const state of states) {
    const name = state.screen === state.prompt_key ? state.screen : `${state.screen}-${state.prompt_key}`;
    if (!seen.has(name)) seen.set(name, state);
  }
  return seen;
}

/** Shows each state once more on the terminal's page, standing still, so that the fleeting ones can be looked at too. */
async function replay(context, states) {
  const page = await context.newPage();
  watch(page);
  let html = "";
  await page.route(`${screen}/`, async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, body: html });
  });
  const original = await (await fetch(`${screen}/`)).text();
  const titles = new Map();
  for (const [name, state] of kinds(states)) {
    for (const [language, isContrast] of [["zh", false], ["en", false], ["en", true]]) {
      const shown = JSON.stringify({ ...state, language, contrast: isContrast, larger: false }).replaceAll("<", "\\u003c");
      html = original.replace('data-mode="live"', 'data-mode="still"')
        .replace(/(<script type="application\/json" id="state">)[^]*?(<\/script>)/, (_, open, close) => open + shown + close);
      await page.goto(`${screen}/`);
      await page.waitForSelector("body.ready");
      const where = `${name} ${language}${isContrast ? " in contrast" : ""}`;
      check(`${where}: it is the screen that was shown`, (await shows(page)) === state.screen);
      const now = await prompt(page);
      check(`${where}: the language is told`, now.lang === LOCALES[language], now.lang);
      check(`${where}: the prompt has words`, now.title !== "" && now.hint !== "" && !/[{}]|undefined/.test(now.title + now.hint), JSON.stringify(now));
      titles.set(where, now.title);
      await look(page, where);
    }
    check(`${name}: the languages differ`, titles.get(`${name} zh`) !== titles.get(`${name} en`), titles.get(`${name} en`));
  }
  await page.close();
}

/** Every screen there is, from the terminal's own samples, as people meet it: languages, settings, upright and lying. */
async function previews(browser) {
  const { screens } = await (await fetch(`${screen}/preview?screen=`)).json();
  check("there are samples", screens?.length > 0, JSON.stringify(screens));
  const options = { viewport: VIEWPORT, deviceScaleFactor: SHOT_SCALE, reducedMotion: "reduce", locale: "en-GB" };
  const page = await (await browser.newContext(options)).newPage();
  watch(page);
  for (const name of screens ?? []) {
    for (const [language, setting, viewport] of LOOKS) {
      const where = `${name} ${language} ${setting} ${viewport.width}x${viewport.height}`;
      await page.setViewportSize(viewport);
      await page.goto(`${screen}/preview?screen=${name}&lang=${language}${setting && `&${setting}=true`}`);
      await page.waitForSelector("body.ready");
      const now = await prompt(page);
      check(`${where}: the language is told`, now.lang === LOCALES[language], now.lang);
      check(`${where}: the prompt has words`, now.title !== "" && now.hint !== "" && !/[{}]|undefined/.test(now.title + now.hint), JSON.stringify(now));
      await look(page, where, viewport);
      const hidden = await page.evaluate(() => {
        const main = document.getElementById("main");
        return main.scrollHeight - main.clientHeight;
      });
      check(`${where}: nothing is cut off`, hidden <= 1, `${hidden} px below the edge`);
      if (name === "choosing") {
        const later = await page.evaluate(() => [...document.querySelectorAll(".later-day")].map((e) => e.textContent.trim()));
        const night = language === "zh" ? "+1 天" : "+1 d";
        check(`${where}: the two that arrive on the next day say so, and no other`, later.join() === `${night},${night}`, later.join());
      }
      if (shots && !setting && viewport === VIEWPORT) await page.screenshot({ path: join(shots, `kiosk-${name}-${language}.png`) });
    }
  }
}

async function walk(browser) {
  const context = await browser.newContext({ viewport: VIEWPORT, hasTouch: true, locale: "en-GB" });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  watch(page);
  await page.addInitScript(remember_texts);
  await page.addInitScript(remember_speech);
  const heard = listen();
  try {
    await page.goto(`${screen}/`);
    await page.waitForSelector("body.ready");
    await until_shows(page, "idle");
    await languages(page);
    await speech(page);
    const full = await collect(page, heard.states);
    await secrets(page, heard.states, full);
    await by_keyboard(page);
    await contrast(page);
  } finally {
    await heard.close();
  }
  await page.close();
  const names = new Set(heard.states.map((s) => s.screen));
  check("the walk saw every screen of a collection", WALK.every((n) => names.has(n)), [...names].join(", "));
  await replay(context, heard.states);
  await context.close();
}

if (shots) mkdirSync(shots, { recursive: true });
const browser = await launch();
try {
  await (isPreviews ? previews(browser) : walk(browser));
} catch (error) {
  check("the walk comes to its end", false, error.message);
} finally {
  await browser.close();
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
