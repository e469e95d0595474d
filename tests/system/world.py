"""The running system as a test sees it: processes, HTTP, and the moves a person can make."""

import http.client
import json
import os
import pathlib
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = os.environ.get("GUICHET_BIN", str(ROOT / "target/debug/guichet"))
PATIENCE_S = 90


class Refused(Exception):
    """An HTTP answer that is not a success."""

    def __init__(self, status, body):
        super().__init__(f"{status}: {body}")
        self.status, self.body = status, body


def call(url, body=None, method=None, headers=None, raw=False):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method or ("GET" if body is None else "POST"))
    request.add_header("Content-Type", "application/json")
    for name, value in (headers or {}).items():
        request.add_header(name, value)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            content = answer.read()
    except urllib.error.HTTPError as error:
        raise Refused(error.code, error.read().decode(errors="replace")) from None
    if raw:
        return content
    return json.loads(content) if content.strip() else None


def until(look, what, patience=PATIENCE_S):
    """Calls `look` until it answers something true, and returns that."""
    end = time.monotonic() + patience
    last = None
    while time.monotonic() < end:
        try:
            found = look()
            if found:
                return found
        except (OSError, http.client.HTTPException, Refused) as error:
            last = error
        time.sleep(0.05)
    raise AssertionError(f"not seen in {patience} s: {what} (last: {last})")


class Process:
    """One process of ours, with its ready line."""

    def __init__(self, name, args, log_dir, env=None):
        self.name = name
        log_dir.mkdir(parents=True, exist_ok=True)
        self.log = log_dir / f"{name}.log"
        self.err = open(self.log, "ab")
        self.child = subprocess.Popen(
            [BIN, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.err,
            env={**os.environ, **(env or {})},
        )
        line = self.child.stdout.readline()
        if not line:
            self.child.wait()
            raise AssertionError(f"{name} did not start: {self.tail()}")
        self.ready = json.loads(line)

    def tail(self):
        return self.log.read_text(errors="replace")[-3000:]

    def alive(self):
        return self.child.poll() is None

    def kill(self):
        """As a power cut would: no chance to tidy up."""
        self.child.kill()
        self.child.wait()

    def stop(self):
        if self.alive():
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"{self.name} did not stop on SIGTERM: {self.tail()}") from None
        self.child.stdout.close()
        self.err.close()


def command(*args, check=True, stdin=None):
    done = subprocess.run([BIN, *args], capture_output=True, text=True, timeout=180, input=stdin)
    if check and done.returncode != 0:
        raise AssertionError(f"guichet {' '.join(args)} exited {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}")
    return done


class World:
    """`guichet up --sandbox` on free ports."""

    def __init__(self, data, dialect="ascii", gtfs=None, env=None, more=()):
        self.data = pathlib.Path(data)
        args = ["up", "--sandbox", "--json", "--free-ports", "--exit-with-stdin", "--data", str(data), "--dialect", dialect, *more]
        if gtfs:
            args += ["--gtfs", str(gtfs)]
        environment = {"GUICHET_WEB_BURST": "1000", "GUICHET_WEB_PER_MINUTE": "6000", **(env or {})}
        self.process = Process("center", args, self.data.parent / "logs", environment)
        self.at = self.process.ready
        self.booked = []
        until(lambda: call(f"{self.at['web']}/readyz")["ready"], "the center is ready")

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.process.stop()
        else:
            self.process.kill()

    # What a person does.

    def cards(self):
        return call(f"{self.at['bank']}/cards")["cards"]

    def card(self, behaviour="approved"):
        return next(c for c in self.cards() if c["behaviour"] == behaviour)

    def example(self):
        """Two stations and a day on which trains run; another center may name others."""
        example = call(f"{self.at['web']}/api/v1/example")
        return {k: example[k] for k in ("from", "to", "date")}

    def journeys(self, search=None):
        query = urllib.parse.urlencode(search or self.example())
        soon = (time.time() + 900) * 1e6
        return [j for j in call(f"{self.at['web']}/api/v1/journeys?{query}") if j["departs_us"] > soon]

    def booking(self, card, seats=1, terminal=0, journey=None, people=None, factor="5678"):
        """The body of a booking: for one person each seat."""
        journey = journey or next(
            j for j in self.journeys() if any(c["seats_left"] >= seats for c in j["classes"])
        )
        klass = next(c for c in reversed(journey["classes"]) if c["seats_left"] >= seats)
        return {
            "passengers": people or [
                {"name": f"李娜 {n}", "document_kind": "passport", "document": f"E1234567{n}", "contact": ""}
                for n in range(seats)
            ],
            "lines": [
                {"service": journey["service"], "from": journey["from"], "to": journey["to"],
                 "class": klass["class"], "passenger": n}
                for n in range(seats)
            ],
            "card": card["pan"],
            "pickup": self.at["terminals"][terminal]["place"],
            "second_factor": factor,
        }

    def book(self, card, key=None, **asked):
        body = self.booking(card, **asked)
        key = key or f"key-{time.time_ns()}"
        order = call(f"{self.at['web']}/api/v1/orders", body, headers={"Idempotency-Key": key})
        self.booked.append(order)
        return order

    def order(self, reference, factor="5678"):
        return call(f"{self.at['web']}/api/v1/orders/{reference}", headers={"X-Second-Factor": factor})

    def cancel(self, reference, factor="5678"):
        return call(
            f"{self.at['web']}/api/v1/orders/{reference}/cancel", {},
            headers={"X-Second-Factor": factor, "Idempotency-Key": f"cancel-{time.time_ns()}"},
        )

    def give_back(self, reference, line=0, factor="5678"):
        return call(
            f"{self.at['web']}/api/v1/orders/{reference}/lines/{line}/refund", {},
            headers={"X-Second-Factor": factor, "Idempotency-Key": f"refund-{time.time_ns()}"},
        )

    def terminal(self, n=0):
        return Terminal(self.at["terminals"][n])

    def bank_fault(self, **rule):
        return call(f"{self.at['bank']}/fault", rule)

    def mend_bank(self):
        return call(f"{self.at['bank']}/fault", {"clear": True})

    def bank_books(self):
        return call(f"{self.at['bank']}/books")

    def provider_books(self):
        return call(f"{self.at['provider']}/books")

    def wait_state(self, reference, states, patience=PATIENCE_S):
        seen = {}

        def look():
            order = self.order(reference)
            seen["state"] = order["state"]
            return order if order["state"] in states else None

        try:
            return until(look, f"order {reference} is one of {states}", patience)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {seen.get('state')}") from None


