"""Books compared after normal runs and each fault switch: bank's accounts, provider's bookings, printers' paper, journal."""

import json
import time

from world import World, call, command, until


def _sold(world):
    """Bookings the provider counts as sold."""
    books = world.provider_books()
    rows = books["bookings"] if isinstance(books, dict) else books
    return [b for b in rows if b["state"] in ("CONFIRMED", "FULFILLED")]


def _money_taken(world):
    """What the bank's own books say the acquirer is owed, in minor units over all currencies."""
    return sum(a["owed_minor"] for a in world.bank_books()["acquirer"])


def _tickets(world):
    return sum(len([p for p in world.terminal(n).papers() if p["kind"] == "ticket"]) for n in range(2))


def _agree(world, data, expected_tickets):
    """The books of all four sides agree, once everything has come to rest."""
    until(lambda: not _held(world), "the bank holds nothing any more")
    world.process.stop()
    audit = json.loads(command("audit", "--drained", "--data", str(data), "--json").stdout)
    assert not audit["violations"] and not audit["open"], audit
    assert audit["tickets"] == expected_tickets, audit
    return audit


def _amounts_agree(world):
    """The bank owes the acquirer exactly the prices of what the provider counts as sold."""
    def look():
        sold = sum(b.get("price_minor", b.get("price", {}).get("amount", 0)) for b in _sold(world))
        return sold == _money_taken(world) or None

    until(look, f"the bank's {_money_taken(world)} is the sum of what the provider sold: {_sold(world)[:2]}")


def _held(world):
    cards = call(f"{world.at['bank']}/cards")["cards"]
    return [c for c in cards if c["held_minor"]]


def _run(place, act, tickets, **options):
    data = place / "data"
    world = World(data, **options)
    try:
        act(world)
        printed, sold = _tickets(world), len(_sold(world))
        assert printed == tickets, f"{printed} tickets on paper, {tickets} expected"
        until(lambda: len(_sold(world)) == tickets, f"the provider counts {tickets} sold, it says {sold}")
        transactions = world.bank_books()
        assert not transactions["faults"], transactions["faults"]
        until(lambda: (_money_taken(world) > 0) == (tickets > 0), f"the acquirer is owed money for {tickets} tickets and no more")
        _amounts_agree(world)
        _agree(world, data, tickets)
    finally:
        if world.process.alive():
            world.process.kill()


def check_normal(place):
    """two purchases, one cancelled, one left: two tickets on every book"""
    def act(world):
        card = world.card()
        for _ in range(2):
            order = world.book(card)
            end = world.terminal().purchase(card, order)
            assert end["screen"] in ("done", "idle"), end
            world.wait_state(order["reference"], ["issued"])
        gone = world.book(card)
        world.cancel(gone["reference"])
        world.wait_state(gone["reference"], ["cancelled"])
    _run(place, act, 2)


def check_three_seats_bcd(place):
    """three tickets on one order at the other station's terminal, found at the center"""
    def act(world):
        card = world.card()
        order = world.book(card, seats=3, terminal=0)
        end = world.terminal(1).purchase(card, order)
        assert end["screen"] in ("done", "idle"), end
        world.wait_state(order["reference"], ["issued"])
    _run(place, act, 3, dialect="bcd")


def check_second_of_three_fails(place):
    """the second of three tickets fails: two stay sold, one is refunded and the person is told"""
    def act(world):
        card = world.card()
        order = world.book(card, seats=3)
        terminal = world.terminal()
        terminal.fault("ticket-printer", "power-loss", after=1, times=1, for_ms=400)
        terminal.to_pin(card, order)
        terminal.pin(card["pin"])
        _told_of_refunds(terminal, 1)
        terminal.to_idle()
        order = world.wait_state(order["reference"], ["partly_issued"])
        assert sorted(line["state"] for line in order["lines"]) == ["ended", "issued", "issued"], order
    _run(place, act, 2)


