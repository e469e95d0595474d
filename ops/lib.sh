# Shared by ops/run and ops/test: installs what is missing, says so, and does nothing the second time.

say() { printf '\033[1m· %s\033[0m\n' "$*"; }
fail() { printf '\033[31m✗ %s\033[0m\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif have sudo; then sudo "$@"; else return 1; fi
}

# A fresh machine has no list of packages yet.
apt_update() {
  if [ -z "${apt_updated:-}" ]; then as_root apt-get update -qq >/dev/null 2>&1 || true; apt_updated=1; fi
}

# Whether the system has a package to install; a name that others only mention is known without being one.
offers() {
  have apt-cache || return 1
  apt_update
  candidate=$(LC_ALL=C apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: //p')
  [ -n "$candidate" ] && [ "$candidate" != "(none)" ]
}

# Installs a Debian package once; $1 is the package, $2 why it is needed, $3 "optional" if one can go on without it.
debian() {
  if have dpkg-query && dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; then return 0; fi
  if ! have apt-get; then
    [ "${3:-}" = optional ] && { say "without $1 ($2): install it with this system's package manager"; return 0; }
    fail "$1 is missing ($2): install it with this system's package manager and run this again"
  fi
  say "installing $1 ($2)"
  apt_update
  if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" >/dev/null 2>&1; then
    [ "${3:-}" = optional ] && { say "could not install $1 ($2); going on without it"; return 0; }
    fail "could not install $1 ($2); try: apt-get install $1"
  fi
}

# Whether the C compiler makes a program.
links() { have cc && echo 'int main(void){return 0;}' | cc -x c -o /dev/null - 2>/dev/null; }

need_rust() {
  [ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
  # Whether it links is tried: a compiler may be there without the C library's own files, which gcc only recommends.
  if ! links; then
    debian gcc "links the program"
    debian libc6-dev "the C library that the program is linked with"
    links || fail "the C compiler does not link; install gcc and the C library's development files, and run this again"
  fi
  [ -s /etc/ssl/certs/ca-certificates.crt ] || [ -d /etc/pki ] || debian ca-certificates "fetches Rust and crates over TLS" optional
  if ! have cargo; then
    if offers rustup; then
      debian rustup "brings the Rust toolchain"
    else
      have curl || debian curl "fetches Rust's installer" optional
      fail "Rust is missing. This one line installs it, then run this again:
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal"
    fi
  fi
  wanted=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
  if have rustup && ! rustup toolchain list 2>/dev/null | grep -q "^$wanted"; then
    say "installing Rust $wanted"
    rustup toolchain install "$wanted" --profile minimal --component rustfmt --component clippy
  fi
  cargo --version >/dev/null 2>&1 || fail "cargo does not run; try: rustup toolchain install $wanted"
}

# Time zones of timetables and business days.
need_zones() { [ -d /usr/share/zoneinfo ] || debian tzdata "time zones of timetables"; }

need_font() { debian fonts-wqy-microhei "Chinese on tickets and screens" optional; }
