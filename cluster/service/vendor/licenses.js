// The licenses of all that is bundled, for the file that is shipped beside it.
import { readdirSync, readFileSync } from "node:fs";

for (const name of ["preact", "htm", "d3-hierarchy", "eventsource", "eventsource-parser", "uplot"]) {
  const folder = `node_modules/${name}`;
  const { version, license } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  console.log(`${name} ${version} (${license})\n\n${file ? readFileSync(`${folder}/${file}`, "utf8").trim() : ""}\n\n----\n`);
}
