// Who knows what: each machine's knowledge, and what the last step added to it.

import { h } from "../dom";
import { say, ui } from "../i18n";
import type { Store } from "../store";

export function knowsView(root: HTMLElement, store: Store): void {
  const { knows } = store.state.frame;
  const heads = knows.map(({ machine }) => h("th", { scope: "col" }, machine));
  const cells = knows.map(({ machine, facts }) =>
    h("td", { "data-label": machine },
      h("ul", {}, ...facts.map((fact) =>
        h("li", { class: fact.fresh ? "fresh" : "" }, say(fact.text), fact.fresh ? h("em", {}, ui("knows.fresh")) : null)))));
  root.replaceChildren(h("table", { class: "knowers" },
    h("caption", {}, h("b", {}, ui("knows.heading"))),
    h("thead", {}, h("tr", {}, ...heads)),
    h("tbody", {}, h("tr", {}, ...cells))));
}
