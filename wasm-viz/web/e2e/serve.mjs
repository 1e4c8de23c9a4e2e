// Serves the built page on loopback for the tests, on the port that is asked for.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

const KINDS = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".wasm": "application/wasm" };
const root = new URL("../dist/served/", import.meta.url).pathname;

createServer(async (request, response) => {
  const path = new URL(request.url ?? "/", "http://localhost").pathname;
  const name = normalize(path === "/" ? "/index.html" : path);
  try {
    const body = await readFile(join(root, name));
    response.writeHead(200, { "Content-Type": KINDS[extname(name)] ?? "application/octet-stream" }).end(body);
  } catch {
    response.writeHead(404).end();
  }
}).listen(Number(process.argv[2] ?? "4655"), "127.0.0.1");
