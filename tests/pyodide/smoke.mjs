// Run vfslab under Pyodide: node smoke.mjs PYODIDE_FOLDER REPOSITORY
//
// Loads the Python of the browser, shows it the repository's files, and runs smoke.py there. No threads, no
// subprocesses and no sockets exist in that Python. Prints what smoke.py prints; exit status 1 if it raises.

import { pathToFileURL } from "node:url";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

const [pyodideFolder, repository] = process.argv.slice(2).map((path) => resolve(path));
const { loadPyodide } = await import(pathToFileURL(`${pyodideFolder}/pyodide.mjs`));

const pyodide = await loadPyodide({ indexURL: `${pyodideFolder}/` });
pyodide.mountNodeFS("/repository", repository);
try {
  pyodide.runPython(readFileSync(`${repository}/tests/pyodide/smoke.py`, "utf8"));
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
