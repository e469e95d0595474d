// Everything here is an addition: each page works without it. Words come from the page (data-… attributes).
"use strict";

const fill = (pattern, values) => pattern.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
const byId = (id) => document.getElementById(id);

// Station fields: an editable combobox with a list (ARIA 1.2).
function stations(input) {
  const hidden = byId(input.dataset.stations);
  const list = document.createElement("ul");
  list.id = `${input.id}-list`;
  list.className = "options";
  list.hidden = true;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", input.labels[0]?.textContent ?? "");
  const news = document.createElement("p");
  news.className = "vh";
  news.setAttribute("role", "status");
  input.after(list, news);
  for (const [name, value] of Object.entries({
    role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id,
  })) input.setAttribute(name, value);
  let found = [], at = -1, timer = 0, asked = 0;

  const close = () => {
    list.hidden = true;
    at = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const choose = (n) => {
    input.value = found[n].name;
    hidden.value = found[n].id;
    close();
  };
  const mark = (n) => {
    at = (n + found.length) % found.length;
    [...list.children].forEach((item, i) => item.setAttribute("aria-selected", String(i === at)));
    list.children[at].scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", list.children[at].id);
  };
  const show = (stations) => {
    found = stations;
    list.replaceChildren(...stations.map((station, n) => {
      const item = document.createElement("li");
      item.id = `${list.id}-${n}`;
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", "false");
      item.textContent = station.name;
      item.addEventListener("pointerdown", (event) => { event.preventDefault(); choose(n); });
      return item;
    }));
    list.hidden = stations.length === 0;
    at = -1;
    input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-expanded", String(!list.hidden));
    news.textContent = stations.length ? fill(input.dataset.found, { n: stations.length }) : input.dataset.none;
  };
  const ask = async () => {
    const mine = ++asked;
    const typed = input.value.trim();
    if (!typed) return close();
    try {
      const answer = await fetch(`/api/v1/stations?q=${encodeURIComponent(typed)}`);
      const stations = answer.ok ? await answer.json() : [];
      if (mine === asked && document.activeElement === input) show(stations);
    } catch { close(); }
  };
  input.addEventListener("input", () => {
    hidden.value = "";
    clearTimeout(timer);
    timer = setTimeout(ask, 120);
  });
  input.addEventListener("focus", () => input.select());
  input.addEventListener("blur", () => {
    clearTimeout(timer);
    const same = found.findIndex((s) => s.name.toLowerCase() === input.value.trim().toLowerCase());
    if (!hidden.value && same >= 0) choose(same); else close();
  });
  input.addEventListener("keydown", (event) => {
    const open = !list.hidden;
    switch (event.key) {
      case "ArrowDown":
        event.preventDefault();
        if (open) mark(at + 1); else ask();
        break;
      case "ArrowUp":
        if (open) { event.preventDefault(); mark(at < 0 ? found.length - 1 : at - 1); }
        break;
      case "Enter":
        if (open && at >= 0) { event.preventDefault(); choose(at); }
        break;
      case "Escape":
        if (open) { event.preventDefault(); close(); }
        break;
    }
  });
}

function swap(button) {
  button.hidden = false;
  button.form.classList.add("js");
  button.addEventListener("click", () => {
    for (const [a, b] of [["from", "to"], ["from-id", "to-id"]]) {
      [byId(a).value, byId(b).value] = [byId(b).value, byId(a).value];
    }
    byId("from").focus();
  });
}

// Coaches become tabs; inside a coach the arrow keys move to the nearest free seat in that direction.
function seatMap(form) {
  const tabs = [...form.querySelectorAll("#coaches a")];
  const coaches = [...form.querySelectorAll(".coach")];
  const seats = [...form.querySelectorAll(".seat input")];
  const free = (coach) => [...coach.querySelectorAll("input:enabled")];
  const most = Number(form.dataset.max);
  const status = byId("chosen");

  const open = (n, focus) => {
    tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", String(i === n));
      tab.tabIndex = i === n ? 0 : -1;
      coaches[i].hidden = i !== n;
    });
    tabs[n].scrollIntoView({ block: "nearest", inline: "nearest" });
    if (focus) tabs[n].focus();
  };
  const rove = (coach, seat) => free(coach).forEach((s) => { s.tabIndex = s === seat ? 0 : -1; });
  const nearest = (from, dx, dy, all) => {
    const middle = (el) => { const r = el.getBoundingClientRect(); return [r.left + r.width / 2, r.top + r.height / 2]; };
    const [x, y] = middle(from);
    let best = null, least = Infinity;
    for (const seat of all) {
      const [sx, sy] = middle(seat);
      const along = (sx - x) * dx + (sy - y) * dy;
      const aside = Math.abs((sx - x) * dy) + Math.abs((sy - y) * dx);
      if (along > 2 && along + aside * 4 < least) { best = seat; least = along + aside * 4; }
    }
    return best;
  };
  const tell = (full) => {
    const chosen = seats.filter((s) => s.checked);
    let text = fill(form.dataset.of, { n: chosen.length, max: most });
    if (chosen.length) {
      const names = chosen.map((s) => s.dataset.name);
      text += " — " + fill(form.dataset.list, { list: names.join(", ") });
    }
    status.textContent = full ? form.dataset.full : text;
  };

  if (coaches.length) {
    form.classList.add("tabs");
    byId("coaches").setAttribute("role", "tablist");
    tabs.forEach((tab, n) => {
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-controls", coaches[n].id);
      coaches[n].setAttribute("role", "tabpanel");
      tab.addEventListener("click", (event) => { event.preventDefault(); open(n, true); });
      tab.addEventListener("keydown", (event) => {
        const to = { ArrowRight: n + 1, ArrowLeft: n - 1, Home: 0, End: tabs.length - 1 }[event.key];
        if (event.key === " ") { event.preventDefault(); open(n, true); }
        if (to === undefined) return;
        event.preventDefault();
        open((to + tabs.length) % tabs.length, true);
      });
    });
    const picked = coaches.findIndex((c) => c.querySelector("input:checked"));
    const roomy = coaches.findIndex((c) => free(c).length);
    open(Math.max(picked >= 0 ? picked : roomy, 0), false);
  }
  for (const coach of coaches) {
    rove(coach, coach.querySelector("input:checked") ?? free(coach)[0]);
    coach.addEventListener("focusin", (event) => rove(coach, event.target));
    coach.addEventListener("keydown", (event) => {
      const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
      const all = free(coach);
      let to = null;
      if (way) to = nearest(event.target, way[0], way[1], all);
      else if (event.key === "Home") to = all[0];
      else if (event.key === "End") to = all[all.length - 1];
      else return;
      event.preventDefault();
      if (to) { to.focus(); to.scrollIntoView({ block: "nearest", inline: "nearest" }); }
    });
    coach.addEventListener("change", (event) => {
      const over = seats.filter((s) => s.checked).length > most;
      if (over && most === 1) seats.forEach((s) => { s.checked = s === event.target; });
      else if (over) event.target.checked = false;
      tell(over && most > 1);
    });
  }
  tell(false);
}

