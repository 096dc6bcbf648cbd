#!/bin/sh
# Sees to it that there is a browser for the tests of the live page, and says so where there is none.
for name in chromium chromium-browser google-chrome google-chrome-stable; do
	command -v "$name" >/dev/null 2>&1 && exit 0
done
# Only where nobody is asked: on a person's machine that is theirs to do.
if [ -n "$CI" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	echo 'installing chromium, for the tests of the live page'
	apt-get -qq update >/dev/null 2>&1
	apt-get -qq install -y --no-install-recommends chromium >/dev/null 2>&1 && exit 0
fi
echo 'no chromium: the tests of the live page in a browser are skipped; install it (apt-get install chromium)'
