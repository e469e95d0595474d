// The browser of this machine, whatever its name here; CHROMIUM=path names another.
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { chromium } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

function is_program(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The first of the names that the PATH knows. */
export function found(path = process.env.PATH ?? "") {
  const folders = path.split(delimiter).filter(Boolean);
  const places = NAMES.flatMap((name) => folders.map((folder) => join(folder, name)));
  const place = places.find(is_program);
  if (!place) throw new Error(`no browser: install one of ${NAMES.join(", ")}, or name one with CHROMIUM=path`);
  return place;
}

export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM || found(), args: ARGS });
