// The page of a ticket terminal. It has no state of its own: it shows what the terminal says and sends what is touched.
"use strict";
(() => {
  const LANGUAGES = ["zh", "en"];
  const LOCALES = { zh: "zh-CN", en: "en-GB" };
  const isLive = document.body.dataset.mode === "live";
  const texts = {};
  let shown = null;
  let last = { key: "", speech: "", screen: "" };
  let ahead = 0;
  /** The browser's voice, where it has one. */
  const voice = typeof window.speechSynthesis === "object" && typeof window.SpeechSynthesisUtterance === "function" ? window.speechSynthesis : null;

  const $ = (id) => document.getElementById(id);

  /** Makes an element; `on…` attributes become listeners, missing children are left out. */
  function h(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
    return element;
  }

  function picture(name) {
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    svg.setAttribute("class", "picture");
    svg.setAttribute("aria-hidden", "true");
    svg.setAttribute("focusable", "false");
    svg.setAttribute("viewBox", "0 0 320 240");
    const use = document.createElementNS(space, "use");
    use.setAttribute("href", `#pic-${name}`);
    svg.append(use);
    return svg;
  }

  const has = (key, language = shown.language) => Boolean(texts[language] && texts[language][key]);

  function t(key, values = {}, language = shown.language) {
    const text = (texts[language] && texts[language][key]) || "";
    return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
  }

  function money(amount) {
    if (!amount) return "";
    const display = shown.language === "zh" ? "narrowSymbol" : "code";
    const digits = { minimumFractionDigits: amount.decimals, maximumFractionDigits: amount.decimals };
    const value = amount.minor / 10 ** amount.decimals;
    try {
      const style = { style: "currency", currency: amount.currency, currencyDisplay: display, ...digits };
      return new Intl.NumberFormat(LOCALES[shown.language], style).format(value);
    } catch {
      return `${amount.currency} ${value.toFixed(amount.decimals)}`;
    }
  }

  function instant(us, zone, options) {
    const at = new Date(us / 1000);
    try {
      return new Intl.DateTimeFormat(LOCALES[shown.language], { timeZone: zone || "UTC", ...options }).format(at);
    } catch {
      return new Intl.DateTimeFormat(LOCALES[shown.language], { timeZone: "UTC", ...options }).format(at);
    }
  }
  const clockTime = (us, zone) => instant(us, zone, { hour: "2-digit", minute: "2-digit", hour12: false });
  const day = (us, zone) => instant(us, zone, { weekday: "short", day: "numeric", month: "short" });

  /** Calendar days from departure to arrival, where the service runs. */
  function daysBetween(line) {
    const date = (us) => {
      const options = { timeZone: line.zone || "UTC", year: "numeric", month: "numeric", day: "numeric" };
      let parts;
      try {
        parts = new Intl.DateTimeFormat("en", options).formatToParts(new Date(us / 1000));
      } catch {
        parts = new Intl.DateTimeFormat("en", { ...options, timeZone: "UTC" }).formatToParts(new Date(us / 1000));
      }
      const value = (type) => Number(parts.find((part) => part.type === type).value);
      return Date.UTC(value("year"), value("month") - 1, value("day"));
    };
    return Math.round((date(line.arrives) - date(line.departs)) / 86_400_000);
  }

  // ---- parts ----

  function button(tap, label, kind = "plain", more = {}) {
    return h("button", { type: "button", class: `button ${kind}`, "data-tap": tap, onclick: () => send(tap), ...more }, label);
  }

  function journey(line) {
    return h("div", { class: "journey" },
      h("div", { class: "stop" },
        h("span", { class: "time" }, clockTime(line.departs, line.zone)), h("span", { class: "station" }, line.from)),
      h("div", { class: "way" }, h("span", { class: "service" }, line.service), h("span", { class: "arrow", "aria-hidden": "true" })),
      h("div", { class: "stop end" },
        h("span", { class: "time" }, clockTime(line.arrives, line.zone), laterDay(line)), h("span", { class: "station" }, line.to)));
  }

  /** `+1 d` beside an arrival on another day. */
  function laterDay(line) {
    const days = daysBetween(line);
    if (days === 0) return null;
    return h("span", { class: "later-day" }, ` ${t(days > 0 ? "days_later" : "days_earlier", { n: Math.abs(days) })}`);
  }

  /** Coach or deck and seat, in the words of the kind of service; what is empty is left out. */
  function placeOf(line) {
    const [coach, seat] = [line.coach.trim(), line.seat.trim()];
    if (!coach) return seat && t("seat_only", { seat });
    const keys = { train: ["coach_seat", "coach_only"], ship: ["deck_seat", "deck_only"] }[line.kind];
    if (!seat) return keys ? t(keys[1], { coach }) : coach;
    return t(keys ? keys[0] : "part_seat", { coach, seat });
  }

  function className(line) {
    const known = `class_${line.class}`;
    return has(known) ? t(known) : t("class_other", { n: line.class });
  }

  function countOf(n) {
    return n === 1 ? t("tickets_one") : t("tickets_many", { n });
  }

  function ticketCard(line) {
    return h("li", { class: "ticket" },
      h("div", { class: "ticket-main" }, h("p", { class: "day" }, day(line.departs, line.zone)), journey(line)),
      h("div", { class: "ticket-stub" },
        h("p", { class: "class" }, className(line)),
        h("p", { class: "seat" }, placeOf(line)),
        h("p", { class: "name" }, line.name_masked),
        h("p", { class: "price" }, money(line.amount))));
  }

  function bookingDetails(booking) {
    return h("section", { class: "details" },
      h("ul", { class: "tickets", tabindex: booking.lines.length > 2 ? "0" : null, "aria-label": countOf(booking.lines.length) }, booking.lines.map(ticketCard)),
      h("div", { class: "sum" },
        h("p", {}, `${t("reference")} `, h("strong", { class: "reference" }, booking.reference)),
        h("p", { class: "total" }, `${t("total")} `, h("strong", {}, money(booking.amount)))));
  }

  function choices(bookings) {
    return h("ul", { class: "choices" }, bookings.map((booking, at) => {
      const line = booking.lines[0];
      if (!line) return null;
      const label = h("span", { class: "choice" },
        h("span", { class: "choice-number", "aria-hidden": "true" }, String(at + 1)),
        h("span", { class: "choice-middle" }, h("span", { class: "day" }, day(line.departs, line.zone)), journey(line)),
        h("span", { class: "choice-end" }, h("span", {}, countOf(booking.lines.length)), h("strong", {}, money(booking.amount))));
      return h("li", {}, button(`choose:${booking.order}`, label, "choice-button"));
    }));
  }

  /** What is being paid, so that nobody has to remember it while waiting. */
  function slip(booking) {
    const line = booking && booking.lines[0];
    if (!line) return null;
    return h("div", { class: "slip" },
      h("div", {}, h("p", { class: "day" }, day(line.departs, line.zone)), journey(line)),
      h("p", { class: "slip-sum" }, h("span", {}, countOf(booking.lines.length)), h("strong", {}, money(booking.amount))));
  }

  /** One chip a ticket: yours, failed, coming out now, or still to come. */
  function progress(params) {
    const of = params.of || 0;
    if (!of) return null;
    const failed = params.failed.map((f) => f.n);
    const now = shown.screen === "issuing" || shown.screen === "take_ticket" ? params.position[0] : 0;
    const chips = [];
    for (let n = 1; n <= of; n += 1) {
      let state = "next";
      if (params.kept_back.includes(n)) state = "kept";
      else if (failed.includes(n)) state = "failed";
      else if (n === now) state = "now";
      else if (params.yours.includes(n)) state = "yours";
      chips.push(h("li", { class: `chip ${state}` }, h("span", { class: "chip-sign", "aria-hidden": "true" }), t("ticket_of", { n, of })));
    }
    return h("ol", { class: "chips" }, chips);
  }

  function papers(params) {
    const lines = params.failed.map((f) => {
      if (f.n && f.amount) return t("refund_line", { n: f.n, amount: money(f.amount) });
      if (f.amount) return t("refund_line_unnumbered", { amount: money(f.amount) });
      return t("refund_line_open", { n: f.n });
    });
    if (lines.length && params.yours.length) {
      lines.push(t("yours_line", { list: params.yours.join(shown.language === "zh" ? "、" : ", ") }));
    }
    return lines.length ? h("ul", { class: "lines" }, lines.map((line) => h("li", {}, line))) : null;
  }

  function dots(params) {
    const digits = Math.max(params.digits, 0);
    const row = [];
    for (let n = 0; n < Math.max(6, digits); n += 1) row.push(h("span", { class: n < digits ? "dot on" : "dot" }));
    return h("div", { class: "pin" },
      h("p", { class: "amount" }, money(params.amount)),
      h("div", { class: "dots", role: "img", "aria-label": t("digits", { n: digits }) }, row),
      params.tries_left < 3 ? h("p", { class: "tries" }, t("tries_left", { n: params.tries_left })) : null);
  }

  // ---- screens ----

  const PICTURES = {
    idle: "swipe", matching: "wait", choosing: "booking", confirm: "booking", requesting: "wait", authorizing: "wait",
    pin_entry: "pin", completing: "wait", ending: "wait", issuing: "ticket", take_ticket: "ticket", receipt: "receipt",
    done: "done", problem: "problem", more_time: "clock", out_of_service: "closed",
  };
  const CARD = "card-bad", LINE = "offline", PRINTER = "no-print";
  const PROMPT_PICTURES = {
    problem_expired: CARD, problem_declined: CARD, problem_insufficient_funds: CARD, problem_limit_exceeded: CARD, problem_card_not_accepted: CARD, problem_expired_card: CARD, problem_restricted_card: CARD,
    problem_bad_card: CARD, problem_no_link: LINE, problem_bank_unavailable: LINE, problem_no_answer: LINE, problem_no_booking: "empty",
    problem_hold_lost: "empty", problem_timed_out: "clock", problem_pin_tries_exceeded: "pin-bad", problem_pad: "pin-bad", problem_printer: PRINTER,
    problem_restarted: "restart", done_open: PRINTER, out_of_service_restarted: "restart",
    done_refunded: "part", done_kept: "kept", problem_unreadable: "swipe", issuing_wait: "wait", issuing_trouble: PRINTER,
  };
  const STEP_OF = {
    idle: 1, matching: 2, choosing: 2, confirm: 2, requesting: 3, authorizing: 3, pin_entry: 3, completing: 3,
    issuing: 4, take_ticket: 4, receipt: 4, done: 5,
  };

  function content() {
    const params = shown.params || {};
    switch (shown.screen) {
      case "choosing": return [choices(params.bookings)];
      case "confirm": return [bookingDetails(params.booking)];
      case "pin_entry": return [dots(params)];
      case "requesting": case "authorizing": case "completing": case "ending": return [slip(params.booking)];
      case "issuing": case "take_ticket": case "receipt": case "done":
        return [
          params.name && shown.screen === "take_ticket" ? h("p", { class: "for" }, t("for_passenger", { name: params.name })) : null,
          progress(params), papers(params)];
      case "problem":
        return [shown.prompt_key === "problem_unreadable" && params.unreadable >= 3 ? h("p", { class: "advice" }, t("problem_unreadable_help")) : null];
      case "out_of_service":
        return shown.prompt_key === "out_of_service_restarted" ? [] : [h("ul", { class: "lines" }, (params.missing || []).map((m) => h("li", {}, t(`missing_${m}`))))];
      case "more_time": return [h("p", { class: "count", id: "count", role: "timer", "aria-live": "off" })];
      default: return [];
    }
  }

  /** Screens that say when they go away. */
  const CLOSES = ["pin_entry", "done", "problem"];
  /** Seconds before its end that an entry of the PIN says so. */
  const SOON_S = 20;

  function actions() {
    const offered = (tap) => shown.taps.includes(tap);
    const row = [];
    if (offered("confirm")) row.push(button("confirm", t("confirm"), "go"));
    if (offered("more_time")) row.push(button("more_time", t("more_time"), "go"));
    if (offered("done")) row.push(button("done", t(shown.screen === "done" ? "done" : "to_start"), "go"));
    if (offered("back")) row.push(button("back", t("back")));
    if (offered("cancel")) row.push(button("cancel", t("cancel"), "stop"));
    if (CLOSES.includes(shown.screen)) row.push(h("p", { class: "closes", id: "closes", role: "timer", "aria-live": "off" }));
    return row.length ? h("div", { class: "actions" }, row) : null;
  }

  function promptValues() {
    const params = shown.params || {};
    const [n, of] = params.position || ["", ""];
    return { n, of, count: (params.bookings || []).length, kept: (params.kept_back || []).join(shown.language === "zh" ? "、" : ", ") };
  }

  function renderMain(title, hint) {
    const other = LANGUAGES.find((l) => l !== shown.language);
    const isIdle = shown.screen === "idle";
    const parts = content().filter(Boolean);
    const main = $("main");
    const focused = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.tap : null;
    main.className = `screen ${shown.screen} ${shown.prompt_key} ${parts.length ? "with-content" : "bare"}`;
    main.replaceChildren(
      picture(PROMPT_PICTURES[shown.prompt_key] || PICTURES[shown.screen] || "wait"),
      h("div", { class: "words" },
        h("h1", { id: "title", tabindex: "-1" }, title),
        isIdle ? h("p", { class: "also", lang: LOCALES[other] }, t(`${shown.prompt_key}_title`, {}, other)) : null,
        h("p", { class: "hint" }, hint)),
      ...(parts.length ? [h("div", { class: "content" }, parts)] : []),
      ...[actions()].filter(Boolean));
    if (shown.screen !== last.screen) $("title").focus({ preventScroll: true });
    else if (focused) {
      const again = [...document.querySelectorAll("[data-tap]")].find((b) => b.dataset.tap === focused);
      if (again) again.focus({ preventScroll: true });
    }
  }

  function renderFrame() {
    document.documentElement.lang = LOCALES[shown.language];
    document.documentElement.classList.toggle("contrast", shown.contrast);
    document.documentElement.classList.toggle("larger", shown.larger);
    document.title = `${t("app_name")} · ${shown.operator || "Guichet"}`;
    $("operator").textContent = shown.operator || "Guichet";
    $("place").textContent = shown.place || t("app_name");
    $("help").textContent = t("help");
    $("terminal").textContent = `${t("terminal")} ${shown.terminal}`;
    $("lost").textContent = t("reconnecting");
    $("offline").textContent = t("offline");
    $("offline").hidden = !shown.offline || ["idle", "out_of_service"].includes(shown.screen) || shown.prompt_key === "problem_no_link";
    const languages = $("languages");
    languages.setAttribute("aria-label", t("languages"));
    languages.replaceChildren(...LANGUAGES.map((language) => button(`language:${language}`, t(`language_${language}`), "language",
      { lang: LOCALES[language], "aria-pressed": String(language === shown.language) })));
    const aids = $("aids");
    aids.setAttribute("aria-label", t("accessibility"));
    aids.replaceChildren(...["contrast", "larger", "slower", ...(voice ? ["speech"] : [])].map((aid) =>
      button(aid, t(aid), `aid aid-${aid}`, { "aria-pressed": String(shown[aid]) })));
    const at = STEP_OF[shown.screen] || 0;
    $("steps").replaceChildren(...["card", "booking", "pin", "tickets"].map((step, index) => {
      const n = index + 1;
      const state = n < at ? "past" : n === at ? "now" : "next";
      return h("li", { class: state, "aria-current": n === at ? "step" : null }, h("span", { class: "step-number", "aria-hidden": "true" }, String(n)), t(`step_${step}`));
    }));
    $("progress").setAttribute("aria-label", t("progress"));
    $("progress").hidden = at === 0;
  }

  function render(next) {
    const language = next.language;
    shown = next;
    ahead = next.now / 1000 - Date.now();
    const { now, until, ...model } = next;
    const key = JSON.stringify(model);
    if (!texts[language]) return;
    if (key !== last.key) {
      const focused = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.tap : null;
      const title = t(`${shown.prompt_key}_title`, promptValues());
      const hint = t(`${shown.prompt_key}_hint`, promptValues());
      renderFrame();
      renderMain(title, hint);
      const extra = [...document.querySelectorAll(".offline:not([hidden]), .lines li, .advice, .tries, .total, .pin .amount")].map((e) => e.textContent);
      const speech = [title, hint, ...extra].join(" ");
      $("main").dataset.speech = speech;
      if (speech !== last.speech) $("announce").textContent = speech;
      if (focused && shown.screen === last.screen) {
        const again = [...document.querySelectorAll("[data-tap]")].find((b) => b.dataset.tap === focused);
        if (again) again.focus({ preventScroll: true });
      }
      if (shown.speech && (speech !== last.speech || !last.isSpoken || language !== last.language)) say(speech);
      if (!shown.speech && last.isSpoken && voice) voice.cancel();
      last = { key, speech, screen: shown.screen, isSpoken: Boolean(shown.speech), language };
    }
    tick();
  }

  /** Reads aloud; what is being read of an earlier screen is broken off. */
  function say(words) {
    if (!voice || !isLive) return;
    voice.cancel();
    const utterance = new SpeechSynthesisUtterance(words);
    utterance.lang = LOCALES[shown.language];
    voice.speak(utterance);
  }

  /** Clock, countdown of "more time?", and the last seconds of a choice. */
  function tick() {
    if (!shown || !texts[shown.language]) return;
    const now = Date.now() + ahead;
    $("clock").textContent = shown.zone ? clockTime(now * 1000, shown.zone) : "";
    if (!shown.until) return;
    const left = isLive ? Math.max(0, Math.ceil((shown.until / 1000 - now) / 1000)) : 18;
    const count = $("count");
    if (count) count.textContent = t("seconds_left", { n: left });
    const closes = $("closes");
    if (!closes) return;
    const isEntry = shown.screen === "pin_entry";
    const soon = isEntry && left <= SOON_S;
    closes.classList.toggle("soon", soon && isLive);
    closes.textContent = isEntry ? (soon && isLive ? t("seconds_left", { n: left }) : "") : t("closes_in", { n: left });
  }

  async function send(tap) {
    if (!isLive) return;
    try {
      const answer = await fetch("/tap", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ tap }) });
      if (answer.ok || answer.status === 409) {
        const next = await answer.json();
        // The event stream may have been faster: an answer that comes late would bring an old screen back for good.
        if (next.now >= shown.now) render(next);
      }
    } catch {
      // The event stream notices and says so.
    }
  }

  document.addEventListener("keydown", (event) => {
    if (!shown || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape" && shown.taps.includes("cancel")) send("cancel");
    const choice = Number(event.key);
    if (shown.screen === "choosing" && choice >= 1 && choice <= shown.params.bookings.length) {
      send(`choose:${shown.params.bookings[choice - 1].order}`);
    }
  });

  function listen() {
    const events = new EventSource("/events");
    events.onmessage = (event) => {
      $("lost").hidden = true;
      render(JSON.parse(event.data));
    };
    events.onerror = () => {
      $("lost").hidden = false;
      if (events.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
    };
  }

  async function load(language) {
    for (;;) {
      try {
        const answer = await fetch(`/texts/${language}`);
        if (answer.ok) {
          texts[language] = await answer.json();
          return;
        }
      } catch {
        // Asked again below.
      }
      await new Promise((later) => setTimeout(later, 1000));
    }
  }

  async function begin() {
    const first = JSON.parse($("state").textContent);
    await Promise.all(LANGUAGES.map(load));
    render(first);
    document.body.classList.add("ready");
    if (isLive) listen();
    setInterval(tick, 500);
  }
  begin();
})();
