# Sourced by the launchers: a virtual environment that holds hpcstem, made once and kept up to date.
#
# Gives `root`, the folder with pyproject.toml, and `venv`, the environment; `set_up EXTRAS` makes it ready.
# PYTHON names the Python that makes the environment, HPCSTEM_VENV the environment's folder.

unset CDPATH # with it `cd` may print, and go elsewhere

# Exactly this spelling: an index that offers a CPU build gives it, and others may add gigabytes of GPU libraries.
torch_pin="torch==2.13.0"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
case ${HPCSTEM_VENV:=$root/.venv} in
  /*) venv=$HPCSTEM_VENV ;;
  *) venv=$PWD/$HPCSTEM_VENV ;;
esac

fail() {
  printf '%s\n' "$@" >&2
  exit 2
}

if [ ! -f "$root/pyproject.toml" ]; then
  fail "no pyproject.toml in $root: this launcher sets up a checkout or a source archive." \
    "With hpcstem installed: hpcstem run quickstart --out runs/quickstart"
fi

# run LABEL COMMAND...: say what is done, do it, say how long it took.
run() {
  local begin=$SECONDS
  printf '%s …\n' "$1"
  "${@:2}"
  printf '%s: %d s\n' "$1" $((SECONDS - begin))
}

is_new_enough() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

# find_python: set `python`, or say what is missing and how to get it.
find_python() {
  local candidate version candidates=(python3 python3.13 python3.12 python3.11)
  if [ -n "${PYTHON:-}" ]; then
    candidates=("$PYTHON")
  fi
  python=
  for candidate in "${candidates[@]}"; do
    if is_new_enough "$candidate"; then
      python=$candidate
      break
    fi
  done
  if [ -z "$python" ]; then
    version=$("${PYTHON:-python3}" --version 2>&1) || version="no ${PYTHON:-python3}"
    fail "hpcstem needs Python 3.11 or newer; found: $version" \
      "On Debian or Ubuntu: sudo apt-get install python3.11 python3.11-venv" \
      "Or name another Python: PYTHON=/path/to/python3.11 $0"
  fi
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    fail "$python cannot make virtual environments: its venv module is missing." \
      "On Debian or Ubuntu: sudo apt-get install python$version-venv"
  fi
}

install() {
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
}

# set_up EXTRAS: make the environment and install hpcstem[EXTRAS] in it, if anything has changed.
set_up() {
  local stamp=$venv/hpcstem-$1.sha256 wanted
  if [ ! -x "$venv/bin/python" ] || [ ! -x "$venv/bin/pip" ]; then
    find_python
    rm -f "$venv"/hpcstem-*.sha256
    run "make $venv with $("$python" --version)" "$python" -m venv "$venv"
  fi
  wanted=$({ printf '%s\n' "$root" "$1"; cat "$root/pyproject.toml" "$root/launchers/setup.sh"; } | sha256sum)
  if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    run "install $torch_pin" install "$torch_pin"
    run "install hpcstem[$1]" install --editable "$root[$1]"
    printf '%s\n' "$wanted" >"$stamp"
  fi
}
