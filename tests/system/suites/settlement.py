"""Cutover, files, and a clearing file with one lost, one doubled, one altered and one late line."""

import concurrent.futures
import csv
import io
import json
from decimal import Decimal
from pathlib import Path

from world import World, call, command


def check_four_exceptions(place):
    """one lost, one doubled, one altered and one late line give exactly four exceptions"""
    data = place / "data"
    with World(data) as world:
        card = world.card()
        terminal = world.terminal()
        for _ in range(6):
            terminal.purchase(card, world.book(card))
        text = call(f"{world.at['bank']}/clearing", raw=True).decode()
        spoiled = place / "clearing.csv"
        spoiled.write_text(_spoil(text))
        settled = json.loads(command("settle", "--early", "--data", str(data), "--clearing", str(spoiled), "--json").stdout)
        kinds = sorted(e["kind"] for e in settled["exceptions"])
        assert kinds == ["AMOUNT", "DAY-SHIFT", "DUPLICATE", "SHORT"], settled["exceptions"]
        for exception in settled["exceptions"]:
            assert exception["owner"] and (exception["ours"] or exception["theirs"]), exception
        assert len(settled["lines"]) == 6 and set(settled["ledger"].values()) == {0}
        # Business goes on after the cutover, and the next day has its own file.
        terminal.purchase(card, world.book(card))
        second = json.loads(command("settle", "--early", "--data", str(data), "--json").stdout)
        assert second["date"] == settled["opens"] and len(second["lines"]) == 1, second
        assert second["matched"] is None and second["lines"][0]["state"] == "awaiting"
        first = command("settle", "--data", str(data), "--date", settled["date"]).stdout
    assert command("settle", "--data", str(data), "--date", settled["date"]).stdout == first
    # A lost file is written again from the journal; an altered one is not shown as ours.
    (data / "settlement" / Path(settled["file"]).name).unlink()
    assert command("settle", "--data", str(data), "--date", settled["date"]).stdout == first
    Path(settled["file"]).write_text(first.replace("D", "C", 1))
    altered = command("settle", "--data", str(data), "--date", settled["date"], check=False)
    assert altered.returncode == 1 and "was altered" in altered.stderr and not altered.stdout, altered


def check_bad_files(place):
    """a file that cannot be read, or is of another day, closes nothing; the same file twice closes no second day"""
    data = place / "data"
    with World(data) as world:
        card = world.card()
        world.terminal().purchase(card, world.book(card))
        good = place / "clearing.csv"
        good.write_text(call(f"{world.at['bank']}/clearing", raw=True).decode())
        garbage = place / "garbage.csv"
        garbage.write_text("no,clearing,file\n")
        for bad in (garbage, place, place / "nothing.csv"):
            refused = command("settle", "--early", "--data", str(data), "--clearing", str(bad), check=False)
            assert refused.returncode == 1 and bad.name in refused.stderr, refused
        # The first day ends today, so nobody has to say that it is early.
        settled = json.loads(command("settle", "--data", str(data), "--clearing", str(good), "--json").stdout)
        assert settled["matched"] == 1 and not settled["exceptions"], settled
        second = command("settle", "--data", str(data), check=False)
        assert second.returncode == 1 and f"{settled['opens']} stays open" in second.stderr, second
        assert "--early" in second.stderr, second
        again = command("settle", "--early", "--data", str(data), "--clearing", str(good), check=False)
        assert again.returncode == 1 and f"{settled['opens']} stays open" in again.stderr, again
        args = ["--date", settled["date"], "--clearing", str(good), "--json"]
        same = json.loads(command("settle", "--data", str(data), *args).stdout)
        assert same["matched"] == 1 and not same["exceptions"], same


