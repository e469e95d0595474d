"""kill -9 of the center and of a terminal at every journal append and device step of a purchase.

The twins live on as processes of their own, as a bank and a printer would. After each crash the process is started
again; then the person has ticket and charge, or neither and the hold is released or still theirs.
"""

import http.client
import json
import pathlib
import socket
import subprocess
import time

from world import Process, Refused, Terminal, World, call, command, until

# What a person's calls meet when the process goes away under them.
GONE = (Refused, OSError, AssertionError, http.client.HTTPException)

ZMK = "0123456789ABCDEFFEDCBA9876543210"


def _free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Split(World):
    """Bank, provider, devices, center and one terminal, each started by the test and none by another."""

    def __init__(self, place):
        self.place = pathlib.Path(place)
        self.data = self.place / "data"
        logs = self.place / "logs"
        self.logs = logs
        self.bank = Process("bank", ["sandbox", "bank"], logs)
        self.provider = Process("provider", ["sandbox", "provider", "--days", "4"], logs)
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
        self.center = None
        self.start_center()
        example = call(f"{self.at['web']}/api/v1/example")
        keys = self.place / "pad-keys.toml"
        registered = json.loads(command(
            "register-terminal", "1", "--place", example["from"], "--pad-keys", str(keys),
            "--data", str(self.data), "--json",
        ).stdout)
        self.devices = Process(
            "devices", ["sandbox", "devices", "--dir", str(self.place / "devices"), "--keys", str(keys), "--auto-take-ms", "300"], logs
        )
        self.terminal_process = None
        self.start_terminal("--enrol", registered["code"])
        self.at["terminals"] = [{
            "id": 1, "place": example["from"], "place_name": example["from"],
            "screen": f"http://127.0.0.1:{self.ports['screen']}",
            "devices": f"http://{self.devices.ready['admin_addr']}",
        }]
        self.journey = None
        self.terminal().until_screen("idle")

    def start_center(self, crash_at=None):
        if self.center and self.center.alive():
            self.center.kill()
        args = ["up", "--config", str(self.config), "--data", str(self.data), "--json", "--exit-with-stdin"]
        if crash_at:
            args += ["--crash-at-append", str(crash_at)]
        self.center = Process("center", args, self.logs)
        until(lambda: self._ready(), "the center is ready")

    def _ready(self):
        if not self.center.alive():
            return True  # it met its crash point while it started: that is one of the places too
        return call(f"{self.at['web']}/readyz")["ready"]

    def linked(self):
        """Waits until the terminal serves over its link, or one of the two has met its end."""
        def look():
            if not self.center.alive() or not self.terminal_process.alive():
                return True
            shown = self.terminal().screen()["prompt_key"]
            if shown == "problem_restarted":
                self.terminal().to_idle()
            return shown in ("idle", "idle_no_receipts")

        until(look, "the terminal is linked to the center")

    def start_terminal(self, *more):
        if self.terminal_process and self.terminal_process.alive():
            self.terminal_process.kill()
        self.terminal_process = Process("terminal", [
            "terminal", "--number", "1", "--center", f"127.0.0.1:{self.ports['terminals']}",
            "--data", str(self.place / "terminal"), "--devices", str(self.place / "devices"),
            "--screen", f"127.0.0.1:{self.ports['screen']}", "--exit-with-stdin", *more,
        ], self.logs)

    def terminal(self, n=0):
        return Terminal(self.at["terminals"][0])

    def close(self):
        for process in (self.terminal_process, self.devices, self.center, self.provider, self.bank):
            if process and process.alive():
                process.kill()

    def attempt(self, card, order=None):
        """A whole purchase as far as it goes; a crash on the way is an exception."""
        order = order or self.book(card)
        terminal = self.terminal()
        state = terminal.to_pin(card, order)
        if state["screen"] == "pin_entry":
            terminal.pin(card["pin"])
            terminal.take_all(patience=40)
        return order

    def at_rest(self):
        """Nothing is held at the bank, and no order is between two states."""
        cards = call(f"{self.at['bank']}/cards")["cards"]
        return not any(c["held_minor"] for c in cards)

    def settle_down(self, references):
        states = {}
        for reference in references:
            try:
                states[reference] = self.wait_state(reference, ["issued", "held", "closed", "cancelled", "refused", "expired"], 120)["state"]
            except Refused:
                states[reference] = "unknown"
        until(self.at_rest, "the bank holds nothing", 120)
        return states

    def counts(self):
        """What the twins' own books say: net purchases at the bank, tickets on paper."""
        books = call(f"{self.at['bank']}/books")
        assert not books["faults"], books["faults"]
        owed = sum(a["owed_minor"] for a in books["acquirer"])
        tickets = len([p for p in self.terminal().papers() if p["kind"] == "ticket"])
        return owed, tickets


