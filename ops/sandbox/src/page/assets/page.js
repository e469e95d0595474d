"use strict";
const $ = (s, at = document) => at.querySelector(s);
const make = (tag, attrs = {}, ...kids) => {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attrs)) {
    if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
    else if (v !== undefined && v !== null) e.setAttribute(k, v);
  }
  e.append(...kids);
  return e;
};
const say = (text, bad = false) => { const m = $("#message"); m.textContent = text; m.className = bad ? "bad" : ""; };
async function call(path, body) {
  const r = await fetch(path, body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const text = await r.text();
  let value = null;
  try { value = JSON.parse(text); } catch { /* a plain answer */ }
  if (!r.ok) throw new Error((value && (value.detail || value.title)) || text || r.status);
  return value;
}
const doing = (what, f) => async () => { try { await f(); say(what); } catch (e) { say(what + ": " + e.message, true); } };
const money = (minor, currency, decimals = 2) => (minor === null || minor === undefined) ? "" : (minor / 10 ** decimals).toFixed(decimals) + (currency ? " " + currency : "");
const CURRENCY = { 156: ["CNY", 2], 978: ["EUR", 2], 392: ["JPY", 0], 840: ["USD", 2], 414: ["KWD", 3] };
const inCurrency = (minor, numeric) => { const [c, d] = CURRENCY[numeric] || ["", 2]; return money(minor, c, d); };

// What the switches say to the twins; the bank's and provider's rules stay until they are cleared.
const OUTSIDE = [
  ["Bank slow (5 s)", "bank", { kind: "delay", ms: 5000 }],
  ["Bank drops answers", "bank", { kind: "drop_answer" }],
  ["Bank down", "bank", { kind: "down" }],
  ["Bank declines (05)", "bank", { kind: "decline", code: "05" }],
  ["Provider slow (5 s)", "provider", { kind: "delay", ms: 5000, count: 0 }],
  ["Provider drops answers", "provider", { kind: "drop_answer", count: 0 }],
];
const DEVICE = [
  ["Jam the next ticket", { device: "ticket-printer", fault: "jam" }],
  ["Ticket paper out", { device: "ticket-printer", fault: "paper-out" }],
  ["Ticket not taken", { device: "ticket-printer", fault: "not-taken" }],
  ["Receipt paper out", { device: "receipt-printer", fault: "paper-out" }],
  ["Bad swipe", { device: "card-reader", fault: "bad-read" }],
];
let at, chosen;

function links() {
  const list = [["Booking site", at.web + "/"], ["API description", at.web + "/api/v1/openapi.json"], ["Metrics", at.web + "/metrics"]];
  for (const t of at.terminals) list.push(["Screen " + t.id, t.screen + "/"]);
  $("#links").replaceChildren(...list.map(([text, href]) => make("li", {}, make("a", { href, target: "_blank", rel: "noopener" }, text))));
  $("#site").href = at.web + "/";
}

function terminal(t) {
  const frame = make("iframe", { src: t.screen + "/", title: "Screen of terminal " + t.id });
  const glass = make("div", { class: "glass" }, frame);
  new ResizeObserver(() => { frame.style.transform = "scale(" + glass.clientWidth / 1080 + ")"; }).observe(glass);
  const key = (k, label, cls) => make("button", { class: cls, "aria-label": "PIN pad key " + label, onclick: doing("pressed " + label, () => call("devices/" + t.id + "/pin-pad/key", { key: k })) }, label);
  const cut = make("button", { "aria-pressed": "false", onclick: async () => {
    const on = cut.getAttribute("aria-pressed") !== "true";
    await doing(on ? "network of terminal " + t.id + " cut" : "network of terminal " + t.id + " mended", () => call("wire/" + t.id, { cut: on }))();
    cut.setAttribute("aria-pressed", on);
  } }, "Cut the network");
  return make("article", { class: "terminal", id: "t" + t.id },
    make("h3", {}, "Terminal " + t.id, make("small", {}, t.place_name)),
    glass,
    make("div", { class: "side" },
      make("div", {}, make("h4", {}, "Card reader"), make("button", { class: "go", onclick: () => swipe(t.id) }, "Swipe the chosen card")),
      make("div", {}, make("h4", {}, "PIN pad"), make("div", { class: "pad" }, make("output", {}, ""),
        make("div", { class: "keys" }, ...["1", "2", "3", "4", "5", "6", "7", "8", "9"].map((k) => key(k, k)), key("cancel", "Cancel", "cancel"), key("0", "0"), key("enter", "Enter", "enter"), key("clear", "Clear", "clear")))),
      make("div", {}, make("h4", {}, "Exit"), make("button", { onclick: doing("took the ticket", () => call("devices/" + t.id + "/paper/take", {})) }, "Take the ticket")),
      make("div", {}, make("h4", {}, "Break something"), make("div", { class: "switches" },
        ...DEVICE.map(([text, rule]) => make("button", { onclick: doing(text + " at terminal " + t.id, () => call("devices/" + t.id + "/fault", rule)) }, text)), cut,
        make("button", { onclick: doing("devices of terminal " + t.id + " repaired", () => call("devices/" + t.id + "/faults/clear", {})) }, "Repair the devices"))),
      make("div", {}, make("h4", {}, "Paper"), make("div", { class: "papers" }))));
}

async function swipe(id, card = chosen) {
  if (!card) return say("choose a card below first", true);
  await doing("swiped " + card.pan_masked + " at terminal " + id, () => call("devices/" + id + "/swipe", { track2: card.track2 }))();
}

function outside() {
  const buttons = OUTSIDE.map(([text, who, rule]) => make("button", { onclick: doing(text, () => call(who + "/fault", rule)) }, text));
  buttons.push(make("button", { class: "go", onclick: doing("bank and provider are well again", async () => {
    await call("bank/fault", { clear: true });
    await call("provider/fault", { kind: "clear" });
  }) }, "Mend both"));
  $("#outside").replaceChildren(...buttons);
}

async function cards() {
  const { cards } = await call("bank/cards");
  chosen = chosen || cards[0];
  $("#cards tbody").replaceChildren(...cards.map((c) => make("tr", {},
    make("td", {}, make("code", {}, c.pan.replace(/(.{4})(?=.)/g, "$1 "))), make("td", {}, make("code", {}, c.pin)),
    make("td", { class: "wrap" }, c.description.en, make("br"), make("span", { lang: "zh" }, c.description.zh)),
    make("td", { class: "n" }, inCurrency(c.balance_minor, c.currency)), make("td", { class: "n" }, inCurrency(c.held_minor, c.currency)),
    make("td", {}, ...at.terminals.map((t) => make("button", { "aria-label": "Swipe " + c.pan_masked + " at terminal " + t.id, onclick: () => { chosen = c; swipe(t.id, c); } }, "at " + t.id))))));
}

async function books() {
  const { transactions } = await call("bank/books");
  const rows = [...transactions].reverse().slice(0, 30);
  $("#money tbody").replaceChildren(...rows.map((x) => make("tr", {},
    make("td", {}, make("code", {}, x.mti || "")), make("td", {}, make("code", {}, x.rrn || "")), make("td", {}, x.pan_masked || ""),
    make("td", {}, x.terminal || ""), make("td", { class: "n" }, inCurrency(x.amount_minor ?? x.amount, x.currency)), make("td", {}, typeof x.state === "string" ? x.state : JSON.stringify(x.state)))));
}

const shown = {};
async function papers(t) {
  const { papers } = await call("devices/" + t.id + "/paper");
  const key = papers.map((p) => p.png).join();
  if (shown[t.id] === key) return;
  shown[t.id] = key;
  const base = "devices/" + t.id;
  $("#t" + t.id + " .papers").replaceChildren(...papers.slice(0, 12).map((p) => make("button", { "aria-label": p.kind + " " + p.n, onclick: () => {
    $("#picture img").src = base + p.png; $("#picture img").alt = p.kind + " " + p.n; $("#picture").showModal();
  } }, make("img", { src: base + p.png, alt: "", loading: "lazy" }))));
}

async function pad(t) {
  const state = await call("devices/" + t.id + "/state");
  const p = state["pin-pad"];
  const lines = [p.display || p.text || ""].flat().filter(Boolean);
  $("#t" + t.id + " .pad output").textContent = lines.join("\n") + (p.digits ? " " + "•".repeat(p.digits) : "");
}

async function look() {
  const quiet = (f) => f.catch(() => {});
  await Promise.all(at.terminals.flatMap((t) => [quiet(papers(t)), quiet(pad(t))]).concat([quiet(books()), quiet(cards())]));
  setTimeout(look, 1500);
}

(async () => {
  try {
    ({ at } = await call("where"));
    links(); outside();
    $("#terminals").replaceChildren(...at.terminals.map(terminal));
    await look();
  } catch (e) { say(e.message, true); }
})();
