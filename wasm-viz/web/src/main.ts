// Starts the page: with the module beside it when served, with the octets in it when it is one file.

import { any, call, initSync, octets, open_trace } from "../pkg/pinhole_viz.js";
import wasm from "../pkg/core.wasm.pack?url";
import files from "../pkg/files.wasm.pack?url";
import "./style.css";
import "./panels.css";
import { start } from "./app";
import { Core } from "./core";

performance.mark("start");
void WebAssembly.compileStreaming(unpacked(wasm)).then((module) => {
  const first = initSync({ module });
  // The second module works in the memory of the first and calls its functions.
  const load = (): Promise<unknown> => WebAssembly.instantiateStreaming(unpacked(files), { first: { ...first } });
  const core = new Core({ any, call, octets, open_trace }, load);
  start(core);
  // For the console, and for whoever drives the page from outside.
  Object.assign(window, { pinhole: core });
  performance.measure("boot", "start");
});

/** A module, which is packed: no server needs to know how. */
async function unpacked(url: string): Promise<Response> {
  const { body } = await fetch(url);
  const stream = body?.pipeThrough(new DecompressionStream("gzip")) ?? null;
  return new Response(stream, { headers: { "Content-Type": "application/wasm" } });
}
