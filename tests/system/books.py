"""The books of bank, provider and printers against the journal: what is compared, one by one."""

import json
import re

from world import command, until


def sold(world):
    """Bookings the provider counts as sold."""
    return [b for b in world.provider_books()["bookings"] if b["state"] in ("CONFIRMED", "FULFILLED")]


def owed(world):
    """What the bank's own books say the acquirer is owed, in minor units over all currencies."""
    return sum(a["owed_minor"] for a in world.bank_books()["acquirer"])


def papers(world):
    """The number on each ticket that came out of a printer, in the order of the printers."""
    terminals = [world.terminal(n) for n in range(len(world.at["terminals"]))]
    return [p["note"]["lines"][0] for t in terminals for p in t.papers() if p["kind"] == "ticket"]


def issued(world):
    """Issued lines of all orders that were made in this world: (order, line)."""
    orders = [world.order(order["reference"]) for order in world.booked]
    return [(order, line) for order in orders for line in order["lines"] if line["state"] == "issued"]


def _of(booking):
    """The order and the line that a provider's booking is held for."""
    order, line, _ = booking["hold"].split("/")
    return order, int(line)


def differences(world):
    """What the books do not agree on just now, in words."""
    lines, bank, provider = issued(world), world.bank_books(), sold(world)
    prices = sum(line["amount_minor"] for _, line in lines)
    asked = sum(b["price"]["amount"] for b in provider)
    held = [c["pan_masked"] for c in world.cards() if c["held_minor"]]
    rows = [
        ("cards with money held", [], held),
        ("the bank's own faults", [], bank["faults"]),
        ("what the bank owes and what the issued lines cost", prices, owed(world)),
        ("what the bank owes and what the provider asks", asked, owed(world)),
        ("tickets issued and numbers on paper", sorted(line["ticket"] for _, line in lines), sorted(papers(world))),
        ("lines issued and the provider's bookings", sorted((o["order"], line["line"]) for o, line in lines), sorted(map(_of, provider))),
    ]
    return [f"{what}: {ours} and {theirs}" for what, ours, theirs in rows if ours != theirs]


def agree(world, tickets):
    """Waits until the running system's books agree on so many tickets."""
    last = {}

    def look():
        last["found"] = differences(world)
        return not last["found"] and len(issued(world)) == tickets

    try:
        until(look, f"the books agree on {tickets} ticket(s)")
    except AssertionError as error:
        raise AssertionError(f"{error}; {last.get('found')}; issued: {len(issued(world))}") from None


def audited(data, tickets):
    """The journal of a system at rest: nothing open, no rule broken."""
    audit = json.loads(command("audit", "--drained", "--data", str(data), "--json").stdout)
    assert not audit["violations"] and not audit["open"], audit
    assert audit["tickets"] == tickets, audit
    return audit


def at_rest(world, data, tickets):
    """Waits until the books agree, stops the system, and compares the stopped journal with what was seen last."""
    agree(world, tickets)
    bank, lines, provider = owed(world), issued(world), {_of(b): b["id"] for b in sold(world)}
    world.process.stop()
    audited(data, tickets)
    ours = {(order["order"], line["line"]): _booking(data, order, line) for order, line in lines}
    assert ours == provider, f"the provider's booking ids: {ours} and {provider}"
    settled = json.loads(command("settle", "--early", "--data", str(data), "--json").stdout)
    assert _minor(settled["debit"]) - _minor(settled["credit"]) == bank, (settled, bank)


def _booking(data, order, line):
    """The provider's booking of a line, as the journal last said it."""
    story = json.loads(command("explain", order["order"], "--data", str(data), "--json").stdout)["lines"]
    said = rf"line {line['line']}: the provider's booking is (\S+)"
    ids = [found[1] for event in story if (found := re.fullmatch(said, event["what"]))]
    return ids[-1] if ids else None


def _minor(amount):
    """The minor units of an amount such as EUR 40.50 or JPY 1200."""
    return int(re.sub(r"[^\d-]", "", amount))
