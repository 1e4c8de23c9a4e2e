// Starts the page: with the module beside it when served, with the octets in it when it is one file.

import init, { Viz } from "../pkg/pinhole_viz.js";
import wasm from "../pkg/pinhole_viz_bg.wasm?url";
import "./style.css";
import "./panels.css";
import { start } from "./app";
import { Core } from "./core";

performance.mark("start");
void init({ module_or_path: wasm }).then(() => {
  const core = new Core(new Viz());
  start(core);
  // For the console, and for whoever drives the page from outside.
  Object.assign(window, { pinhole: core });
  performance.measure("boot", "start");
});
