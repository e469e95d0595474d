"""What people decide at the center: status, a count of paper, ending an exception, shutting a terminal out."""

import json
import time

from world import Refused, World, call, command, until


def operator(data, *args, check=True):
    return command("operator", *args, "--data", str(data), check=check)


def status(data):
    return json.loads(operator(data, "status", "--json").stdout)


def terminals(data):
    return {t["terminal"]: t for t in status(data)["terminals"]}


def check_revoked_terminal(place):
    """a terminal that is shut out goes offline for good and serves no purchase; the other goes on"""
    data = place / "data"
    with World(data) as world:
        card = world.card()
        first, second = world.terminal(0), world.terminal(1)
        until(
            lambda: all(t["link"] == "connected" and len(t["devices"]) == 4 for t in terminals(data).values()),
            "both terminals are connected and told of their devices",
        )
        assert sorted(terminals(data)) == ["T0000001", "T0000002"]
        table = operator(data, "status").stdout
        for words in ("no order is parked", "no print is in doubt", "no exception is open", "T0000002", "all well"):
            assert words in table, table

        order = world.book(card, terminal=1)
        second.until_screen("idle")
        said = operator(data, "revoke-terminal", "2", "--as", "7").stdout
        assert "T0000002" in said, said
        until(lambda: second.screen()["prompt_key"] == "idle_offline", "terminal 2 says that it is offline")
        assert terminals(data)["T0000002"]["link"] == "revoked"
        assert terminals(data)["T0000001"]["link"] == "connected"

        # What was pushed to it may still be found; money cannot be asked for.
        second.swipe(card)
        state = second.until_screen("choosing", "confirm", "problem")
        if state["screen"] == "choosing":
            second.tap(f"choose:{order['order']}")
            state = second.until_screen("confirm", "problem")
        if state["screen"] == "confirm":
            second.tap("confirm")
            state = second.until_screen("problem", "pin_entry")
        assert state["screen"] == "problem", state
        assert world.bank_books()["transactions"] == [], world.bank_books()
        assert world.order(order["reference"])["state"] not in ("issued", "paid"), world.order(order["reference"])

        # It stays out, and giving the command again changes nothing.
        operator(data, "revoke-terminal", "T0000002", "--as", "8")
        assert terminals(data)["T0000002"]["link"] == "revoked"
        refused = operator(data, "revoke-terminal", "99", "--as", "7", check=False)
        assert refused.returncode != 0 and "operator status" in refused.stderr, refused.stderr

        first.purchase(card, world.book(card))
        assert world.order(order["reference"])["state"] == "held", world.order(order["reference"])
    gone = operator(data, "status", check=False)
    assert gone.returncode != 0 and "guichet up" in gone.stderr, gone.stderr


def check_count_of_paper(place):
    """a print in doubt is counted by two operators; one alone is refused"""
    data = place / "data"
    with World(data) as world:
        card = world.card()
        terminal = world.terminal()
        order = world.book(card)
        state = terminal.to_pin(card, order)
        assert state["screen"] == "pin_entry", state
        terminal.fault("ticket-printer", "power-loss", for_ms=600_000)
        terminal.pin(card["pin"])
        doubt = until(lambda: status(data)["prints"], "the print is in doubt")[0]
        assert doubt["order"] == order["order"] and doubt["reference"] == order["reference"], doubt
        what = ("count-print", order["reference"], str(doubt["line"]), str(doubt["print"]), "--printed", "false", "--as", "7")
        alone = operator(data, *what, "--and", "7", check=False)
        assert alone.returncode != 0 and "--and" in alone.stderr, alone.stderr
        operator(data, *what, "--and", "8")
        assert status(data)["prints"] == []
        world.wait_state(order["reference"], ["closed"])
        late = operator(data, *what, "--and", "8", check=False)
        assert late.returncode != 0 and "not in doubt" in late.stderr, late.stderr
        parked = operator(data, "unpark", order["reference"], "--as", "7", check=False)
        assert parked.returncode != 0 and "not parked" in parked.stderr, parked.stderr
        terminal.mend()


