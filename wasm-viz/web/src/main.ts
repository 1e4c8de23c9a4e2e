// Starts the page: with the module beside it when served, with the octets in it when it is one file.

import init, { any, call, octets, open_trace } from "../pkg/pinhole_viz.js";
import wasm from "../pkg/pinhole_viz_bg.wasm?url";
import files from "../pkg/pinhole_viz_files.wasm?url";
import "./style.css";
import "./panels.css";
import { start } from "./app";
import { Core } from "./core";

performance.mark("start");
void init({ module_or_path: wasm }).then((first) => {
  // The second module works in the memory of the first and calls its functions.
  const load = async (): Promise<unknown> =>
    WebAssembly.instantiate(await (await fetch(files)).arrayBuffer(), { first: { ...first } });
  const core = new Core({ any, call, octets, open_trace }, load);
  start(core);
  // For the console, and for whoever drives the page from outside.
  Object.assign(window, { pinhole: core });
  performance.measure("boot", "start");
});
