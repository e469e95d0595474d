"""Nobody's card, PIN, name, document or key lies in clear where it has no business to be."""

import base64
import http.cookiejar
import itertools
import json
import os
import random
import re
import socket
import sys
import urllib.error
import urllib.parse
import urllib.request

from hunter import Quarry, vault_keys
from world import ROOT, Refused, World, call, command, until

sys.path.insert(0, str(ROOT / "tests/judges"))

# As far as a log can be turned up by who runs the center.
LOUD = {"GUICHET_LOG": "debug,guichet=trace"}
FACTOR = "hummel-7741-nest"
WRONG_PIN = "739104628513"
DISCRETIONARY = "7739152864"
PEOPLE = [
    {"name": "Ottilie Zwickelbrand", "document_kind": "passport", "document": "XK7391042Q", "contact": "ottilie@zwickel.example"},
    {"name": "夏侯鲲鹏", "document_kind": "identity_card", "document": "110105196503071234", "contact": "+8613912340987"},
]
# The tickets that came out of the printers bear names; nobody else is told one.
NAMES_AT_HOME = ("/devices/paper/",)


def check_no_secret_in_any_file(place):
    """no card, PIN, name, document, factor or key in any file, log, journal, metrics page, answer or error"""
    data, outputs = place / "data", Outputs(place / "outputs")
    quarry = Quarry()
    with World(data, env=LOUD, more=["--rehearse-panics"]) as world:
        card = world.card()
        card["track2"] = card["track2"][:-len(DISCRETIONARY)] + DISCRETIONARY
        _people(quarry)
        _card(quarry, card)
        references = _live(world, data, card, outputs)
        _pin_blocks(quarry, world, card)
        _pages(world, outputs)
        _commands(world, place, card, references, outputs, quarry)
        _keys(quarry, data)
    # Checkpoints are read, the journal is folded, and what was cut short is taken up.
    with World(data, env=LOUD) as world:
        outputs.add("status", command("operator", "status", "--data", str(data)))
        _pages(world, outputs)
    for verb in (["explain", references[0]], ["audit"], ["audit", "--json"]):
        outputs.add(verb[0], command(*verb, "--data", str(data), check=False))

    found = quarry.hunt(place)
    assert not found, "\n".join(map(str, found))
    # What was looked at was not empty, and what was looked for had been there.
    logs = (place / "logs" / "center.log").read_text()
    for words in ("bank message", "an order's actor panicked", "the order is parked"):
        assert words in logs, f"{words} is not in the log"
    at_home = Quarry()
    for person in PEOPLE:
        at_home.text(person["name"], person["name"])
    homes = {what for what, _, where in at_home.hunt(place) if NAMES_AT_HOME[0] in where}
    assert homes == {person["name"] for person in PEOPLE}, homes
    print(f"  {len(quarry.values)} values in {sum(len(f) for f, _ in quarry.values.values())} forms, "
          f"{sum(len(files) for _, _, files in os.walk(place))} files")


def check_the_hunter(place):
    """the hunt finds each value that is planted, in each form that programs write, and nothing else"""
    chance = random.Random(20261124)
    noise = lambda n: chance.randbytes(n)
    quarry, key, pan = Quarry(), noise(16), "6200123412341230008"
    texts = {"name": "夏侯鲲鹏", "document": "XK7391042Q", "pan": pan, "track": f"{pan}=3012101{DISCRETIONARY}"}
    for what, value in texts.items():
        quarry.text(what, value)
    quarry.octets("key", key)
    quarry.text("at home", "the one in the right place", home=("home/",))

    planted = []

    def plant(what, how, content, under="files"):
        path = place / under / f"{len(planted)}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(noise(chance.randrange(40)) + content + noise(chance.randrange(40)))
        planted.append((what, how, str(path.relative_to(place))))

    for what, value in texts.items():
        around = f'ORDER{{"v": {json.dumps(value)}, "w": 7}}'
        plant(what, "text", value.encode())
        plant(what, "JSON", around.encode())
        plant(what, "UTF-16", value.encode("utf-16"))
        plant(what, "URL", urllib.parse.urlencode({"q": value}).encode())
        plant(what, "hexadecimal", f"ORDER {value}.".encode().hex().upper().encode())
        plant(what, "an array", str(list(value.encode())).encode())
        for before in range(3):
            plant(what, "base64", base64.b64encode(b"x" * before + value.encode() + b"yz"))
    for before in range(3):
        plant("key", "base64", base64.urlsafe_b64encode(b"x" * before + key + b"yz"))
    plant("key", "raw", key)
    plant("key", "hexadecimal", key.hex().upper().encode())
    plant("key", "an array", json.dumps(list(key), separators=(",", ":")).encode())
    for before in ("", "0", "19"):
        # A length before it, as in DE 2 and DE 35, moves it by half a byte or not.
        for what in ("pan", "track"):
            digits = before + texts[what].replace("=", "D")
            plant(what, "packed", bytes.fromhex(digits + "F" * (len(digits) % 2)))
    plant("pan", "in fours", " ".join(pan[at:at + 4] for at in range(0, 19, 4)).encode())
    plant("pan", "EBCDIC", pan.encode("cp037"))

    found = {(what, where) for what, _, where in quarry.hunt(place)}
    missed = [plant for plant in planted if (plant[0], plant[2]) not in found]
    assert not missed, missed
    # A track holds its card's number; nothing else was seen anywhere.
    more = found - {(what, where) for what, _, where in planted}
    assert {what for what, _ in more} <= {"pan"}, more
    clean = place / "clean"
    clean.mkdir()
    (clean / "noise").write_bytes(noise(1 << 20))
    assert quarry.hunt(clean) == []
    (clean / "home").mkdir()
    (clean / "home" / "it").write_text("the one in the right place")
    assert quarry.hunt(clean) == []
    (clean / "elsewhere").write_text("the one in the right place")
    assert [where for _, _, where in quarry.hunt(clean)] == ["elsewhere"]


