"""`guichet demo` with every feed and both dialects, then explain, settle and audit on what each left."""

import json

from world import ROOT, command

FEEDS = {
    "built-in": None,
    "coach": ROOT / "tests/fixtures/gtfs/flixbus-de-2014.gtfs.zip",
    "ferry": ROOT / "tests/fixtures/gtfs/miyako-muroran-ferry-2018.gtfs.zip",
}


def _demo(place, feed, dialect):
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
    for word in ("0100", "0110", "0200", "0210", "printed", "payment 0 posted", "business date"):
        assert word in text, f"{word} is not in the timeline"
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
