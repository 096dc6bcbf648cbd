#!/bin/sh
# Print the first Python on the PATH that TensorFlow 2.15 and this project run on; say so if there is none.
for python in python3.11 python3.10 python3 python; do
    if "$python" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 10), (3, 11)))' 2>/dev/null; then
        command -v "$python"
        exit 0
    fi
done
echo 'error: Python 3.10 or 3.11 is needed and none is on the PATH; install one (Debian: apt install python3.11 python3.11-venv)' >&2
exit 2
