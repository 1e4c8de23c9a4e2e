// Opening a trace of a real program: by the button, by a key, by dropping the file on the page. It is read here and
// goes nowhere.

import { Refused } from "./core";
import { h, icon } from "./dom";
import { ui } from "./i18n";
import { KEYS } from "./keys";
import type { Store } from "./store";
import "./trace.css";

/** The button in the bar on top: opens a file, or closes the one that is open. */
export function traceButton(store: Store): HTMLElement {
  const open = store.state.page.trace !== null;
  const name = ui(open ? "header.close-trace" : "header.trace");
  return h("button", {
    type: "button",
    id: "trace",
    class: "symbol",
    "aria-label": name,
    title: name,
    click: () => (open ? close(store) : choose(store)),
  }, icon(open ? "M4 4l10 10M4 14L14 4" : "M9 12V3m-4 4l4-4l4 4M3 15h12"));
}

function choose(store: Store): void {
  const input = h("input", { type: "file", accept: ".jsonl,.trace,.json,.txt" });
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    if (file !== undefined) void read(store, file);
  });
  input.click();
}

async function read(store: Store, file: File): Promise<void> {
  try {
    // One octet too many is enough to be refused for it.
    const octets = await file.slice(0, store.core.traceLimit() + 1).arrayBuffer();
    store.show(await store.core.import(file.name, new Uint8Array(octets)));
  } catch (error) {
    const notice = error instanceof Refused ? error.text : { key: "notice.trace.unreadable", with: { file: file.name } };
    store.set({ notice });
  }
}

function close(store: Store): void {
  store.change((core) => core.close());
  document.getElementById("trace")?.focus();
}

/** Lets files be dropped anywhere on the page. */
export function acceptDrops(store: Store): void {
  const isFile = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") === true;
  addEventListener("dragover", (event) => {
    if (!isFile(event)) return;
    event.preventDefault();
    document.body.dataset["drop"] = ui("trace.drop");
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) delete document.body.dataset["drop"];
  });
  addEventListener("drop", (event) => {
    if (!isFile(event)) return;
    event.preventDefault();
    delete document.body.dataset["drop"];
    const file = event.dataTransfer?.files[0];
    if (file !== undefined) void read(store, file);
  });
}

KEYS["o"] = choose;
