// The tables of the NATs: who is mapped to what, and who may send in.

import { h } from "../dom";
import type { Happening, Row, Table } from "../frame";
import { say, ui } from "../i18n";
import type { Store } from "../store";

export function tablesView(root: HTMLElement, store: Store): void {
  const { frame, page, asking } = store.state;
  const telling = asking === null ? store.telling(frame) : undefined;
  const tables = frame.tables.map((table) => tableOf(table, telling, page.nats.find((nat) => nat.nat === table.nat)?.kind));
  const server = page.machines.find((machine) => machine.kind === "server")?.id ?? "";
  root.replaceChildren(h("h2", { class: "unseen" }, ui("tables.heading")), ...tables,
    frame.server === null ? "" : h("table", { class: "duty" }, h("tbody", {},
      h("tr", { class: "none" }, h("th", { scope: "row", class: "number" }, server), h("td", {}, say(frame.server))))));
}

function tableOf(table: Table, telling: Happening | undefined, kind: Parameters<typeof say>[0] | undefined): HTMLElement {
  const caption = h("caption", {}, h("b", {}, table.nat), kind === undefined ? null : h("span", {}, say(kind)));
  const head = h("tr", {}, h("th", { scope: "col", class: "number" }, h("span", { class: "unseen" }, ui("tables.row"))),
    ...COLUMNS.map((name) => h("th", { scope: "col" }, ui(`tables.${name}`))));
  const rows = table.rows.length === 0
    ? [h("tr", { class: "none" }, h("td", { colspan: 5, class: "empty" }, ui("tables.empty")))]
    : table.rows.map((row) => rowOf(table, row, row.id === telling?.row ? telling : undefined));
  return h("table", { "data-nat": table.nat }, caption, h("thead", {}, head), h("tbody", {}, ...rows));
}

const COLUMNS = ["internal", "external", "remotes", "left"] as const;

/** A row; in the one that decided, what the packet had instead of what is there. */
function rowOf(table: Table, row: Row, telling: Happening | undefined): HTMLElement {
  const failed = telling?.checks.find((check) => check.decisive);
  const instead = failed === undefined ? null : h("span", { class: "instead" }, h("b", {}, "≠ "), say(failed.found));
  const remotes = row.sessions.map((session) => h("li", { class: session.state }, session.remote, mark(session.state)));
  const cell = (name: (typeof COLUMNS)[number], ...content: (Node | string | null)[]): HTMLElement =>
    h("td", { class: name, "data-label": ui(`tables.${name}`) }, ...content, telling?.column === name ? instead : null);
  return h("tr", { class: `${row.state}${telling === undefined ? "" : " decided"}`, "data-row": row.id },
    h("td", { class: "number" }, row.id.slice(table.nat.length + 1)),
    cell("internal", h("code", {}, row.internal), h("small", {}, row.transport.toUpperCase())),
    cell("external", h("code", {}, row.external)),
    cell("remotes", h("ul", {}, ...remotes)),
    cell("left", left(row.left), mark(row.state)));
}

function mark(state: Row["state"]): HTMLElement | null {
  return state === "standing" ? null : h("em", { class: "state" }, ui(`row.${state}`));
}

function left(ms: number): string {
  return ms >= 10_000 ? `${Math.round(ms / 1000)} s` : `${(ms / 1000).toFixed(1)} s`;
}