def check_forced_panic(place):
    """a panic forced in one order: that one is rebuilt, then parked and shown, the other is sold; unparked, it is sold too"""
    data = place / "data"
    with World(data) as world:
        order = world.book(world.card())
        refused = operator(data, "rehearse-panic", order["reference"], "--times", "3", check=False)
        assert refused.returncode != 0 and "up --rehearse-panics" in refused.stderr, refused.stderr
        world.cancel(order["reference"])

    with World(data, more=["--rehearse-panics"]) as world:
        card = world.card()
        first, second = world.terminal(0), world.terminal(1)
        # Twice is less than it takes: the actor is rebuilt, nothing was charged, and the person tries again.
        rebuilt = world.book(card)
        operator(data, "rehearse-panic", rebuilt["order"], "--times", "2")
        state = first.to_pin(card, rebuilt)
        assert state["prompt_key"] == "problem_bank_unavailable", state
        first.to_idle()
        world.wait_state(rebuilt["reference"], ["held"])
        assert first.purchase(card, rebuilt)["screen"] in ("done", "idle")
        world.wait_state(rebuilt["reference"], ["issued"])

        hit, spared = world.book(card), world.book(card, terminal=1)
        # At the bank's yes, so that money is held while it panics.
        state = first.to_pin(card, hit)
        assert state["screen"] == "pin_entry", state
        operator(data, "rehearse-panic", hit["order"], "--times", "3")
        first.pin(card["pin"])
        _until_parked(data, hit)
        assert second.purchase(card, spared)["screen"] in ("done", "idle")
        world.wait_state(spared["reference"], ["issued"])
        assert second.papers(spared["reference"]), "the other's ticket"
        _is_parked(world, data, hit)
        first.to_idle()

        operator(data, "unpark", hit["reference"], "--as", "7")
        assert status(data)["parked"] == []
        world.wait_state(hit["reference"], ["held"])
        until(lambda: all(c["held_minor"] == 0 for c in call(f"{world.at['bank']}/cards")["cards"]), "the hold was given back")
        assert first.purchase(card, hit)["screen"] in ("done", "idle")
        world.wait_state(hit["reference"], ["issued"])
        assert len(first.papers(hit["reference"])) == len(second.papers(spared["reference"])), first.papers()

        # A restart finds the next one parked, and does not run into it again.
        again = world.book(card)
        first.to_pin(card, again)
        operator(data, "rehearse-panic", again["order"], "--times", "3")
        first.pin(card["pin"])
        _until_parked(data, again)
        log = _panics_of(world, card, [rebuilt, hit, again])
        assert log == {rebuilt["order"]: 2, hit["order"]: 3, again["order"]: 3}, log
    with World(data) as world:
        _is_parked(world, data, again)
        operator(data, "unpark", again["reference"], "--as", "7")
        world.wait_state(again["reference"], ["held"])
        assert world.terminal().purchase(world.card(), again)["screen"] in ("done", "idle")
        world.wait_state(again["reference"], ["issued"])
        assert status(data)["parked"] == []
    told = command("explain", hit["order"], "--data", str(data)).stdout
    assert "its actor panicked 3 times" in told and "set going again by an operator" in told, told
    judged = json.loads(command("audit", "--drained", "--data", str(data), "--json").stdout)
    assert not judged["violations"] and not judged["open"] and judged["tickets"] == 4, judged


def _until_parked(data, order):
    [parked] = until(lambda: status(data)["parked"], "the order is parked")
    assert (parked["order"], parked["reference"], parked["reason"]) == (order["order"], order["reference"], 1), parked
    assert parked["why"] == "its actor panicked 3 times", parked


def _is_parked(world, data, order):
    _until_parked(data, order)
    table = operator(data, "status").stdout
    for words in (order["reference"], "1 its actor panicked 3 times", "operator unpark"):
        assert words in table, table
    try:
        world.cancel(order["reference"])
    except Refused as refused:
        assert "staff" in str(refused), refused
    else:
        raise AssertionError("a parked order was cancelled")


def _panics_of(world, card, orders):
    """How many panics the log tells of each order; each is one line with the order, its place, and nobody's data."""
    counted = dict.fromkeys((order["order"] for order in orders), 0)
    for text in world.process.log.read_text().splitlines():
        if "panicked" not in text:
            continue
        line = json.loads(text)
        assert line["message"] == "an order's actor panicked" and ".rs:" in line["panicked"], line
        for personal in (card["pan"], card["track2"], card["pin"], "李娜", "E1234567"):
            assert personal not in text, text
        counted[line["order"]] += 1
    return counted