def check_jam_after_the_first(place):
    """a jam that nobody mends after the first of three: one stays sold, two are refunded and the person is told"""
    def act(world):
        card = world.card()
        order = world.book(card, seats=3)
        terminal = world.terminal()
        terminal.fault("ticket-printer", "jam", after=1)
        terminal.to_pin(card, order)
        terminal.pin(card["pin"])
        _told_of_refunds(terminal, 2)
        terminal.mend()
        terminal.to_idle()
        order = world.wait_state(order["reference"], ["partly_issued"])
        assert sorted(line["state"] for line in order["lines"]) == ["ended", "ended", "issued"], order
    _run(place, act, 1)


def _told_of_refunds(terminal, count):
    """Takes what comes until the goodbye; the screen told of so many tickets whose money goes back."""
    told = {"refunded": 0}

    def look():
        terminal.take()
        screen = terminal.screen()
        told["refunded"] = max(told["refunded"], len(screen["params"].get("refunded") or []))
        return screen["screen"] == "done"

    until(look, "the terminal says goodbye")
    assert told["refunded"] == count, told


def check_no_paper(place):
    """an empty roll: no ticket, the money back"""
    def act(world):
        card = world.card()
        order = world.book(card)
        terminal = world.terminal()
        terminal.fault("ticket-printer", "paper-out")
        state = terminal.screen()["screen"]
        if state != "out_of_service":
            terminal.to_pin(card, order)
            terminal.pin(card["pin"])
            terminal.take_all()
            world.wait_state(order["reference"], ["closed"])
        terminal.mend()
        terminal.until_screen("idle", "done", "problem")
    _run(place, act, 0)


def check_not_taken(place):
    """a ticket nobody takes is kept back and stays on the books"""
    def act(world):
        card = world.card()
        order = world.book(card)
        terminal = world.terminal()
        terminal.fault("ticket-printer", "not-taken")
        terminal.to_pin(card, order)
        terminal.pin(card["pin"])
        world.wait_state(order["reference"], ["issued"])
        terminal.until_screen("done", "idle", patience=120)
    _run(place, act, 1)


def check_wrong_pin(place):
    """a wrong PIN three times: nothing charged, the booking is still there"""
    def act(world):
        card = world.card()
        order = world.book(card)
        terminal = world.terminal()
        terminal.to_pin(card, order)
        wrong = "0" * len(card["pin"]) if set(card["pin"]) != {"0"} else "1" * len(card["pin"])
        for n in range(3):
            terminal.pin(wrong)
            terminal.until_screen("completing", "pin_entry", "problem", "ending")
            until(lambda n=n: terminal.screen()["prompt_key"] == "pin_again" or terminal.screen()["screen"] == "problem", f"the answer to wrong PIN {n + 1}")
        assert "pin" in terminal.until_screen("problem")["prompt_key"]
        world.wait_state(order["reference"], ["held"])
    _run(place, act, 0)


def check_cards_refused(place):
    """expired, poor, blocked and foreign cards: each told in its own words, nothing charged"""
    def act(world):
        terminal = world.terminal()
        behaviours = {c["behaviour"]: c for c in call(f"{world.at['bank']}/cards")["cards"]}
        for behaviour, card in behaviours.items():
            if behaviour == "approved":
                continue
            order = world.book(card)
            state = terminal.to_pin(card, order)
            if state["screen"] == "pin_entry":
                terminal.pin(card["pin"])
                state = terminal.take_all()
            if state["screen"] != "problem":
                continue
            terminal.to_idle()
            world.wait_state(order["reference"], ["held", "closed", "refused"])
            world.cancel(order["reference"])
    data = place / "data"
    with World(data) as world:
        act(world)
    audit = json.loads(command("audit", "--data", str(data), "--json").stdout)
    assert not audit["violations"], audit


def check_bank_drops_the_answer(place):
    """the bank's answer to the 0200 is lost: reversed, nothing charged, no ticket"""
    def act(world):
        card = world.card()
        order = world.book(card)
        world.bank_fault(kind="drop_answer", mti="0200", count=1)
        terminal = world.terminal()
        terminal.to_pin(card, order)
        terminal.pin(card["pin"])
        terminal.until_screen("problem", patience=120)
        world.wait_state(order["reference"], ["held"])
        until(lambda: not _money_taken(world), "the bank has reversed")
    _run(place, act, 0)


