#!/bin/sh
# Install the wheelhouse in which this file lies, without a network; the Dockerfile runs the same script:
#
#     sh install.sh TARGET [PYTHON]
#
# TARGET/venv gets the libraries, TARGET/app the program with its model. Nothing is written to them at run time.
set -eu
target=$1
python=${2:-python3}
here=$(cd "$(dirname "$0")" && pwd)

(cd "$here" && sha256sum --check --quiet SHA256SUMS)
"$python" -m venv "$target/venv"
"$target/venv/bin/pip" install --quiet --disable-pip-version-check --no-index --find-links "$here/wheels" \
    --require-hashes --requirement "$here/requirements.txt"
"$target/venv/bin/pip" check --disable-pip-version-check
cp -R "$here/app" "$target/app"
cp "$here/healthcheck.py" "$target/"
# Compiled now, since the program cannot do it later in a file system that it may only read.
"$target/venv/bin/python" -m compileall -q "$target/app"
echo "installed: cd $target/app && ../venv/bin/python app.py"