def check_running_twin(place):
    """without a file, settle compares with the running bank's own, day after day"""
    data = place / "data"
    with World(data) as world:
        card = world.card()
        terminal = world.terminal()
        dates = []
        for _ in range(2):
            terminal.purchase(card, world.book(card))
            settled = json.loads(command("settle", "--early", "--data", str(data), "--json").stdout)
            assert settled["matched"] == 1 and not settled["exceptions"], settled
            assert [line["state"] for line in settled["lines"]] == ["matched"], settled
            dates.append((settled["date"], settled["opens"]))
        assert dates[1][0] == dates[0][1], dates
    # The stopped directory knows what it ran with, wherever it is moved to.
    moved = place / "moved"
    data.rename(moved)
    third = json.loads(command("settle", "--early", "--data", str(moved), "--json").stdout)
    assert third["date"] == dates[1][1] and third["lines"] == [] and third["matched"] is None, third
    assert "--clearing" in third["not_compared"], third
    assert "not compared" not in command("audit", "--data", str(moved)).stdout


def _spoil(text):
    rows = list(csv.DictReader(io.StringIO(text)))
    lines = [r for r in rows if r["record"] != "trailer"]
    assert len(lines) == 6, text
    lost, doubled, altered, late, *rest = lines
    altered["amount_minor"] = str(int(altered["amount_minor"]) + 1)
    year, month, day = late["business_date"].split("-")
    late["business_date"] = f"{year}-{month}-{int(day) % 28 + 1:02}"
    out = [doubled, doubled, altered, late, *rest]
    trailer = next(r for r in rows if r["record"] == "trailer")
    trailer["stan"] = str(len(out))
    trailer["amount_minor"] = str(sum(int(r["amount_minor"]) for r in out))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows([*out, trailer])
    return buffer.getvalue()


def check_cutover_while_typing(place):
    """a cutover while a person types the PIN: the payment counts for the next day, and once"""
    data = place / "data"
    with World(data) as world:
        card = world.card()
        terminal = world.terminal()
        order = world.book(card)
        terminal.to_pin(card, order)
        # The day closes while the person types; the payment counts for the next one.
        first = json.loads(command("settle", "--early", "--data", str(data), "--json").stdout)
        terminal.pin(card["pin"])
        terminal.take_all()
        terminal.to_idle()
        world.wait_state(order["reference"], ["issued"])
        second = json.loads(command("settle", "--early", "--data", str(data), "--json").stdout)
        assert len(first["lines"]) + len(second["lines"]) == 1, (first, second)
        assert not set(l["rrn"] for l in first["lines"]) & set(l["rrn"] for l in second["lines"])


def check_cutover_under_load(place):
    """days close again and again while two terminals sell: every payment on exactly one day, no cent missing"""
    data = place / "data"
    with World(data) as world:
        cards = [c for c in call(f"{world.at['bank']}/cards")["cards"] if c["behaviour"] == "approved"]

        def buy(n):
            card = cards[n % len(cards)]
            for _ in range(4):
                order = world.book(card, terminal=n)
                world.terminal(n).purchase(card, order)
                world.wait_state(order["reference"], ["issued"])

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            buyers = [pool.submit(buy, n) for n in range(2)]
            days = []
            while not all(buyer.done() for buyer in buyers):
                days.append(json.loads(command("settle", "--early", "--data", str(data), "--json").stdout))
            for buyer in buyers:
                buyer.result()
        # Twice: the day after the last payment explains what the bank dated there.
        for _ in range(2):
            days.append(json.loads(command("settle", "--early", "--data", str(data), "--json").stdout))
        assert len({day["date"] for day in days}) == len(days), [day["date"] for day in days]
        assert sum(bool(day["lines"]) for day in days) >= 2, "no day closed between two payments"
        rrns = [line["rrn"] for day in days for line in day["lines"]]
        assert len(rrns) == len(set(rrns)) == 8, rrns
        owed = sum(account["owed_minor"] for account in world.bank_books()["acquirer"])
        settled = sum(Decimal(line["amount"].split()[1]) for day in days for line in day["lines"])
        # The sandbox sells in a currency of two decimals.
        assert settled * 100 == owed, (days, owed)
        # What the bank dates on the other side of a cutover is explained by the next day's file.
        seen = [e["kind"] for day in days for e in day["exceptions"]]
        assert set(seen) <= {"DAY-SHIFT", "SHORT"}, seen
    audit = json.loads(command("audit", "--drained", "--data", str(data), "--json").stdout)
    assert not audit["violations"] and not audit["open"], audit
