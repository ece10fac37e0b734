#!/bin/sh
# Puts the released files of the libraries in package-lock.json here, with their licenses. Run by hand to move to new versions.
# The one change: hooks.mjs names preact by its file, as browsers know no packages and the page's policy allows no import map.
set -eu
cd "$(dirname "$0")"
npm ci --ignore-scripts --omit-lockfile-registry-resolved --no-audit --no-fund
modules=node_modules
cp $modules/preact/dist/preact.mjs $modules/htm/dist/htm.module.js $modules/d3-hierarchy/dist/d3-hierarchy.min.mjs .
sed 's|from"preact"|from"./preact.mjs"|' $modules/preact/hooks/dist/hooks.mjs > hooks.mjs
cp $modules/uplot/dist/uPlot.esm.js $modules/uplot/dist/uPlot.min.css .
mkdir -p eventsource-parser
cp $modules/eventsource-parser/dist/parse.js $modules/eventsource-parser/dist/errors.js eventsource-parser
for file in *.mjs *.js eventsource-parser/*.js; do sed -i '/^\/\/# sourceMappingURL=/d' "$file"; done
for library in preact htm d3-hierarchy uplot eventsource-parser; do cp $modules/$library/LICENSE "LICENSE-$library.txt"; done
axe=../../../../tests/e2e/browser/axe
cp $modules/axe-core/axe.min.js $axe/ && cp $modules/axe-core/LICENSE $axe/LICENSE.txt
rm -r $modules