class Outputs:
    """What commands and pages said, kept as files so that it is hunted through, too."""

    def __init__(self, folder):
        self.folder, self.count = folder, itertools.count()
        folder.mkdir()

    def add(self, name, said):
        if not isinstance(said, (str, bytes)):
            said = said.stdout + said.stderr
        content = said.encode() if isinstance(said, str) else said
        (self.folder / f"{next(self.count)}-{name}").write_bytes(content)


def _people(quarry):
    for n, person in enumerate(PEOPLE):
        for what in ("name", "document", "contact"):
            quarry.text(f"{what} {n}", person[what], NAMES_AT_HOME)
    quarry.text("second factor", FACTOR)


def _card(quarry, card):
    quarry.text("PAN", card["pan"])
    quarry.text("track 2", card["track2"])
    quarry.text("what track 2 has after the service code", DISCRETIONARY)
    quarry.text("PIN", WRONG_PIN)
    # ISO 9564-1 formats 0 and 4, before encryption.
    field = bytes.fromhex(f"0{len(WRONG_PIN):X}{WRONG_PIN}".ljust(16, "F"))
    number = bytes.fromhex(card["pan"][-13:-1].rjust(16, "0"))
    quarry.octets("clear PIN block, format 0", bytes(a ^ b for a, b in zip(field, number)))
    quarry.octets("clear PIN field", field[:7])
    quarry.octets("clear PIN field, format 4", bytes.fromhex(f"4{len(WRONG_PIN):X}{WRONG_PIN}".ljust(16, "A")))


def _live(world, data, card, outputs):
    """Bookings by API and site, refusals, purchases with wrong PINs, a panic with the PIN in hand."""
    terminal = world.terminal()
    first = world.book(card, people=PEOPLE[:1], factor=FACTOR)
    second = world.book(card, people=PEOPLE[1:], factor=FACTOR)
    site = _by_the_site(world, card, outputs)
    _misuse(world, card, outputs)

    state = terminal.to_pin(card, first)
    assert state["screen"] == "pin_entry", state
    terminal.pin(WRONG_PIN)
    until(lambda: terminal.screen()["params"].get("tries_left") == 2, "the PIN is asked for again")
    terminal.pin(card["pin"])
    assert terminal.take_all()["screen"] in ("done", "idle")
    terminal.to_idle()

    terminal.to_pin(card, second)
    command("operator", "rehearse-panic", second["order"], "--times", "3", "--data", str(data))
    terminal.pin(WRONG_PIN)
    until(lambda: _parked(data), "the order is parked")
    terminal.to_idle()
    command("operator", "unpark", second["order"], "--as", "7", "--data", str(data))
    until(lambda: world.order(second["reference"], FACTOR)["state"] == "held", "it can be bought again")
    assert terminal.purchase(card, second)["screen"] in ("done", "idle")
    world.cancel(site, FACTOR)
    return [first["reference"], second["reference"], site]


def _parked(data):
    return json.loads(command("operator", "status", "--json", "--data", str(data)).stdout)["parked"]


