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

// What the switches say to the twins, the same words as the twins list them in; on until pressed again or used up.
let breaks;
const MEND = { bank: (kind) => ({ clear: true, kind }), provider: () => ({ kind: "clear" }) };
const LISTS = { bank: "bank/faults", provider: "provider/fault" };
const STOPS = { jammed: "a ticket is jammed", paper_out: "the roll is empty", cutter: "the cutter is stuck" };
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
  const cut = make("button", { class: "cut", "aria-pressed": "false", onclick: async () => {
    const on = cut.getAttribute("aria-pressed") !== "true";
    await doing(on ? "network of terminal " + t.id + " cut" : "network of terminal " + t.id + " mended", () => call("wire/" + t.id, { cut: on }))();
    cut.setAttribute("aria-pressed", on);
  } }, "Cut the network");
  return make("article", { class: "terminal", id: "t" + t.id },
    make("h3", {}, "Terminal " + t.id, make("small", {}, t.place_name)),
    glass,
    make("div", { class: "side" },
      make("div", {}, make("h4", {}, "Card reader"), make("button", { class: "go", onclick: () => swipe(t.id) }, "Swipe the card")),
      make("div", {}, make("h4", {}, "PIN pad"), make("div", { class: "pad" }, make("output", {}, ""),
        make("div", { class: "keys" }, ...["1", "2", "3", "4", "5", "6", "7", "8", "9"].map((k) => key(k, k)), key("clear", "Clear", "clear"), key("0", "0"), key("cancel", "Cancel", "cancel"), key("enter", "Enter", "enter")))),
      make("div", {}, make("h4", {}, "Exit"), make("button", { onclick: doing("took the ticket", () => call("devices/" + t.id + "/paper/take", {})) }, "Take the ticket")),
      make("div", {}, make("h4", {}, "Break something"), make("div", { class: "switches" },
        ...breaks.device.map(({ text, device, fault }) => make("button", { "aria-pressed": "false", "data-device": device, "data-fault": fault, onclick: doing(text + " at terminal " + t.id, () => call("devices/" + t.id + "/fault", { device, fault })) }, text)), cut,
        make("button", { class: "go", onclick: doing("devices of terminal " + t.id + " repaired", () => call("devices/" + t.id + "/faults/clear", {})) }, "Repair the devices")),
        make("p", { class: "trouble", role: "status" }))),
    make("div", { class: "paper" }, make("h4", {}, "Paper, newest first"), make("div", { class: "papers" })));
}

async function swipe(id) {
  if (!chosen) return say("choose a card first", true);
  await doing("swiped " + chosen.pan_masked + " at terminal " + id, () => call("devices/" + id + "/swipe", { track2: chosen.track2 }))();
}

function outside() {
  const buttons = breaks.outside.map(({ text, who, rule }) => {
    const button = make("button", { "aria-pressed": "false", "data-who": who, "data-kind": rule.kind, onclick: async () => {
      const on = button.getAttribute("aria-pressed") === "true";
      await doing(text + (on ? ": mended" : ""), () => call(who + "/fault", on ? MEND[who](rule.kind) : rule))();
      await switches();
    } }, text);
    return button;
  });
  buttons.push(make("button", { class: "go", onclick: async () => {
    await doing("bank and provider are well again", async () => {
      await call("bank/fault", { clear: true });
      await call("provider/fault", { kind: "clear" });
    })();
    await switches();
  } }, "Mend both"));
  $("#outside").replaceChildren(...buttons);
}

// A switch shows what its twin says, whoever pressed it.
async function switches() {
  for (const who of Object.keys(LISTS)) {
    const answer = await call(LISTS[who]);
    const kinds = new Set((Array.isArray(answer) ? answer : answer.faults || answer.rules || []).map((f) => f.kind || (f.fault && f.fault.kind)));
    for (const b of document.querySelectorAll("[data-who=" + who + "]")) b.setAttribute("aria-pressed", kinds.has(b.dataset.kind));
  }
  const { cut } = await call("where");
  for (const t of at.terminals) $("#t" + t.id + " .cut").setAttribute("aria-pressed", Boolean(cut[t.id]));
}

function choose(card) {
  chosen = card;
  $("#card").value = card.pan;
  $("#card-says").replaceChildren("PIN ", make("code", {}, card.pin), " · " + card.description.en);
}

let cards_drawn = "";
const quiet = (f) => f.catch(() => {});
async function cards() {
  const { cards: list } = await call("bank/cards");
  const drawn = JSON.stringify([list, chosen && chosen.pan]);
  if (chosen && drawn === cards_drawn) return;
  if (!chosen) {
    $("#card").replaceChildren(...list.map((c) => make("option", { value: c.pan }, c.pan.replace(/(.{4})(?=.)/g, "$1 "))));
    $("#card").addEventListener("change", () => choose(list.find((c) => c.pan === $("#card").value)));
    choose(list[0]);
  }
  cards_drawn = JSON.stringify([list, chosen.pan]);
  $("#cards tbody").replaceChildren(...list.map((c) => make("tr", {},
    make("td", {}, make("code", {}, c.pan.replace(/(.{4})(?=.)/g, "$1 "))), make("td", {}, make("code", {}, c.pin)),
    make("td", { class: "wrap" }, c.description.en, make("br"), make("span", { lang: "zh" }, c.description.zh)),
    make("td", { class: "n" }, inCurrency(c.balance_minor, c.currency)), make("td", { class: "n" }, inCurrency(c.held_minor, c.currency)),
    make("td", {}, make("button", { "aria-label": "Take card " + c.pan_masked, "aria-pressed": String(c.pan === chosen.pan), onclick: () => { choose(c); say("card " + c.pan_masked + " is in your hand"); cards_drawn = ""; quiet(cards()); } }, "Take")))));
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
  for (const b of document.querySelectorAll("#t" + t.id + " [data-fault]")) {
    b.setAttribute("aria-pressed", (state[b.dataset.device].faults || []).some((f) => f.fault === b.dataset.fault));
  }
  $("#t" + t.id + " .trouble").textContent = ["ticket-printer", "receipt-printer"].flatMap((d) =>
    Object.entries(state[d].stops || {}).filter(([, on]) => on).map(([what]) => d.replace("-", " ") + ": " + STOPS[what] + " — repair the devices")).join("; ");
  $("#t" + t.id + " .pad output").textContent = lines.join("\n") + (p.digits ? " " + "•".repeat(p.digits) : "");
}

async function look() {
  await Promise.all(at.terminals.flatMap((t) => [quiet(papers(t)), quiet(pad(t))]).concat([quiet(books()), quiet(cards()), quiet(switches())]));
  setTimeout(look, 1500);
}

(async () => {
  try {
    ({ at } = await call("where"));
    breaks = await call("switches.json");
    links(); outside();
    $("#terminals").replaceChildren(...at.terminals.map(terminal));
    await look();
  } catch (e) { say(e.message, true); }
})();
