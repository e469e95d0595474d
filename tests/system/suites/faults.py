"""Books compared after normal runs and each fault switch: bank's accounts, provider's bookings, printers' paper, journal."""

import json
import time

import books
from world import World, call, command, until


def _run(place, act, tickets, **options):
    data = place / "data"
    world = World(data, **options)
    try:
        act(world)
        books.at_rest(world, data, tickets)
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


def check_no_paper_before(place):
    """an empty roll before the swipe: the terminal says that it is closed and why, and sells again once it is refilled"""
    def act(world):
        card = world.card()
        terminal = world.terminal()
        # The roll ends within a ticket; the next person finds the terminal closed.
        terminal.fault("ticket-printer", "paper-out")
        refunded = world.book(card)
        terminal.to_pin(card, refunded)
        terminal.pin(card["pin"])
        assert terminal.take_all()["prompt_key"] == "done_refunded"
        world.wait_state(refunded["reference"], ["closed"])
        closed = terminal.until_screen("out_of_service")
        assert closed["prompt_key"] == "out_of_service", closed
        assert closed["params"]["missing"] == ["ticket_printer"], closed
        order = world.book(card)
        call(f"{terminal.at['devices']}/swipe", {"track2": card["track2"]})
        closed = terminal.screen()
        assert closed["prompt_key"] == "out_of_service", closed
        terminal.mend()
        terminal.until_screen("idle")
        assert terminal.purchase(card, order)["prompt_key"] == "done"
    _run(place, act, 1)


def check_paper_ends_in_the_middle(place):
    """the roll ends within the second of two tickets: one stays sold, the money of the other goes back, and both are told"""
    def act(world):
        card = world.card()
        order = world.book(card, seats=2)
        terminal = world.terminal()
        terminal.fault("ticket-printer", "paper-out", after=1)
        terminal.to_pin(card, order)
        terminal.pin(card["pin"])
        end = terminal.take_all()
        assert end["prompt_key"] == "done_refunded", end
        assert [len(end["params"][word]) for word in ("yours", "failed", "refunded")] == [1, 1, 1], end
        world.wait_state(order["reference"], ["partly_issued"])
        terminal.mend()
    _run(place, act, 1)


def check_not_taken(place):
    """a ticket nobody takes is kept back and stays on the books; the person is told where it is"""
    def act(world):
        card = world.card()
        order = world.book(card)
        terminal = world.terminal()
        terminal.fault("ticket-printer", "not-taken")
        terminal.to_pin(card, order)
        terminal.pin(card["pin"])
        waits = terminal.until_screen("issuing", "take_ticket", "done", "problem")
        while waits["screen"] == "issuing":
            waits = terminal.until_screen("take_ticket", "done", "problem")
        assert waits["prompt_key"] == "take_ticket", waits
        end = terminal.until_screen("done", "problem", patience=120)
        assert end["prompt_key"] == "done_kept" and end["params"]["kept_back"] == [1], end
        world.wait_state(order["reference"], ["issued"])
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


# What the terminal says of each card that the bank refuses.
REFUSED = {
    "insufficient_funds": "problem_insufficient_funds",
    # Read off the card itself; the bank is not asked.
    "expired": "problem_expired",
    "blocked": "problem_restricted_card",
    "foreign_issuer": "problem_card_not_accepted",
    "amount_limit": "problem_limit_exceeded",
    "approved_then_refused": "problem_insufficient_funds",
}
# What a card of the bank's with a limit pays at most, in minor units.
LIMIT_MINOR = 10_000


def check_cards_refused(place):
    """expired, poor, blocked, foreign and limited cards: each told in its own words, nothing charged"""
    def act(world):
        terminal = world.terminal()
        cards = {c["behaviour"]: c for c in world.cards()}
        assert cards.keys() - {"approved"} == REFUSED.keys(), cards.keys()
        for behaviour, word in REFUSED.items():
            card = cards[behaviour]
            order = world.book(card)
            if behaviour == "amount_limit":
                # As many seats as it takes to cost more than the card may pay.
                seats = LIMIT_MINOR // order["amount_minor"] + 1
                world.cancel(order["reference"])
                order = world.book(card, seats=seats)
                assert order["amount_minor"] > LIMIT_MINOR, order
            state = terminal.to_pin(card, order)
            asked_pin = state["screen"] == "pin_entry"
            if asked_pin:
                terminal.pin(card["pin"])
                state = terminal.until_screen("problem", "done")
            assert state["prompt_key"] == word, f"{behaviour}: {state['prompt_key']} and not {word}"
            assert asked_pin == (behaviour == "approved_then_refused"), behaviour
            terminal.to_idle()
            world.wait_state(order["reference"], ["held"])
            world.cancel(order["reference"])
        assert books.owed(world) == 0, world.bank_books()["acquirer"]
    _run(place, act, 0)


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
        until(lambda: not books.owed(world), "the bank has reversed")
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
        books.at_rest(world, data, 1 if world.final == "issued" else 0)
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
