"""The site and the screens in a real browser (Chromium), with axe-core."""

import subprocess

from world import ROOT, World

HERE = ROOT / "tests/system/browser"


def _node(script, *args):
    done = subprocess.run(["node", str(HERE / script), *args], capture_output=True, text=True, timeout=300, cwd=HERE)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-3000:]


def check_site(place):
    """booking on the site by mouse and by keyboard alone, without serious accessibility findings"""
    with World(place / "data") as world:
        _node("site.mjs", world.at["web"], world.card()["pan"])


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
