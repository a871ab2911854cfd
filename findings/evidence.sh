# What every finding does: packages of exact versions in a temporary folder, which is gone at the end. Each sources this.

set -eu
findings=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"

# install NAME==VERSION...: nothing else on the machine is used or changed
install() {
    "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
    echo "$("$folder/venv/bin/python" --version), $*"
}

# evidence <<PYTHON: runs it; it ends with 1 where something differs from what the finding says
evidence() {
    PYTHONPATH=$findings PYTHONDONTWRITEBYTECODE=1 "$folder/venv/bin/python" -
}
