// Compares two files of JSON lines on the fields that the second one has.
// Usage: node compare.mjs OURS THEIRS NAME
import fs from "node:fs";

const [ours, theirs, name] = process.argv.slice(2);
const lines = (f) => fs.readFileSync(f, "utf8").split("\n").filter(Boolean).map((l) => JSON.parse(l));
const a = lines(ours);
const b = lines(theirs);
let bad = 0;
if (a.length !== b.length) {
  console.error(`${name}: ${b.length} segments, hindcast has ${a.length}`);
  bad++;
}
let rows = 0;
for (let i = 0; i < Math.min(a.length, b.length); i++) {
  rows += b[i].rows;
  for (const k of Object.keys(b[i])) {
    const x = JSON.stringify(a[i][k]);
    const y = JSON.stringify(b[i][k]);
    if (x !== y) {
      console.error(`${name}: ${a[i].segment}: ${k} is ${y}, hindcast has ${x}`);
      bad++;
    }
  }
}
if (a.length === 0) {
  console.error(`${name}: no sealed segment to compare`);
  bad++;
}
if (bad) process.exit(1);
console.log(`${name}: ${a.length} segments, ${rows} rows: ${Object.keys(b[0]).length - 1} figures each are equal`);
