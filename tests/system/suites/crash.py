"""kill -9 of the center and of a terminal at every journal append and device step of a purchase.

The twins live on as processes of their own, as a bank and a printer would. After each crash the process is started
again, as a supervisor would; then the person has ticket and charge, or neither and the place is let go. What the twins
saw is counted at each place: at most one 0200 for each try of a person, and one paper for each ticket number.
"""

import collections
import concurrent.futures
import datetime
import http.client
import importlib.util
import itertools
import json
import os
import pathlib
import re
import socket
import subprocess
import threading
import time
import urllib.parse

from world import ROOT, Process, Refused, Terminal, World, call, command, until


class Gone(Exception):
    """The process under test has met its end."""


class Stopped(Exception):
    """Another world has failed."""


# What a person's calls meet when the process goes away under them.
GONE = (Gone, Refused, OSError, http.client.HTTPException)

ZMK = "0123456789ABCDEFFEDCBA9876543210"
# Worlds side by side: they mostly wait.
AT_ONCE = 4


def _judge():
    """The decoder that others wrote reads the bank's wire."""
    spec = importlib.util.spec_from_file_location("iso8583_judge", ROOT / "tests/judges/iso8583_judge.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Table(ROOT / "gateways/iso8583/dialects/ascii.toml")


def _free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Watched(Terminal):
    """A terminal whose person sees when center or terminal is gone."""

    def __init__(self, at, world):
        super().__init__(at)
        self.world = world

    def _here(self):
        if not self.world.center.alive() or not self.world.terminal_process.alive():
            raise Gone

    def screen(self):
        self._here()
        return super().screen()

    def pin_asked(self):
        # The devices live on without the terminal, and would be asked in vain.
        self._here()
        return super().pin_asked()


class Split(World):
    """Bank, provider, devices, center and one terminal, each started by the test and none by another."""

    def __init__(self, place, live_percent, stop):
        self.place = pathlib.Path(place)
        self.data = self.place / "data"
        self.logs = self.place / "logs"
        self.live_percent = live_percent
        self.judge = _judge()
        self.stop = stop
        self.tries, self.shown, self.booked = 0, None, []
        self.bank = Process("bank", ["sandbox", "bank"], self.logs)
        self.provider = Process(
            "provider", ["sandbox", "provider", "--days", "4", "--live-percent", str(live_percent)], self.logs
        )
        self.ports = {name: _free_port() for name in ("web", "terminals", "screen")}
        zmk = self.place / "zmk.key"
        zmk.write_text(ZMK)
        self.config = self.place / "guichet.toml"
        self.config.write_text(f"""
web_burst = 1000
web_per_minute = 6000
[web]
listen = "127.0.0.1:{self.ports['web']}"
[terminals]
listen = "127.0.0.1:{self.ports['terminals']}"
[[acquirers]]
id = 1
name = "the bank twin"
address = "{self.bank.ready['iso_addr']}"
dialect = "ascii"
zmk_file = "{zmk}"
zone = "Asia/Shanghai"
[[providers]]
id = 1
name = ""
url = "http://{self.provider.ready['http_addr']}"
""")
        self.at = {
            "web": f"http://127.0.0.1:{self.ports['web']}",
            "bank": f"http://{self.bank.ready['admin_addr']}",
            "provider": f"http://{self.provider.ready['http_addr']}",
        }
        self.devices = self.terminal_process = self.center = None
        self.start_center()
        example = call(f"{self.at['web']}/api/v1/example")
        keys = self.place / "pad-keys.toml"
        registered = json.loads(command(
            "register-terminal", "1", "--place", example["from"], "--pad-keys", str(keys),
            "--data", str(self.data), "--json",
        ).stdout)
        self.devices = Process(
            "devices", ["sandbox", "devices", "--dir", str(self.place / "devices"), "--keys", str(keys), "--auto-take-ms", "100"],
            self.logs,
        )
        self.at["terminals"] = [{
            "id": 1, "place": example["from"], "place_name": example["from"],
            "screen": f"http://127.0.0.1:{self.ports['screen']}",
            "devices": f"http://{self.devices.ready['admin_addr']}",
        }]
        self.start_terminal("--enrol", registered["code"])
        self.linked()
        self.card_used = self.card()
        self.trains = itertools.cycle(self._trains())

    def _trains(self):
        """Trains of several days: each purchase is the first on its train, as long as there are some."""
        example = call(f"{self.at['web']}/api/v1/example")
        first = datetime.date.fromisoformat(example["date"])
        found = []
        for days in range(3):
            query = {**example, "date": (first + datetime.timedelta(days)).isoformat()}
            query = urllib.parse.urlencode({k: query[k] for k in ("from", "to", "date")})
            found += call(f"{self.at['web']}/api/v1/journeys?{query}")
        soon = (time.time() + 1800) * 1e6
        return [j for j in found if j["departs_us"] > soon and any(c["seats_left"] for c in j["classes"])]

    # The processes under test.

    def start_center(self, crash_at=None):
        if self.stop.is_set():
            raise Stopped
        if self.center and self.center.alive():
            self.center.kill()
        args = ["up", "--config", str(self.config), "--data", str(self.data), "--json", "--exit-with-stdin"]
        if crash_at is not None:
            args += ["--crash-at-append", str(crash_at)]
        self.log_from = self._log_size()
        self.center = self._begin("center", args, crash_at is not None)
        until(lambda: not self.center.alive() or call(f"{self.at['web']}/readyz")["ready"], "the center is ready")

    def start_terminal(self, *more):
        if self.stop.is_set():
            raise Stopped
        if self.terminal_process and self.terminal_process.alive():
            self.terminal_process.kill()
        self.terminal_process = self._begin("terminal", [
            "terminal", "--number", "1", "--center", f"127.0.0.1:{self.ports['terminals']}",
            "--data", str(self.place / "terminal"), "--devices", str(self.place / "devices"),
            "--screen", f"127.0.0.1:{self.ports['screen']}", "--retry-max-ms", "400", "--exit-with-stdin", *more,
        ], "--crash-at" in more)

    def _begin(self, name, args, may_end):
        """Starts a process; one that is to crash may do so before it is ready: that is one of the places too."""
        try:
            return Process(name, args, self.logs)
        except AssertionError:
            if not may_end:
                raise
            return Dead()

    def _log_size(self):
        log = self.logs / "center.log"
        return log.stat().st_size if log.exists() else 0

    def passed(self):
        """The places that the center passed since its start, as it named them."""
        with open(self.logs / "center.log", "rb") as log:
            log.seek(self.log_from)
            lines = [line for line in log.read().decode(errors="replace").splitlines() if line.startswith('{"rehearsal"')]
        return [json.loads(line)["rehearsal"] for line in lines]

    def terminal(self, n=0):
        return Watched(self.at["terminals"][0], self)

    def linked(self):
        """Waits until the terminal serves over its link."""
        until(lambda: self.terminal().screen()["prompt_key"] in ("idle", "idle_no_receipts"), "the terminal serves")

    def close(self):
        for process in (self.terminal_process, self.devices, self.center, self.provider, self.bank):
            if process and process.alive():
                process.kill()

    # The person.

    def attempt(self, order):
        """A whole purchase as far as it goes."""
        terminal = self.terminal()
        self.tries += 1
        state = terminal.to_pin(self.card_used, order)
        if state["screen"] == "pin_entry":
            terminal.pin(self.card_used["pin"])
            state = terminal.take_all()
        self.shown = state["prompt_key"]

    def ended(self):
        """Whether the process under test is gone, or goes within a moment: its connections are cut before."""
        for _ in range(100):
            if not self.center.alive() or not self.terminal_process.alive():
                return True
            time.sleep(0.02)
        return False

    def recover(self):
        """What a supervisor does at once, and the person who still stands there."""
        try:
            self._serve_again()
        except Gone:
            # Its last step came after the person was done.
            self._serve_again()

    def _serve_again(self):
        if not self.center.alive():
            self.start_center()
        if not self.terminal_process.alive():
            self.start_terminal()

        def look():
            terminal = self.terminal()
            terminal.take()
            state = terminal.screen()
            for tap in ("done",) if state["screen"] not in ("choosing", "confirm") else ("cancel",):
                if tap in state["taps"]:
                    try:
                        terminal.tap(tap)
                    except Refused:
                        pass
            return state["prompt_key"] in ("idle", "idle_no_receipts")

        try:
            until(look, "the terminal serves again")
        except AssertionError as error:
            raise AssertionError(f"{error}; it shows {self.terminal().screen()}") from None

    # What the twins' own books say.

    def books(self):
        bank = call(f"{self.at['bank']}/books")
        assert not bank["faults"], bank["faults"]
        frames = call(f"{self.at['bank']}/wire")["frames"]
        bookings = call(f"{self.at['provider']}/books")
        assert not bookings["audit"], bookings["audit"]
        return {
            "owed": sum(a["owed_minor"] for a in bank["acquirer"]),
            "frames": frames,
            "papers": [p for p in self.terminal().papers() if p["kind"] == "ticket"],
            "bookings": {b["id"]: b["state"] for b in bookings["bookings"]},
            "sold": sum(b["price"]["amount"] for b in bookings["bookings"] if b["state"] in SOLD),
        }

    def held_at_bank(self):
        return [c["pan_masked"] for c in call(f"{self.at['bank']}/cards")["cards"] if c["held_minor"]]


class Dead:
    """A process that met its end before it was ready."""

    def alive(self):
        return False


SOLD = ("CONFIRMED", "FULFILLED")
# Of the terminal's writes that no step names, every how many is met here.
WRITES_STEP = 6
# States of an order in which nothing is underway.
REST = ("issued", "held", "closed", "cancelled", "refused", "expired", "refunded")


def _once(world, before, after, tries):
    """The bank saw at most one 0200 for each try of a person, and the printer printed each ticket number once."""
    asked = collections.Counter()
    for frame in after["frames"][len(before["frames"]):]:
        if frame["direction"] == "in":
            message = world.judge.decode(bytes.fromhex(frame["hex"]))
            if message["mti"] in ("0100", "0101", "0200", "0201"):
                asked[message["mti"][:3], message["fields"]["37"]] += 1
    payments = [rrn for mti, rrn in asked.elements() if mti == "020"]
    assert all(n == 1 for n in asked.values()), f"a message was sent again: {asked}"
    assert len(payments) <= tries, f"{len(payments)} of 0200 in {tries} tries: {asked}"
    numbers = [re.search(r"\b\d{16}\b", json.dumps(p["note"])).group() for p in after["papers"]]
    assert len(numbers) == len(set(numbers)), f"a ticket was printed twice: {numbers}"
    return len(payments)


def check_counting(place):
    """a second 0200 in one try and a second print of one ticket are noticed in what the twins saw"""
    world = Split(place, 0, threading.Event())
    try:
        before = world.books()
        world.attempt(world.book(world.card_used, journey=next(world.trains)))
        world.recover()
        after = until(lambda: (books := world.books())["sold"] and books, "it is sold")
        assert _once(world, before, after, 1) == 1
        messages = [world.judge.decode(bytes.fromhex(f["hex"])) for f in after["frames"] if f["direction"] == "in"]
        payment = next(m for m in messages if m["mti"] == "0200")
        doubled = [{"11": "999999"}, {"11": "999999", "37": "000000000001"}, {}]
        for fields in doubled:
            again = world.judge.encode({**payment, "fields": {**payment["fields"], **fields}})
            frames = [*after["frames"], {"direction": "in", "hex": again.hex()}]
            _refused(lambda: _once(world, before, {**after, "frames": frames}, 1))
        _refused(lambda: _once(world, before, {**after, "papers": after["papers"] * 2}, 1))
        _finish(world)
    finally:
        world.close()


def _refused(check):
    try:
        check()
    except AssertionError:
        return
    raise AssertionError("it was not noticed")


def _look(world, before, reference, tries):
    """Waits until all is at rest, and says how it ended; every book has to agree."""
    state = world.wait_state(reference, REST, 60)["state"]
    until(lambda: not world.held_at_bank(), "the bank holds nothing", 60)

    def agreed():
        books = world.books()
        fresh = [state for key, state in books["bookings"].items() if key not in before["bookings"]]
        sold = sum(state in SOLD for state in fresh)
        kept = sum(state == "PREBOOKED" for state in fresh)
        charged, printed = books["owed"] - before["owed"], len(books["papers"]) - len(before["papers"])
        seen.update(state=state, fresh=fresh, charged=charged, printed=printed)
        whole = (printed, sold, kept) == (1, 1, 0) and charged > 0 and state == "issued"
        nothing = (printed, sold, charged) == (0, 0, 0) and kept == (state == "held") and state != "issued"
        return books if whole or nothing else None

    seen = {}
    try:
        books = until(agreed, "the books agree", 30)
    except AssertionError as error:
        raise AssertionError(f"{error}: {seen}") from None
    return state, books, _once(world, before, books, tries)


def _play(world, start, again, where):
    """`_play_once`, with the place named when it fails."""
    try:
        return _play_once(world, start, again)
    except (AssertionError, *GONE) as error:
        met = _met(world.passed())
        at = _name(met) if met else ""
        raise AssertionError(f"{where} {at} in {world.place}: {error!r}") from error


def _play_once(world, start, again):
    """One purchase with a crash on the way; afterwards the person buys again, or cancels and the place is let go."""
    before, tries = world.books(), world.tries
    key, train = f"crash-{time.time_ns()}", next(world.trains)
    crashed = False
    try:
        start()
        world.linked()
        world.attempt(world.book(world.card_used, key=key, journey=train))
        # The person may be told of a lost link, or be done, before the process is quite gone.
        if world.shown.startswith("problem") or _met(world.passed()):
            crashed = world.ended()
    except GONE:
        crashed = world.ended()
        if not crashed:
            raise
    passed = world.passed()
    shown, world.shown = world.shown, None
    world.recover()
    # The same key finds the same booking, whether or not the person ever saw its reference.
    order = world.book(world.card_used, key=key, journey=train)
    state, _, payments = _look(world, before, order["reference"], world.tries - tries)
    outcome = "ticket and charge" if state == "issued" else "neither"
    assert crashed or state == "issued", f"no crash and no ticket: {state}, the terminal showed {shown}"
    if state == "held":
        if again:
            world.attempt(order)
            world.recover()
            state, _, _ = _look(world, before, order["reference"], world.tries - tries)
            assert state == "issued", f"cannot be collected after the crash: {state}, the terminal showed {world.shown}"
            outcome = "neither, then bought"
        else:
            world.cancel(order["reference"])
            state, _, _ = _look(world, before, order["reference"], world.tries - tries)
            outcome = "neither, then cancelled"
    elif state != "issued":
        outcome = f"neither, money back ({state})" if payments else f"neither ({state})"
    return crashed, outcome, passed


def _finish(world):
    """The books at the end: nothing is open, the money is what the provider sold, the journal holds by its own rules."""
    books = world.books()
    assert books["sold"] == books["owed"], (books["sold"], books["owed"])
    world.terminal_process.stop()
    world.center.stop()
    audit = json.loads(command("audit", "--drained", "--data", str(world.data), "--json", check=False).stdout)
    assert not audit["violations"] and not audit["open"], json.dumps(audit)[:3000]
    assert audit["tickets"] == len(books["papers"]), (audit, len(books["papers"]))


def _side_by_side(place, work):
    """Runs `work(world, n)` in several worlds at once; the first failure ends all."""
    def one(n):
        world = None
        try:
            world = Split(place / f"world-{n}", 100 * (n % 2), stop)
            work(world, n)
            _finish(world)
        except Exception:
            stop.set()
            raise
        finally:
            if world:
                world.close()

    stop = threading.Event()
    for n in range(AT_ONCE):
        (place / f"world-{n}").mkdir()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        running = [pool.submit(one, n) for n in range(AT_ONCE)]
    failures = [f for f in (done.exception() for done in running) if f and not isinstance(f, Stopped)]
    if failures:
        raise failures[0]


def _report(name, rows):
    """A line for each place: what it is, how often it was hit, how it ended."""
    table = collections.defaultdict(collections.Counter)
    for where, outcome in rows:
        table[where][outcome] += 1
    width = max(len(where) for where in table)
    for where, outcomes in table.items():
        told = ", ".join(f"{outcome} {n}" for outcome, n in sorted(outcomes.items()))
        print(f"    {where:{width}}  {sum(outcomes.values()):3}  {told}")
    totals = collections.Counter(outcome for _, outcome in rows)
    print(f"  {len(rows)} crashes at {len(table)} places: {dict(sorted(totals.items()))}")
    if out := os.environ.get("GUICHET_OUT"):
        pathlib.Path(out).mkdir(parents=True, exist_ok=True)
        content = {"crashes": len(rows), "totals": totals, "places": table}
        (pathlib.Path(out) / f"crash-{name}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False))


def _met(passed):
    """The place at which the center ended; another partition may have said one more."""
    return next((place for place in passed if place["ends"]), None)


def _name(passed):
    """`after LineIssued, ledger Direct`: where a center ended."""
    facts = [fact for fact in passed["events"] if fact not in ("Answered", "Received", "Acknowledged")]
    return f"{passed['when']:6} {', '.join(dict.fromkeys(facts or passed['events']))}"


def check_center(place):
    """kill -9 of the center before and after each journal append of a purchase"""
    rows, counted, lock, taken = [], {}, threading.Lock(), collections.Counter()
    wanted, hit, named = {0: set(), 1: set()}, {0: set(), 1: set()}, {0: set(), 1: set()}

    def facts(passed):
        return {(passed["when"], fact) for fact in passed["events"]}

    def crash(world, kind, at):
        again = len(rows) % 2
        crashed, outcome, passed = _play(world, lambda: world.start_center(at), again, f"place {at}")
        with lock:
            if not crashed:
                return
            met = _met(passed)
            assert met, "it ended at another place"
            hit[kind] |= facts(met)
            rows.append((kind, met["place"], ("live      " if kind else "allotted  ") + _name(met), outcome))

    def work(world, n):
        kind = n % 2
        # A purchase that nothing disturbs names and counts the places.
        crashed, outcome, passed = _play(world, lambda: world.start_center(0), False, "no crash")
        assert not crashed and outcome == "ticket and charge", (crashed, outcome)
        with lock:
            last = counted.setdefault(kind, len(passed))
            wanted[kind] |= set() if wanted[kind] else set().union(*map(facts, passed))
        while True:
            with lock:
                taken[kind] += 1
                at = taken[kind]
            if at > last:
                break
            crash(world, kind, at)
        # Appends shift a little between purchases: what no crash has met by its number is met by its name.
        while True:
            with lock:
                missing = sorted(wanted[kind] - hit[kind] - named[kind])
                if not missing:
                    return
                named[kind].add(missing[0])
            crash(world, kind, " ".join(missing[0]))

    _side_by_side(place, work)
    _report("center", [row[2:] for row in sorted(rows)])
    # The person stands there with their money taken, and the center is back long before the ticket's deadline.
    back = [row for row in rows if "money back" in row[3]]
    assert not back, f"paid and left without a ticket: {back}"
    missing = {kind: sorted(wanted[kind] - hit[kind]) for kind in wanted}
    print(f"  appends of one purchase: {counted[0] // 2} where we give places out, {counted[1] // 2} where the provider does")
    assert not any(missing.values()), f"never met: {missing}"


def check_terminal(place):
    """kill -9 of the terminal at each write of its journal and each device step of a purchase"""
    steps = json.loads(command("terminal-steps").stdout)
    rows, left, lock = [], collections.deque(steps), threading.Lock()

    def work(world, _):
        while True:
            with lock:
                if not left:
                    return
                step = left.popleft()
            # Around every write there are many more places; the terminal's own tests meet each of them.
            for n in range(1, 400, WRITES_STEP if step.startswith("write_") else 1):
                start = lambda: world.start_terminal("--crash-at", f"{step}:{n}")  # noqa: E731
                crashed, outcome, _ = _play(world, start, n % 2, f"{step}:{n}")
                if not crashed:
                    break
                with lock:
                    rows.append((f"{step}", outcome))

    _side_by_side(place, work)
    rows.sort(key=lambda row: steps.index(row[0]))
    _report("terminal", rows)
    never = set(steps) - {step for step, _ in rows}
    assert not never, f"never passed: {never}"
