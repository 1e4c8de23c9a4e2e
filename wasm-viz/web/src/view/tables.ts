// The tables of the NATs: who is mapped to what, and who may send in.

import { h } from "../dom";
import type { Row, Table } from "../frame";
import { say, ui } from "../i18n";
import type { Store } from "../store";

export function tablesView(root: HTMLElement, store: Store): void {
  const { frame, page, asking } = store.state;
  const telling = asking === null ? store.telling(frame) : undefined;
  const tables = frame.tables.map((table) => tableOf(table, telling?.row ?? null, page.nats.find((nat) => nat.nat === table.nat)?.kind));
  root.replaceChildren(h("h2", {}, ui("tables.heading")), ...tables);
}

function tableOf(table: Table, decided: string | null, kind: Parameters<typeof say>[0] | undefined): HTMLElement {
  const caption = h("caption", {}, h("b", {}, table.nat), kind === undefined ? null : h("span", {}, say(kind)));
  const head = h("tr", {},
    ...["internal", "external", "remotes", "left"].map((name) => h("th", { scope: "col" }, ui(`tables.${name}`))));
  const rows = table.rows.length === 0
    ? [h("tr", {}, h("td", { colspan: 4, class: "empty" }, ui("tables.empty")))]
    : table.rows.map((row) => rowOf(row, row.id === decided));
  return h("table", { "data-nat": table.nat }, caption, h("thead", {}, head), h("tbody", {}, ...rows));
}

function rowOf(row: Row, decided: boolean): HTMLElement {
  const remotes = row.sessions.map((session) =>
    h("li", { class: session.state }, session.remote, mark(session.state)));
  return h("tr", { class: `${row.state}${decided ? " decided" : ""}`, "data-row": row.id },
    h("td", {}, h("code", {}, row.internal), h("small", {}, row.transport.toUpperCase())),
    h("td", {}, h("code", {}, row.external)),
    h("td", {}, h("ul", {}, ...remotes)),
    h("td", { class: "left" }, left(row.left), mark(row.state)));
}

function mark(state: Row["state"]): HTMLElement | null {
  return state === "standing" ? null : h("em", { class: "state" }, ui(`row.${state}`));
}

function left(ms: number): string {
  return ms >= 10_000 ? `${Math.round(ms / 1000)} s` : `${(ms / 1000).toFixed(1)} s`;
}
