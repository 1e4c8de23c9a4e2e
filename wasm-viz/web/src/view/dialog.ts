// What opens over the page: help, the outcome matrix, the race, exports.

import { h } from "../dom";
import type { Cell } from "../frame";
import { say, ui } from "../i18n";
import type { Store } from "../store";
import { ladderPicture } from "./picture";
import { open } from "./header";

const cells = new Map<string, Cell>();

export function dialogView(root: HTMLElement, store: Store): void {
  const { dialog, language } = store.state;
  if (dialog === null) {
    root.replaceChildren();
    delete root.dataset["open"];
    return;
  }
  const version = `${dialog} ${language} ${store.state.frame.index} ${store.state.page.branch}`;
  if (root.dataset["open"] === version) return;
  root.dataset["open"] = version;
  const bodies = { help, matrix, race, remedies, export: exports };
  const sheet = h("div", { class: "sheet wide", role: "dialog", "aria-modal": "true", "aria-label": ui(`dialog.${dialog}`), tabindex: -1 },
    h("div", { class: "title" },
      h("h2", {}, ui(`dialog.${dialog}`)),
      h("button", { type: "button", class: "close", "aria-label": ui("dialog.close"), click: () => store.set({ dialog: null }) }, "✕")),
    bodies[dialog](store));
  root.replaceChildren(sheet);
  sheet.focus();
}

const HELP = ["arrows", "milestones", "ends", "play", "all", "drop", "predict", "compare", "race", "matrix", "export", "trace", "panels", "language", "theme", "close"];

function help(): HTMLElement {
  return h("ul", { class: "help" }, ...HELP.map((key) => h("li", {}, ui(`help.${key}`))));
}

/** Kind of NAT by kind of NAT: each cell is a run. */
function matrix(store: Store): HTMLElement {
  const presets = store.core.catalogue().presets.filter((preset) => preset.id !== "firewall");
  const head = h("tr", {}, h("td", {}, ui("matrix.corner")), ...presets.map((preset) => h("th", { scope: "col" }, say(preset.name))));
  const body = h("tbody", {});
  const table = h("table", { class: "matrix" }, h("thead", {}, head), body);
  const wanted: [string, string, HTMLElement][] = [];
  for (const a of presets) {
    const row = h("tr", {}, h("th", { scope: "row" }, say(a.name)));
    for (const b of presets) {
      const cell = h("td", {});
      row.append(cell);
      wanted.push([a.id, b.id, cell]);
    }
    body.append(row);
  }
  const fill = (): void => {
    const job = wanted.shift();
    if (job === undefined || !table.isConnected) return;
    const [a, b, into] = job;
    const key = `${a} ${b}`;
    const cell = cells.get(key) ?? store.core.cell(a, b);
    cells.set(key, cell);
    into.replaceChildren(h("button", {
      type: "button",
      class: `outcome ${cell.outcome.kind}`,
      "data-cell": key,
      title: say(cell.outcome.text),
      click: () => {
        store.set({ dialog: null });
        open(store, `#${cell.fragment}`);
      },
    }, ui(`matrix.${cell.outcome.kind}`)));
    setTimeout(fill, 0);
  };
  setTimeout(fill, 0);
  return h("div", {}, h("p", {}, ui("matrix.text")), table);
}

/** The learner's choice of what arrives next. */
function race(store: Store): HTMLElement {
  const items = store.core.arrivals().map((arrival) =>
    h("li", {}, h("button", {
      type: "button",
      class: "choice",
      "data-journey": arrival.journey,
      click: () => {
        const index = store.state.frame.index;
        store.set({ dialog: null });
        if (arrival.edits.length > 0) store.edit(arrival.edits);
        store.seek(index + 1);
      },
    }, say(arrival.text))),
  );
  return h("div", {}, h("p", {}, ui(items.length === 0 ? "race.none" : "race.text")), h("ol", {}, ...items));
}

/** The changes that would have led to a direct path, each of them tried. */
function remedies(store: Store): HTMLElement {
  const { page } = store.state;
  const known = page.branches[page.branch]?.edits.length ?? 0;
  const items = store.core.remedies().map((remedy) =>
    h("li", {}, h("button", {
      type: "button",
      class: "remedy choice",
      click: () => {
        store.set({ dialog: null });
        store.edit(remedy.edits.slice(known));
      },
    }, say(remedy.text))),
  );
  return h("div", {}, h("p", {}, ui(items.length === 0 ? "remedies.none" : "remedies.text")), h("ol", {}, ...items));
}

function exports(store: Store): HTMLElement {
  const { page, all } = store.state;
  const save = (id: string, name: string, type: string, make: () => BlobPart | Promise<BlobPart>): HTMLElement =>
    h("li", {}, h("button", {
      type: "button",
      id,
      click: async () => {
        try {
          download(`${page.scenario}.${name}`, type, await make());
        } catch (error) {
          store.refuse(error);
        }
      },
    }, ui(`export.${name}`)));
  return h("ul", { class: "exports" },
    save("export-text", "txt", "text/plain", () => store.core.text(all)),
    save("export-svg", "svg", "image/svg+xml", () => ladderPicture(store.state.ladder)),
    save("export-pcapng", "pcapng", "application/x-pcapng", () => store.core.capture() as Promise<Uint8Array<ArrayBuffer>>),
  );
}

function download(name: string, type: string, content: BlobPart): void {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = h("a", { href: url, download: name });
  link.click();
  URL.revokeObjectURL(url);
}
