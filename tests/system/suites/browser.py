"""The site and the screens in a real browser (Chromium), with axe-core."""

import datetime
import hashlib
import subprocess

from world import ROOT, Process, World, command

HERE = ROOT / "tests/system/browser"


def _node(script, *args):
    done = subprocess.run(["node", str(HERE / script), *args], capture_output=True, text=True, timeout=600, cwd=HERE)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-3000:]


def check_site(place):
    """booking on the site by mouse and by keyboard alone, without serious accessibility findings"""
    with World(place / "data") as world:
        _node("site.mjs", world.at["web"], world.card()["pan"])


def orders_in_every_state(data, world):
    """Bookings that are held, printed, given back, cancelled, of a service that does not run, and without their ticket."""
    card, terminal = world.card(), world.terminal()
    named = {}

    def sold(name, **asked):
        order = named[name] = world.book(card, **asked)["reference"]
        assert terminal.purchase(card, world.order(order))["screen"] in ("done", "idle")
        world.wait_state(order, ["issued"])
        return order

    sold("issued")
    world.give_back(sold("given-back"))
    unlucky = named["not-printed"] = world.book(card)["reference"]
    assert terminal.to_pin(card, world.order(unlucky))["screen"] == "pin_entry"
    terminal.fault("ticket-printer", "jam")
    terminal.pin(card["pin"])
    world.wait_state(unlucky, ["closed"])
    terminal.mend()
    terminal.to_idle()
    # On another day, so that no other booking is of the service that does not run.
    search = world.example()
    search["date"] = str(datetime.date.fromisoformat(search["date"]) + datetime.timedelta(days=1))
    disrupted = sold("disrupted", journey=world.journeys(search)[0])
    world.cancel(named.setdefault("cancelled", world.book(card)["reference"]))
    command("operator", "disrupt", disrupted, "--as", "7", "--data", str(data))
    named["held"] = world.book(card)["reference"]
    return [f"{name}={reference}:{world.order(reference)['state']}" for name, reference in named.items()]


def check_orders(place):
    """bookings in every state, at a desk in English and on a phone in Chinese, without serious accessibility findings"""
    with World(place / "data") as world:
        _node("orders.mjs", world.at["web"], *orders_in_every_state(place / "data", world))


def check_kiosk(place):
    """the kiosk's screens in both languages, without serious accessibility findings"""
    with World(place / "data") as world:
        terminal = world.at["terminals"][0]
        card = world.card()
        world.book(card)
        _node("kiosk.mjs", terminal["screen"], terminal["devices"], card["track2"], card["pin"])


def check_sandbox(place):
    """every button of the sandbox page, pressed in a browser, up to a ticket and a receipt as pictures"""
    with World(place / "data") as world:
        card = world.card()
        world.book(card)
        _node("sandbox.mjs", world.at["page"], card["pin"])


def _code():
    """An enrolment code of a center that nobody is, in the form of terminal/link: the terminal waits, its screens show."""
    code = bytes([1]) + bytes(32)
    code += hashlib.sha256(b"guichet/enrol-code" + code).digest()[:2]
    number = int.from_bytes(code, "big")
    return "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[number >> 5 * place & 31] for place in reversed(range(56)))


def check_kiosk_previews(place):
    """every kiosk screen in both languages, contrast, large letters, upright and lying: nothing cut off, no serious finding"""
    (place / "devices").mkdir(parents=True)
    terminal = Process("terminal", [
        "terminal", "--number", "1", "--center", "127.0.0.1:1", "--data", str(place / "data"),
        "--devices", str(place / "devices"), "--enrol", _code(), "--preview",
    ], place / "logs")
    try:
        _node("kiosk.mjs", f"http://{terminal.ready['screen_addr']}", "previews")
    finally:
        terminal.kill()
