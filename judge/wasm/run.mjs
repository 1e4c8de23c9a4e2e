// Calls one export of the judge's module and prints what it returns, in hexadecimal:
// node run.mjs MODULE product TCP SET STEP REST, or node run.mjs MODULE worlds FIRST COUNT
import { readFileSync } from "node:fs";

const [path, name, ...numbers] = process.argv.slice(2);
const module = new WebAssembly.Module(readFileSync(path));
const imports = WebAssembly.Module.imports(module);
if (imports.length > 0) {
  throw new Error(`the module imports ${imports.map((entry) => `${entry.module}.${entry.name}`).join(", ")}`);
}
const { exports } = new WebAssembly.Instance(module);
console.log(BigInt.asUintN(64, exports[name](...numbers.map(Number))).toString(16).padStart(16, "0"));