def check_bank_down_and_up(place):
    """the bank is down: told at once, nothing charged; when it is back, the same booking is paid"""
    def act(world):
        card = world.card()
        order = world.book(card)
        world.bank_fault(kind="down")
        terminal = world.terminal()
        state = terminal.to_pin(card, order)
        assert state["screen"] == "problem", state
        world.mend_bank()
        until(lambda: call(f"{world.at['web']}/readyz")["ready"], "the bank link is up again")
        terminal.to_idle()
        world.wait_state(order["reference"], ["held"])
        end = terminal.purchase(card, order)
        assert end["screen"] in ("done", "idle"), end
    _run(place, act, 1)


def check_bank_slow_duplicate_garbled(place):
    """a slow, doubled or garbled answer never charges twice"""
    def act(world):
        card = world.card()
        terminal = world.terminal()
        for rule, tickets in (({"kind": "delay", "ms": 2000}, 1), ({"kind": "duplicate_answer"}, 1)):
            world.bank_fault(**rule)
            order = world.book(card)
            end = terminal.purchase(card, order)
            assert end["screen"] in ("done", "idle"), (rule, tickets, end)
            world.mend_bank()
        order = world.book(card)
        world.bank_fault(kind="garble_answer", mti="0100", count=1)
        state = terminal.to_pin(card, order)
        assert state["screen"] == "problem", state
        terminal.to_idle()
    _run(place, act, 2)


def check_network_cut_between_pin_and_ticket(place):
    """the terminal's network is cut after the PIN: late instructions are not printed, the money comes back"""
    def act(world):
        card = world.card()
        order = world.book(card)
        terminal = world.terminal()
        world.bank_fault(kind="delay", ms=1500, mti="0200", count=1)
        terminal.to_pin(card, order)
        terminal.pin(card["pin"])
        time.sleep(0.5)
        call(f"{world.at['page']}/wire/1", {"cut": True})
        time.sleep(3)
        call(f"{world.at['page']}/wire/1", {"cut": False})
        final = world.wait_state(order["reference"], ["issued", "closed"], patience=240)
        terminal.take()
        world.final = final["state"]
    data = place / "data"
    world = World(data)
    try:
        act(world)
        tickets = 1 if world.final == "issued" else 0
        assert _tickets(world) == tickets
        until(lambda: bool(_money_taken(world)) == bool(tickets), "the bank agrees with the paper")
        _agree(world, data, tickets)
    finally:
        if world.process.alive():
            world.process.kill()


def check_stray_approval(place):
    """an approval that no order asked for: journaled as the bank's exception, shown, and kept over a restart"""
    data = place / "data"
    with World(data) as world:
        rrn = call(f"{world.at['bank']}/stray", {"amount_minor": 4200})["rrn"]

        def told():
            status = json.loads(command("operator", "status", "--data", str(data), "--json").stdout)
            return status["exceptions"]

        [exception] = until(told, "the exception is shown")
        text = json.dumps(exception)
        assert exception["kind"] == "UNMATCHED-APPROVAL" and rrn in text and "42" in text, exception
        card = world.card()
        assert world.terminal().purchase(card, world.book(card))["screen"] in ("done", "idle")
        assert len(told()) == 1, told()
    with World(data) as world:
        assert [e["kind"] for e in told()] == ["UNMATCHED-APPROVAL"], told()


def check_seats_after_restart(place):
    """what our inventory and the provider gave out is still gone from the offers after a restart of the center"""
    data = place / "data"

    def left(world, services):
        found = {j["service"]: j for j in world.journeys(search) if j["service"] in services}
        return {s: {c["class"]: c["seats_left"] for c in found[s]["classes"]} for s in services if s in found}

    with World(data) as world:
        search = world.example()
        # Not the first of them: those leave the offers before the second look.
        journeys = world.journeys(search)[3:9]
        services = [j["service"] for j in journeys]
        before = left(world, services)
        taken = [world.book(world.card(), journey=j)["lines"][0]["class"] for j in journeys]
        wanted = {s: {**before[s], c: before[s][c] - 1} for s, c in zip(services, taken)}
        until(lambda: left(world, services) == wanted, f"one place less each: {wanted}")
    with World(data) as world:
        until(lambda: left(world, services) == wanted, f"the same places gone: {wanted}")