def _by_the_site(world, card, outputs):
    """A booking through the pages; the reference on the last one."""
    browser = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    )
    body = world.booking(card)
    line = body["lines"][0]
    query = {k: line[k] for k in ("service", "from", "to", "class")} | {"passengers": 1}
    web = world.at["web"]
    page = browser.open(f"{web}/book?{urllib.parse.urlencode(query)}").read().decode()
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))
    person = {f"p0-{what}": PEOPLE[0][what] for what in ("name", "document")} | {"p0-kind": "passport"}
    typed = {"contact": PEOPLE[0]["contact"], "secret": FACTOR, "pickup": line["from"], "action": "hold"}

    def send(number):
        fields = hidden | person | typed | {"card": number}
        try:
            return browser.open(f"{web}/book", urllib.parse.urlencode(fields).encode())
        except urllib.error.HTTPError as error:
            return error

    # A number with one wrong digit is asked for again; it is not written into the page.
    again = send(card["pan"][:-1] + str((int(card["pan"][-1]) + 1) % 10))
    assert again.status == 422 and card["pan"][:-1].encode() not in again.read()
    placed = send(card["pan"])
    found = re.search(r"/bookings/([0-9A-Z]{10})", placed.url)
    assert found, placed.url
    assert card["pan"].encode() not in placed.read()
    return found[1]


def _misuse(world, card, outputs):
    """Bodies with the right things in wrong places: neither the answer nor the log repeats them."""
    web = world.at["web"]
    good = world.booking(card, people=PEOPLE[:1], factor=FACTOR)
    line = good["lines"][0]
    bodies = [
        {**good, "card": int(card["pan"])},
        {**good, "lines": card["pan"]},
        {**good, "lines": [{**line, "class": PEOPLE[0]["document"]}]},
        {**good, "lines": [{**line, "service": card["track2"]}]},
        {**good, "lines": [{**line, "from": PEOPLE[1]["name"]}]},
        {**good, "pickup": PEOPLE[0]["name"]},
        {**good, "passengers": PEOPLE[0]["name"]},
        {**good, "passengers": [{**PEOPLE[0], "document_kind": PEOPLE[0]["document"]}]},
        {**good, "passengers": [{**PEOPLE[0], card["pan"]: 1}]},
        {**good, FACTOR: 1},
        {**good, "card": card["track2"]},
    ]
    bodies = [json.dumps(body, ensure_ascii=False).encode() for body in bodies]
    bodies += [bodies[0][:-9], card["pan"].encode(), f'"{PEOPLE[1]["name"]}'.encode()]
    paths = ["/api/v1/orders", "/book", "/bookings", f"/api/v1/orders/{first_word(PEOPLE[0])}/cancel"]
    for body, path in [(body, paths[0]) for body in bodies] + [(bodies[0], path) for path in paths[1:]]:
        request = urllib.request.Request(web + path, data=body, headers={
            "Content-Type": "application/json", "Idempotency-Key": f"misuse-{random.random()}", "X-Second-Factor": FACTOR,
        })
        try:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30)
        except urllib.error.HTTPError as error:
            outputs.add("refusal", error.read())
        else:
            raise AssertionError(f"this was taken: {body} at {path}")
    for reference in (PEOPLE[0]["document"], card["pan"]):
        try:
            world.order(reference, FACTOR)
        except Refused as refused:
            outputs.add("refusal", refused.body)


def first_word(person):
    return person["name"].split()[0]


def _pin_blocks(quarry, world, card):
    """What the bank saw in DE 52, decoded by an implementation of others."""
    import iso8583_judge

    table = iso8583_judge.Table(ROOT / "gateways/iso8583/dialects/ascii.toml")
    wire = call(f"{world.at['bank']}/wire")["frames"]
    messages = [table.decode(bytes.fromhex(frame["hex"])) for frame in wire]
    blocks = {m["fields"]["52"] for m in messages if "52" in m["fields"]}
    assert len(blocks) == 2, f"a wrong and a right PIN went to the bank, {len(blocks)} blocks were seen"
    for n, block in enumerate(sorted(blocks)):
        quarry.octets(f"PIN block {n}", bytes.fromhex(block))
    assert any(m["fields"].get("35", "").endswith(DISCRETIONARY) for m in messages), "the swipe went to the bank"
    assert any(m["fields"].get("2") == card["pan"] for m in messages), "the number went to the bank"


