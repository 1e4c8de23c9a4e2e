// What a trace is, and who is at its other ends, in the place of the map: what is between them it does not tell.

import { h } from "../dom";
import type { Page, Trace } from "../frame";
import { say, ui } from "../i18n";

export function traceView(root: HTMLElement, page: Page, trace: Trace): void {
  const rows = page.machines.map((machine, index) =>
    h("tr", { class: index === 0 ? "own" : null },
      h("th", { scope: "row" }, machine.id),
      h("td", {}, ui(`machine.${machine.kind}`)),
      h("td", {}, h("code", {}, machine.addresses[0] ?? ""))));
  root.replaceChildren(
    h("h2", {}, say(page.title)),
    h("ul", { class: "trace-facts" }, ...trace.facts.map((fact) => h("li", {}, say(fact)))),
    h("table", { class: "trace-ends" }, h("tbody", {}, ...rows)),
  );
}
