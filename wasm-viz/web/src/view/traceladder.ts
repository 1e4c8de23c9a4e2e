// The ladder of a trace: a row for each step, fetched from the core as they come into sight, because a trace may have
// a hundred thousand.

import { h, keyed, svg } from "../dom";
import type { PacketRow, TraceRow } from "../frame";
import { say, ui } from "../i18n";
import type { Store } from "../store";
import { sign } from "./sign";

const ROW = 34;

export function traceLadderView(root: HTMLElement, store: Store): void {
  const { ladder, page, frame } = store.state;
  const file = page.branches[0]?.digest ?? "";
  // The list stays as it is while one steps, with its place.
  const old = root.querySelector<HTMLElement>(`.rows[data-trace="${file}"]`);
  const list = old ?? h("div", { class: "rows", "data-trace": file, tabindex: 0, role: "group", "aria-label": ui("ladder.list") },
    h("div", {}), h("ol", { class: "trace-rows" }), h("div", {}));
  const [above, inner, below] = Array.from(list.children) as [HTMLElement, HTMLElement, HTMLElement];
  const fill = (): void => {
    const height = list.clientHeight || 420;
    const from = Math.max(0, Math.floor(list.scrollTop / ROW) - 6);
    const to = Math.min(ladder.length, from + Math.ceil(height / ROW) + 12);
    above.style.height = `${from * ROW}px`;
    below.style.height = `${(ladder.length - to) * ROW}px`;
    const cursor = store.state.frame.index;
    keyed(inner, store.core.rows(from, to), (row) => `t${row.index}`, (row) => rowOf(row, store),
      (row) => `${row.index === cursor} ${row.index > cursor} ${store.state.language}`);
  };
  if (old === null) {
    const head = h("div", { class: "columns", "aria-hidden": "true" }, ...ladder.columns.map((column) => h("span", {}, column)));
    root.replaceChildren(h("h2", {}, ui("ladder.heading")), h("div", { class: "ladder" }, head, list));
  } else {
    root.querySelector("h2")?.replaceChildren(ui("ladder.heading"));
  }
  list.onscroll = fill;
  fill();
  const top = frame.index * ROW;
  if (top < list.scrollTop || top + ROW > list.scrollTop + list.clientHeight) {
    list.scrollTop = top - list.clientHeight / 2;
    fill();
  }
}

function rowOf(row: TraceRow, store: Store): Element {
  const cursor = store.state.frame.index;
  const marked = row.index === cursor;
  const ms = (row.time / 1000).toFixed(1);
  const spoken = row.row === "note" ? ui("ladder.note", { text: row.text, ms }) : ui("ladder.row", {
    step: "", name: row.name, from: row.hops[0]?.from ?? "", to: row.hops[0]?.to ?? "", fate: row.hops[0]?.text ?? { key: "fate.passed" },
  });
  return h("li", { class: `trace-row ${row.row}${marked ? " marked" : ""}${row.index > cursor ? " future" : ""}` },
    h("button", {
      type: "button",
      class: "cover",
      "aria-label": spoken,
      "aria-current": marked ? "true" : null,
      click: () => store.seek(row.index),
    }),
    row.row === "packet" ? arrow(row, store.state.ladder.columns) : null,
    h("span", { class: "trace-label" }, say(row.row === "note" ? row.text : row.name), h("small", {}, `${ms} ms`)));
}

function arrow(row: PacketRow, columns: string[]): SVGElement {
  const hop = row.hops[0];
  const at = (name: string): number => ((columns.indexOf(name) + 0.5) / columns.length) * 100;
  const picture = svg("svg", { class: "trace-way", width: "100%", height: ROW, "aria-hidden": "true" });
  for (const column of columns) {
    picture.append(svg("line", { class: "life", x1: `${at(column)}%`, x2: `${at(column)}%`, y1: 0, y2: ROW }));
  }
  if (hop === undefined) return picture;
  const [from, to] = [at(hop.from), at(hop.to)];
  const y = ROW - 9;
  picture.append(
    svg("line", { class: `hop ${hop.fate}`, x1: `${from}%`, x2: `${to}%`, y1: y, y2: y }),
    svg("svg", { class: "tip", x: `${to}%`, y }, svg("g", from > to ? { transform: "scale(-1 1)" } : {}, sign(hop.fate, "end"))));
  return picture;
}