def _keys(quarry, data):
    """Keys of the vault, of the link, of the site, of the PIN pads, and of the bank's zone; each in one file only."""
    storage, keys = vault_keys(data / "vault")
    quarry.octets("key that seals the keystore", storage, ("vault/storage.key",))
    assert {use for use, _, _ in keys} == set(range(1, 13)), "a key of each use"
    for n, (use, scope, key) in enumerate(keys):
        zone_master = ("sandbox-zone-master.key",) if use == 5 else ()
        quarry.octets(f"key {n} of use {use}, scope {scope}", key, zone_master)
    quarry.octets("link key", bytes.fromhex((data / "links/link-key").read_text()), ("links/link-key",))
    quarry.octets("site key", (data / "site.key").read_bytes(), ("site.key",))
    for pad in sorted((data / "sandbox").glob("terminal-*/pad-keys.toml")):
        for name, value in re.findall(r'^(\w+) = "([0-9a-f]+)"', pad.read_text(), re.M):
            # The derivation id is sent with every PIN block; it is no secret.
            if name != "ikid":
                quarry.octets(f"{name} of {pad.parent.name}", bytes.fromhex(value), ("/pad-keys.toml",))


def _pages(world, outputs):
    web = world.at["web"]
    for path in ("/metrics", "/readyz", "/livez", "/api/v1/openapi.json"):
        outputs.add("page", call(web + path, raw=True))
    for terminal in world.at["terminals"]:
        for path in ("/metrics", "/state"):
            outputs.add("terminal", call(terminal["screen"] + path, raw=True))


def _commands(world, place, card, references, outputs, quarry):
    data, station = world.data, world.at["terminals"][0]["place"]
    at = ("--data", str(data))
    run = lambda *args, **more: outputs.add(args[0], command(*args, *at, check=False, **more))
    for wanted in [*references, "T0000001"]:
        run("explain", wanted)
        run("explain", wanted, "--json")
    told = command("explain", "-", *at, stdin=card["pan"] + "\n")
    assert all(reference in told.stdout for reference in references), told.stdout
    outputs.add("explain", told)
    # A card number as an argument is refused without being repeated; it is at home in nobody's output.
    pan = card["pan"]
    for typed in (pan, " ".join(pan[at:at + 4] for at in range(0, len(pan), 4)), card["track2"]):
        refused = command("explain", typed, *at, check=False)
        assert refused.returncode == 1 and "standard input" in refused.stderr, refused
        outputs.add("explain", refused)
        outputs.add("operator", command("operator", "unpark", typed, "--as", "7", *at, check=False))
    run("explain", "-", stdin=PEOPLE[0]["name"] + "\n")
    run("explain", "-", stdin=card["track2"] + "\n")
    for args in (["status"], ["status", "--json"], ["unpark", references[0], "--as", "7"],
                 ["count-print", references[0], "0", "1", "--printed", "true", "--as", "7", "--and", "8"]):
        run("operator", *args)
    run("settle")
    run("settle", "--json")
    run("verify-ticket", "00" * 40)

    pads = place / "injection-room" / "pad-keys.toml"
    pads.parent.mkdir()
    registered = command("register-terminal", "9", "--place", station, "--pad-keys", str(pads), "--json", *at)
    # Shown once to who installs the terminal, and said nowhere else.
    quarry.text("enrolment code", json.loads(registered.stdout)["code"])
    for name, value in re.findall(r'^(\w+) = "([0-9a-f]+)"', pads.read_text(), re.M):
        if name != "ikid":
            quarry.octets(f"{name} of a new terminal", bytes.fromhex(value), ("/pad-keys.toml",))

    for question in (
        {"ask": "who"},
        {"ask": "operator", "operator": "status"},
        {"ask": "card_tag", "pan": card["pan"]},
        {"ask": "card_tag", "pan": int(card["pan"])},
        {"ask": "card_tag", "pan": card["pan"][:-1] + "x"},
        {"ask": "card_tag", "pan": PEOPLE[1]["name"]},
        {"ask": card["pan"]},
        {"ask": "operator", "operator": PEOPLE[0]["document"]},
        {"ask": "register", "terminal": card["pan"], "place": "x"},
        {"ask": "verify", "code": card["track2"]},
    ):
        outputs.add("admin", call_admin(data, question))


def call_admin(data, question):
    """A line to the admin socket, and the line that comes back."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(30)
        line.connect(str(data / "admin.sock"))
        line.sendall(json.dumps(question).encode() + b"\n")
        return b"".join(iter(lambda: line.recv(65536), b""))