def _once(world):
    """The twins saw at most one 0200 of a trace number, and one print of a job."""
    frames = call(f"{world.at['bank']}/wire")["frames"]
    seen = {}
    for frame in frames:
        if frame.get("mti") == "0200" and frame.get("inbound", frame.get("direction") == "in"):
            key = (frame.get("stan"), frame.get("rrn"), frame.get("transmission"))
            if any(key):
                seen[key] = seen.get(key, 0) + 1
    assert all(n == 1 for n in seen.values()), seen
    jobs = [p["note"].get("job") for p in world.terminal().papers() if p["kind"] == "ticket"]
    assert len(jobs) == len(set(jobs)), jobs


def _ended(process):
    """Whether it has ended, or does within a moment: a broken connection is seen before the process is gone."""
    try:
        process.child.wait(5)
    except subprocess.TimeoutExpired:
        return False
    return True


def check_center(place):
    """kill -9 of the center before and after each journal append of a purchase"""
    world = Split(place)
    try:
        card = world.card()
        issued_price = None
        places, crash_at = 0, 1
        while True:
            before = world.counts()
            world.start_center(crash_at)
            key, journey = f"crash-{crash_at:04}-{time.time_ns()}", None
            try:
                journey = next(iter(world.journeys()), None)
                world.linked()
                order = world.book(card, key=key, journey=journey)
                world.attempt(card, order)
                crashed = not world.center.alive()
            except GONE:
                crashed = _ended(world.center)
                if not crashed:
                    raise
            world.start_center()
            world.linked()
            world.terminal().to_idle()
            # The same key finds the same booking, whether or not the person ever saw its reference.
            references = [world.book(card, key=key, journey=journey)["reference"]]
            states = world.settle_down(references)
            after = world.counts()
            charged, printed = after[0] - before[0], after[1] - before[1]
            issued = sum(state == "issued" for state in states.values())
            assert printed == issued and (charged > 0) == (printed > 0), (crash_at, states, before, after)
            if printed:
                issued_price = charged if issued_price is None else issued_price
                assert charged == issued_price, (crash_at, charged, issued_price)
            for reference, state in states.items():
                if state == "held":
                    world.cancel(reference)
            if not crashed:
                break
            places += 1
            crash_at += 1
        _once(world)
        print(f"  {places} places, each hit")
        assert places >= 20, places
        world.center.stop()
        audit = json.loads(command("audit", "--data", str(world.data), "--json").stdout)
        assert not audit["violations"], audit
    finally:
        world.close()


def check_terminal(place):
    """kill -9 of the terminal at each write of its journal and each device step of a purchase"""
    world = Split(place)
    try:
        card = world.card()
        steps = json.loads(command("terminal-steps").stdout)
        hit = {}
        for step in steps:
            for n in range(1, 12):
                before = world.counts()
                world.start_terminal("--crash-at", f"{step}:{n}")
                world.linked()
                order = world.book(card)
                try:
                    world.attempt(card, order)
                    crashed = not world.terminal_process.alive()
                except GONE:
                    crashed = _ended(world.terminal_process)
                    if not crashed:
                        raise
                world.start_terminal()
                world.terminal().to_idle()
                state = world.settle_down([order["reference"]])[order["reference"]]
                after = world.counts()
                charged, printed = after[0] - before[0], after[1] - before[1]
                assert (charged > 0) == (printed > 0) == (state == "issued"), (step, n, state, before, after)
                if state == "held":
                    world.cancel(order["reference"])
                if not crashed:
                    break
                hit[step] = hit.get(step, 0) + 1
        _once(world)
        print(f"  {sum(hit.values())} places in {len(hit)} steps, each hit: {hit}")
        assert set(hit) == set(steps), f"never passed: {set(steps) - set(hit)}"
    finally:
        world.close()
