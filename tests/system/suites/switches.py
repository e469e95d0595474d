"""Each fault switch of the sandbox page: pressed, a purchase, mended, and the books compared."""

import json
import time
from typing import NamedTuple

import books
from world import ROOT, Refused, World, call, until

# The page draws its buttons from the same list.
SWITCHES = json.loads((ROOT / "ops/sandbox/src/page/assets/switches.json").read_text())


class Row(NamedTuple):
    """What one switch does to a purchase."""

    words: list  # What the person may be left with; None: still waiting when it is mended.
    tickets: list  # How many tickets there may be once it is mended.
    takes: bool = True  # Whether the person takes the ticket.
    patience: int = 150  # How long the person waits before it is mended, in seconds.


OUTSIDE = {
    "Bank slow (5 s)": Row(["done"], [1]),
    "Bank drops answers": Row(["problem_bank_unavailable"], [0]),
    "Bank down": Row(["problem_bank_unavailable"], [0]),
    "Bank declines (05)": Row(["problem_declined"], [0]),
    "Provider slow (5 s)": Row(["done"], [1]),
    # Paid, and not confirmed: a ticket once the provider is heard again, or the money back.
    "Provider drops answers": Row([None, "done_open", "done_refunded", "problem_no_answer"], [0, 1], patience=10),
}
DEVICE = {
    "Jam the next ticket": Row(["done_refunded"], [0]),
    "Ticket paper out": Row(["done_refunded"], [0]),
    "Ticket not taken": Row(["done_kept"], [1], takes=False),
    "Receipt paper out": Row(["done_no_receipt"], [1]),
    "Bad swipe": Row(["problem_unreadable"], [0]),
}


def check_every_switch_outside(place):
    """each switch for bank and provider: pressed, a purchase tried, mended, the books compared"""
    def press(world, row):
        call(f"{world.at['page']}/{row['who']}/fault", row["rule"])

    def mend(world):
        call(f"{world.at['page']}/bank/fault", {"clear": True})
        call(f"{world.at['page']}/provider/fault", {"kind": "clear"})
        until(lambda: call(f"{world.at['web']}/readyz")["ready"], "the center is ready again")

    _each(place, SWITCHES["outside"], OUTSIDE, press, mend)


def check_every_switch_of_a_device(place):
    """each switch for a terminal's devices: pressed, a purchase tried, mended, the books compared"""
    def press(world, row):
        call(f"{world.at['page']}/devices/1/fault", {"device": row["device"], "fault": row["fault"]})

    def mend(world):
        call(f"{world.at['page']}/devices/1/faults/clear", {})

    _each(place, SWITCHES["device"], DEVICE, press, mend)


def check_the_comparison(place):
    """one planted difference in any of the books is found, and named"""
    assert books.differences(_Written()) == []
    plants = {
        "cards with money held": lambda w: w.held.update(held_minor=1),
        "the bank's own faults": lambda w: w.bank["faults"].append("a doubled 0200"),
        "the issued lines cost": lambda w: w.lines[0].update(amount_minor=4051),
        "the provider asks": lambda w: w.bookings[0]["price"].update(amount=4049),
        "numbers on paper": lambda w: w.paper[1]["note"]["lines"].__setitem__(0, "12"),
        "numbers on paper ": lambda w: w.paper.append(w.paper[1]),
        "numbers on paper  ": lambda w: w.paper.pop(),
        "the provider's bookings": lambda w: w.bookings[1].update(hold="o-2/0/1"),
        "the provider's bookings ": lambda w: w.bookings[1].update(state="RELEASED"),
    }
    for what, plant in plants.items():
        world = _Written()
        plant(world)
        found = books.differences(world)
        assert any(what.strip() in difference for difference in found), (what, found)


class _Written:
    """Books that agree on an order of two issued lines and one that ended, written down by hand."""

    def __init__(self):
        self.at, self.booked = {"terminals": [None]}, [{"reference": "R"}]
        state = lambda n: "issued" if n < 2 else "ended"
        self.lines = [{"line": n, "state": state(n), "amount_minor": 4050, "ticket": f"000{n}"} for n in range(3)]
        self.held = {"pan_masked": "6200", "held_minor": 0}
        self.bank = {"acquirer": [{"currency": 978, "owed_minor": 8100}], "faults": []}
        self.bookings = [
            {"hold": f"o-1/{n}/1", "id": f"B{n}", "state": "CONFIRMED" if n < 2 else "RELEASED", "price": {"amount": 4050}}
            for n in range(3)
        ]
        self.paper = [{"kind": "ticket", "note": {"lines": [f"000{n}"]}} for n in range(2)]
        self.paper.append({"kind": "receipt", "note": {"lines": ["RECEIPT"]}})
        self.paper.reverse()

    def order(self, _reference):
        return {"order": "o-1", "lines": self.lines}

    def cards(self):
        return [self.held]

    def bank_books(self):
        return self.bank

    def provider_books(self):
        return {"bookings": self.bookings}

    def terminal(self, _n):
        return self

    def papers(self):
        return self.paper


def _each(place, rows, table, press, mend):
    data = place / "data"
    assert [row["text"] for row in rows] == list(table), "the page has other switches than are tried here"
    tickets = 0
    with World(data) as world:
        card = world.card()
        for row in rows:
            expected = table[row["text"]]
            order = world.book(card)
            press(world, row)
            told = _buy(world.terminal(), card, order, expected)
            assert told in expected.words, f"{row['text']}: the person is told {told}"
            mend(world)
            final = world.wait_state(order["reference"], ["issued", "closed", "held"], patience=240)
            count = sum(line["state"] == "issued" for line in final["lines"])
            assert count in expected.tickets, f"{row['text']}: {count} ticket(s): {final}"
            if final["state"] == "held":
                world.cancel(order["reference"])
            tickets += count
            world.terminal().to_idle()
            until(lambda: world.terminal().screen()["prompt_key"] == "idle", "the terminal serves again")
            books.agree(world, tickets)
            books.audited(data, tickets)
            print(f"  {row['text']}: {told}, {count} ticket(s)")
        # All mended: the next person has an ordinary day.
        order = world.book(card)
        assert world.terminal().purchase(card, order)["prompt_key"] == "done"
        world.wait_state(order["reference"], ["issued"])
        books.at_rest(world, data, tickets + 1)


def _buy(terminal, card, order, expected):
    """Swipes, confirms, types the PIN and takes what comes; the word the person is left with, None if still waiting."""
    terminal.swipe(card)
    end, typed = time.monotonic() + expected.patience, False
    while time.monotonic() < end:
        screen = terminal.screen()
        if screen["screen"] in ("choosing", "confirm"):
            try:
                terminal.tap("confirm" if screen["screen"] == "confirm" else f"choose:{order['order']}")
            except Refused:
                pass
        elif screen["screen"] == "pin_entry" and not typed:
            terminal.pin(card["pin"])
            typed = True
        elif screen["screen"] in ("problem", "done"):
            return screen["prompt_key"]
        if expected.takes:
            terminal.take()
        time.sleep(0.05)
    return None