def check_erasure(place):
    """a ticket goes back to card and provider; then two people erase its person, and books and stories still hold"""
    data = place / "data"
    with World(data) as world:
        card = world.card()
        order = world.book(card)
        asked = ("erase", order["order"], "--as", "7", "--and")
        early = operator(data, *asked, "8", check=False)
        assert early.returncode != 0 and "is not closed" in early.stderr, early.stderr
        world.terminal().purchase(card, order)
        issued = world.wait_state(order["reference"], ["issued"])
        [receipt] = until(lambda: world.order(order["reference"])["receipts"], "the receipt is with the booking")
        assert receipt["charged_minor"] == issued["amount_minor"] and receipt["refunded_minor"] == 0, receipt
        valid = until(
            lambda: (said := operator(data, *asked, "8", check=False)).returncode and said, "the order is closed"
        )
        assert "is not closed" in valid.stderr or "departure to come" in valid.stderr, valid.stderr
        back = issued["lines"][0]["refundable_minor"]
        world.give_back(order["reference"])
        done = until(
            lambda: (line := world.order(order["reference"])["lines"][0])["refund"]["state"] == "done" and line,
            "the bank has taken the refund",
        )
        assert done["refund"]["amount_minor"] == back and done["ended"] == "refunded", done
        owed = sum(account["owed_minor"] for account in world.bank_books()["acquirer"])
        assert owed == issued["amount_minor"] - back, (owed, issued, back)

        readings = json.loads(operator(data, "readings", "--json").stdout)["readings"]
        seen = {(r["role"], r["purpose"]) for r in readings}
        assert {("guest", "own order"), ("terminal", "ticket"), ("gateway", "bank message")} <= seen, seen
        told = operator(data, "readings").stdout
        assert "terminal" in told and "李娜" not in told and "E1234567" not in told, told

        alone = operator(data, *asked, "7", check=False)
        assert alone.returncode != 0 and "two different people" in alone.stderr, alone.stderr
        until(lambda: operator(data, *asked, "8", check=False).returncode == 0, "the order is closed and erased")
        assert world.order(order["reference"])["lines"][0]["passenger"] == "", "nobody knows the name"
    with World(data) as world:
        gone = world.order(order["reference"])
        assert gone["state"] == "refunded" and gone["lines"][0]["passenger"] == "", gone
        assert gone["card_masked"] == "", gone
    audit = json.loads(command("audit", "--drained", "--data", str(data), "--json").stdout)
    assert not audit["violations"] and not audit["open"], audit
    story = command("explain", order["order"], "--data", str(data)).stdout
    assert order["order"] in story and "李娜" not in story and card["pan"] not in story, story


def check_end_of_exceptions(place):
    """an exception stays until two clerks end it, and is ended once"""
    data = place / "data"
    with World(data) as world:
        card = world.card()
        world.terminal().purchase(card, world.book(card))
        lines = call(f"{world.at['bank']}/clearing", raw=True).decode().splitlines()
        altered = place / "clearing.csv"
        altered.write_text("\n".join(_without_lines(lines)) + "\n")
        settled = json.loads(command("settle", "--data", str(data), "--clearing", str(altered), "--json").stdout)
        assert [e["kind"] for e in settled["exceptions"]] == ["SHORT"], settled
        [exception] = status(data)["exceptions"]
        assert exception["kind"] == "SHORT" and exception["date"] == settled["date"], exception
        what = ("end-exception", exception["id"], "--date", exception["date"], "--how", "received", "--as", "7")
        alone = operator(data, *what, "--and", "7", check=False)
        assert alone.returncode != 0 and "--and" in alone.stderr, alone.stderr
        operator(data, *what, "--and", "8")
        assert status(data)["exceptions"] == []
        again = operator(data, *what, "--and", "8", check=False)
        assert again.returncode != 0 and "operator status" in again.stderr, again.stderr


def check_one_id(place):
    """one id leads from the click to the bank line: in the logs of site, terminal gateway, bank and terminal"""
    data = place / "data"
    with World(data) as world:
        card = world.card()
        order = world.book(card)
        world.terminal().purchase(card, order)
        command("settle", "--data", str(data))
        logs = [json.loads(line) for line in world.process.log.read_text().splitlines()]
        terminal = (data / "logs" / "terminal-1.log").read_text()
    mine = [line for line in logs if line.get("order") == order["order"]]
    by = lambda target: [line for line in mine if line["target"].startswith(target)]
    click = [line for line in by("guichet_web") if line["method"] == "POST"]
    assert [line["route"] for line in click] == ["/api/v1/orders"] and click[0]["correlation"], mine
    assert by("guichet_terminals"), mine
    assert {line["mti"] for line in by("guichet::wire_log")} >= {"0100", "0110", "0200", "0210"}, mine
    asked = by("guichet_provider")
    assert {line["op"] for line in asked} >= {"hold", "confirm"}, mine
    assert all(line["correlation"] and line["level"] == "INFO" for line in asked), asked
    assert order["order"] in terminal, terminal[-3000:]
    story = json.loads(command("explain", order["order"], "--data", str(data), "--json").stdout)["lines"]
    assert click[0]["correlation"] in {line["correlation"] for line in story}, story
    [filed] = [line["what"] for line in story if ".csv line" in line["what"]]
    assert order["order"] in filed and by("guichet::wire_log")[0]["rrn"] in filed, filed
    for words in ("begun", "closed with 1 line", "compared with the bank's file: 1 matched"):
        assert any(words in line["what"] for line in story), (words, story)


