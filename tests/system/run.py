"""Runs the whole-system suites one after another and counts. Each suite is a module with functions named check_*."""

import importlib
import pathlib
import shutil
import sys
import tempfile
import time
import traceback

SUITES = ["demo", "faults", "switches", "settlement", "program", "operator", "secrets", "judges", "crash", "browser"]


def main():
    here = pathlib.Path(__file__).parent
    sys.path.insert(0, str(here))
    wanted = sys.argv[1:] or SUITES
    passed, failed = 0, []
    for name in wanted:
        suite, _, only = name.partition(":")
        module = importlib.import_module(f"suites.{suite}")
        for check in [v for k, v in vars(module).items() if k.startswith("check_") and (not only or k == only)]:
            begin = time.monotonic()
            place = pathlib.Path(tempfile.mkdtemp(prefix=f"guichet-{suite}-"))
            title = f"{suite}: {(check.__doc__ or check.__name__).splitlines()[0]}"
            try:
                check(place)
            except Exception:  # a failed check must not hide the next
                failed.append(title)
                print(f"FAILED {title} ({time.monotonic() - begin:.0f} s), left in {place}")
                traceback.print_exc()
            else:
                passed += 1
                print(f"ok     {title} ({time.monotonic() - begin:.0f} s)")
                shutil.rmtree(place, ignore_errors=True)
            sys.stdout.flush()
    print()
    for title in failed:
        print(f"FAILED {title}")
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