const isCard = (digits) => /^\d{13,19}$/.test(digits) && [...digits].reverse().reduce((sum, d, n) => {
  const twice = Number(d) * 2;
  return sum + (n % 2 ? Math.floor(twice / 10) + twice % 10 : Number(d));
}, 0) % 10 === 0;

function cardField(input) {
  const wrong = byId("card-wrong");
  const digits = () => input.value.replace(/[\s-]/g, "");
  const tell = (bad) => {
    wrong.hidden = !bad;
    wrong.textContent = bad ? input.dataset.card : "";
    if (bad) input.setAttribute("aria-invalid", "true"); else input.removeAttribute("aria-invalid");
  };
  input.addEventListener("input", () => {
    if (input.selectionStart === input.value.length) {
      input.value = input.value.replace(/[^\d]/g, "").slice(0, 19).replace(/(.{4})(?=.)/g, "$1 ");
    }
    if (!wrong.hidden && isCard(digits())) tell(false);
  });
  input.addEventListener("change", () => tell(digits() !== "" && !isCard(digits())));
}

function bookForm(form) {
  form.addEventListener("submit", (event) => {
    if (event.submitter && event.submitter.value !== "hold") return;
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "yes";
    byId("working").textContent = form.dataset.working;
  });
  window.addEventListener("pageshow", () => { delete form.dataset.sent; byId("working").textContent = ""; });
}

function copyButton(button) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const text = byId("reference").dataset.reference;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      getSelection().selectAllChildren(byId("reference"));
      if (!document.execCommand("copy")) return;
    }
    byId("copied").textContent = button.dataset.copied;
  });
}

// An open booking looks for news, and shows them without a jump.
function watch(order) {
  const look = async () => {
    if (!document.hidden) {
      try {
        const answer = await fetch(`${order.dataset.watch}?part=version`);
        if (!answer.ok) return;
        const { version } = await answer.json();
        if (String(version) !== order.dataset.version) await renew();
      } catch { /* the next look tries again */ }
    }
    next();
  };
  const renew = async () => {
    const answer = await fetch(location.href);
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("order");
    if (!fresh) return;
    const changed = fresh.dataset.state !== order.dataset.state;
    Object.assign(order.dataset, fresh.dataset);
    const focused = document.activeElement?.id;
    byId("order-body").replaceWith(fresh.querySelector("#order-body"));
    const copy = byId("copy");
    if (copy) copyButton(copy);
    if (focused) byId(focused)?.focus();
    if (changed) byId("news").textContent = order.dataset.updated;
  };
  const next = () => setTimeout(look, ["pending", "paying"].includes(order.dataset.state) ? 2000 : 10000);
  next();
}

document.querySelectorAll("[data-stations]").forEach(stations);
for (const [id, start] of Object.entries({
  swap, seats: seatMap, card: cardField, book: bookForm, copy: copyButton, order: watch,
})) {
  const element = byId(id);
  if (element) start(element);
}
byId("errors")?.focus();