def _without_lines(lines):
    """The bank's file with its header and an empty trailer only."""
    head = lines[0].split(",")
    trailer = dict(zip(head, next(l for l in lines if l.startswith("trailer")).split(",")))
    trailer["stan"], trailer["amount_minor"] = "0", "0"
    return [lines[0], ",".join(trailer[name] for name in head)]


def check_configuration(place):
    """what an operator configures holds for bookings and for one terminal, at once and with its version, and over a restart"""
    data = place / "data"
    with World(data) as world:
        card, terminal = world.card(), world.terminal(1)
        before = json.loads(operator(data, "configuration", "--json").stdout)
        assert before["now"]["hold_s"] == 86_400 and before["version"] == 1, before
        said = operator(data, "configure", "--hold-s", "1800", "--as", "7").stdout
        assert "operator is configured" in said, said
        operator(data, "configure", "--terminal", "2", "--language", "en", "--prompt-s", "120", "--as", "7")
        order = world.book(card)
        held_s = (order["held_until_us"] - time.time_ns() / 1000) / 1e6
        assert 1700 < held_s <= 1800, held_s
        until(lambda: terminal.screen()["language"] == "en", "terminal 2 greets in English", patience=60)
        assert world.terminal(0).screen()["language"] == "zh", world.terminal(0).screen()
        shown = operator(data, "configuration", "--terminal", "2").stdout
        for words in ("prompt 120 s", "hold 1800 s", "language en", "version 3"):
            assert words in shown, shown
        bad = operator(data, "configure", "--payment-s", "5", "--as", "7", check=False)
        assert bad.returncode != 0 and "docs/limits.md" in bad.stderr, bad.stderr
        past = operator(data, "configure", "--hold-s", "900", "--from", "2020-01-01T00:00:00Z", "--as", "7", check=False)
        assert past.returncode != 0 and "past" in past.stderr, past.stderr
    with World(data) as world:
        until(lambda: world.terminal(1).screen()["language"] == "en", "and after a restart", patience=60)


def check_after_sale(place):
    """a void ticket, one of a service that does not run, and one that was not used: the money and the audit agree"""
    data = place / "data"
    with World(data) as world:
        card, terminal = world.card(), world.terminal()
        void, gone, kept = (world.book(card) for _ in range(3))
        for order in (void, gone, kept):
            assert terminal.purchase(card, order)["screen"] in ("done", "idle")
            world.wait_state(order["reference"], ["issued"])
        what = ("void", void["reference"], "0", "--reason", "mistake", "--as", "7")
        alone = operator(data, *what, "--and", "7", check=False)
        assert alone.returncode != 0 and "--and" in alone.stderr, alone.stderr
        operator(data, *what, "--and", "8")
        world.wait_state(void["reference"], ["closed"])
        early = operator(data, "no-show", kept["reference"], "0", "--as", "7", check=False)
        assert early.returncode != 0 and "still to come" in early.stderr, early.stderr
        said = operator(data, "disrupt", gone["reference"], "--as", "7").stdout
        assert "does not run" in said, said
        line = world.order(gone["reference"])["lines"][0]
        assert line["state"] == "disrupted" and line["refundable_minor"] == line["amount_minor"], line
        world.give_back(gone["reference"])
        world.wait_state(gone["reference"], ["closed", "refused", "refunded"])
        refunds = [r["refund"]["amount_minor"] for o in (void, gone) for r in world.order(o["reference"])["lines"]]
        assert refunds == [void["amount_minor"], gone["amount_minor"]], refunds
    # The same train may have been all three's: whoever did not choose yet is open, and no violation.
    audit = command("audit", "--data", str(data))
    assert audit.returncode == 0, audit.stdout