class Terminal:
    """A terminal's screen, and the twin of its devices."""

    def __init__(self, at):
        self.at = at

    def screen(self):
        return call(f"{self.at['screen']}/state")

    def until_screen(self, *wanted, patience=PATIENCE_S):
        last = {}

        def look():
            last["screen"] = self.screen()
            return last["screen"] if last["screen"]["screen"] in wanted else None

        try:
            return until(look, f"terminal {self.at['id']} shows {wanted}", patience)
        except AssertionError as error:
            raise AssertionError(f"{error}; it shows {last.get('screen')}") from None

    def tap(self, what):
        return call(f"{self.at['screen']}/tap", {"tap": what})

    def swipe(self, card):
        self.until_screen("idle")
        call(f"{self.at['devices']}/swipe", {"track2": card["track2"]})

    def to_pin(self, card, order=None):
        self.swipe(card)
        while True:
            state = self.until_screen("choosing", "confirm", "pin_entry", "problem")
            if state["screen"] == "choosing":
                self.tap(f"choose:{order['order']}")
            elif state["screen"] == "confirm":
                try:
                    self.tap("confirm")
                except Refused:
                    pass
                self.until_screen("requesting", "authorizing", "pin_entry", "problem", "completing")
            else:
                return state

    def keys(self, keys):
        for key in keys:
            call(f"{self.at['devices']}/pin-pad/key", {"key": key})
            time.sleep(0.03)

    def pin_asked(self):
        return self.state()["pin-pad"]["entering"]

    def pin(self, pin):
        # The screen may be a moment ahead of the PIN pad, which drops what is typed before it asks.
        until(self.pin_asked, "the PIN pad asks")
        self.keys([*pin, "enter"])

    def take(self):
        try:
            return call(f"{self.at['devices']}/paper/take", {})
        except Refused:
            return None

    def take_all(self, patience=PATIENCE_S):
        """Takes every ticket until the terminal says goodbye or tells of a problem; returns that screen."""
        def look():
            self.take()
            state = self.screen()
            return state if state["screen"] in ("done", "problem", "idle") else None

        return until(look, "the terminal says goodbye", patience)

    def to_idle(self):
        def look():
            self.take()
            state = self.screen()
            if state["screen"] == "idle":
                return True
            if "done" in state["taps"]:
                try:
                    self.tap("done")
                except Refused:
                    pass
            return None

        until(look, "the terminal is idle again")

    def fault(self, device, fault, **more):
        return call(f"{self.at['devices']}/fault", {"device": device, "fault": fault, **more})

    def mend(self):
        return call(f"{self.at['devices']}/faults/clear", {})

    def state(self):
        return call(f"{self.at['devices']}/state")

    def papers(self, text=None):
        papers = call(f"{self.at['devices']}/paper")["papers"]
        return [p for p in papers if text is None or text in json.dumps(p["note"], ensure_ascii=False)]

    def purchase(self, card, order, pin=None):
        state = self.to_pin(card, order)
        assert state["screen"] == "pin_entry", state
        self.pin(pin or card["pin"])
        end = self.take_all()
        self.to_idle()
        return end
