// Fails the build when the page grows past its budget: everything a browser may fetch, gzipped.
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const BUDGET_KB = 100;
const folder = fileURLToPath(new URL("../../tb_plugin/torchvitals_tb/static/", import.meta.url));
let total = 0;
for (const name of readdirSync(folder).sort()) {
  const bytes = readFileSync(folder + name);
  const gzipped = gzipSync(bytes, { level: 9 }).length;
  total += gzipped;
  console.log(`${name}  ${(bytes.length / 1000).toFixed(1)} kB, ${(gzipped / 1000).toFixed(1)} kB gzipped`);
}
console.log(`in all ${(total / 1000).toFixed(1)} of ${BUDGET_KB} kB gzipped`);
if (total > BUDGET_KB * 1000) {
  console.error("The page is over its budget.");
  process.exit(1);
}
