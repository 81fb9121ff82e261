#!/bin/sh
# Collect in FOLDER what a machine without a network needs to install and run the app and the evaluation:
#
#     deploy/wheelhouse.sh FOLDER [PYTHON]
#
# wheels in the versions of requirements.lock (checked by its hashes), the program, the embedded model, and install.sh.
# PYTHON (default: python3) and the system must be those of the offline machine. PYTHON needs uv: pip install uv.
set -eu
folder=$1
python=${2:-python3}
root=$(cd "$(dirname "$0")/.." && pwd)

mkdir -p "$folder/wheels" "$folder/app/bundles"
folder=$(cd "$folder" && pwd)
# What a hospital runs: the app's own requirements, and reading from and reporting to a PACS.
"$python" -m uv pip compile "$root/pyproject.toml" --extra hospital --constraint "$root/requirements.lock" \
    --python "$(command -v "$python")" --generate-hashes --no-annotate --no-header --no-emit-index-url --quiet \
    --output-file "$folder/requirements.txt"
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
    --dest "$folder/wheels" --requirement "$folder/requirements.txt"

for part in app.py LICENSE cxr evaluation ui; do
    cp -R "$root/$part" "$folder/app/"
done
cp -R "$root/bundles/default" "$folder/app/bundles/"
find "$folder/app" -name __pycache__ -prune -exec rm -r {} +
cp "$root/deploy/install.sh" "$root/deploy/healthcheck.py" "$folder/"
(cd "$folder" && find . -type f ! -name SHA256SUMS -exec sha256sum {} + | sort -k 2 > SHA256SUMS)
echo "wheelhouse: $folder, $(du -sm "$folder" | cut -f 1) MB"
