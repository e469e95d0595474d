"""`guichet demo` with every feed and both dialects, then explain, settle and audit on what each left."""

import json
import re
import subprocess

from world import BIN, ROOT, command

FEEDS = {
    "built-in": None,
    "coach": ROOT / "tests/fixtures/gtfs/flixbus-de-2014.gtfs.zip",
    "ferry": ROOT / "tests/fixtures/gtfs/miyako-muroran-ferry-2018.gtfs.zip",
}


# What the timeline of a purchase says, by the flow of the bank's dialect.
SAID = ("0200 payment", "0210 answer to the payment", "printed", "payment 0 posted", "business date")
SAID_IN_TWO_STEPS = (*SAID, "0100 hold", "0110 answer to the hold")


def _demo(place, feed, dialect, said=SAID_IN_TWO_STEPS):
    out, data = place / "out", place / "data"
    args = ["demo", "--out", str(out), "--data", str(data), "--dialect", dialect, "--json"]
    if FEEDS[feed]:
        args += ["--gtfs", str(FEEDS[feed])]
    played = json.loads(command(*args).stdout)
    steps = {seen["step"] for seen in played["played"]}
    assert steps == {"a", "b", "c", "d"}, steps
    for name in ("ticket.png", "receipt.png"):
        assert (out / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n", name
    assert json.loads((out / "timeline.json").read_text())["order"] == played["order"]

    told = json.loads(command("explain", played["reference"], "--data", str(data), "--json").stdout)
    text = json.dumps(told, ensure_ascii=False)
    for word in said:
        assert word in text, f"{word} is not in the timeline"
    for word in set(SAID_IN_TWO_STEPS) - set(said):
        assert word not in text, f"{word} is in the timeline"
    _paper(data, played["played"])
    by_order = json.loads(command("explain", played["order"], "--data", str(data), "--json").stdout)
    assert by_order["lines"] == told["lines"]

    settled = json.loads(
        command("settle", "--data", str(data), "--clearing", str(out / "clearing.csv"), "--json").stdout
    )
    assert settled["matched"] == 1 and not settled["exceptions"], settled
    assert set(settled["ledger"].values()) == {0}, settled["ledger"]
    again = command("settle", "--data", str(data), "--date", settled["date"]).stdout
    once_more = command("settle", "--data", str(data), "--date", settled["date"]).stdout
    assert again == once_more and again.startswith("H,1,")
    filed = json.loads(command("explain", played["order"], "--data", str(data), "--json").stdout)
    assert "settlement-" in json.dumps(filed), "the file line is not in the timeline"

    audit = json.loads(command("audit", "--drained", "--data", str(data), "--json").stdout)
    assert audit["orders"] == 1 and audit["tickets"] == 1 and not audit["violations"] and not audit["open"], audit


def _paper(data, seen):
    """Ticket and receipt tell the stations and the seat that the person was told, and no coach where there is none."""
    words = {event["what"] for event in seen if event["step"] == "a"}
    trip = next(m for w in words if (m := re.match(r"searched (?P<start>.+) to (?P<end>.+) on \d", w)))
    place = next(m for w in words if (m := re.match(r"booked: reference \w+, (?:coach (?P<coach>\S+) )?seat (?P<seat>\S+)$", w)))
    folder = data / "sandbox/terminal-1/devices/paper"
    ticket, receipt = (json.loads((folder / f"{kind}-1.json").read_text())["lines"] for kind in ("ticket", "receipt"))
    for name in (trip["start"], trip["end"]):
        assert name in " ".join(receipt), (name, receipt)
        # The ticket sets long names over several lines, side by side: the name's beginning, then the rest in its order.
        letters = iter("".join(ticket[ticket.index(next(line for line in ticket if name[:6].strip() in line)):]))
        assert all(letter in letters for letter in name), (name, ticket)
    for paper in (ticket, receipt):
        assert place["seat"] in "\n".join(paper), (place["seat"], paper)
        empty = [line for line in paper if re.search(r"[Cc]oach\s*(,|$)|(^|\s)车\s*\S|\s/\S", line)]
        assert not empty, f"a coach without a number: {empty}"
    if place["coach"]:
        both = rf"(?<!\w){re.escape(place['coach'])}\D+{re.escape(place['seat'])}"
        assert any(re.search(both, line) for line in ticket), (both, ticket)


def check_one_step(place):
    """a dialect of one step: the 0200 with the PIN alone, without a hold before it"""
    shipped = (ROOT / "gateways/iso8583/dialects/ascii.toml").read_text()
    dialect = place / "one-step.toml"
    dialect.write_text(shipped.replace('payment_flow = "two_step"', 'payment_flow = "one_step"'))
    assert dialect.read_text() != shipped
    _demo(place, "built-in", str(dialect), SAID)


def check_hints(place):
    """what the demo prints to be typed next works as it stands, from the same folder"""
    run = lambda *args, **more: subprocess.run(*args, cwd=place, capture_output=True, text=True, timeout=180, **more)
    played = run([BIN, "demo"])
    assert played.returncode == 0, played.stderr[-3000:]
    hints = re.findall(r"^(?:next: |      )(\S.* --data .*)$", played.stdout, re.M)
    said = ["payment 0 posted", "1 matched, 0 exception(s)", "nothing is open"]
    assert len(hints) == len(said), played.stdout[-1000:]
    for hint, words in zip(hints, said):
        done = run(hint, shell=True)
        assert done.returncode == 0 and words in done.stdout, (hint, done.stdout[-1000:], done.stderr[-1000:])


def check_rail_ascii(place):
    """the built-in timetable, ASCII dialect"""
    _demo(place, "built-in", "ascii")


def check_rail_bcd(place):
    """the built-in timetable, BCD dialect"""
    _demo(place, "built-in", "bcd")


def check_coach_ascii(place):
    """a coach timetable, ASCII dialect"""
    _demo(place, "coach", "ascii")


def check_coach_bcd(place):
    """a coach timetable, BCD dialect"""
    _demo(place, "coach", "bcd")


def check_ferry_ascii(place):
    """a ferry timetable, ASCII dialect"""
    _demo(place, "ferry", "ascii")


def check_ferry_bcd(place):
    """a ferry timetable, BCD dialect"""
    _demo(place, "ferry", "bcd")
