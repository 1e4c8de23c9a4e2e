// Who knows what: each machine's knowledge, and what the last step added to it.

import { h } from "../dom";
import { say, ui } from "../i18n";
import type { Store } from "../store";

export function knowsView(root: HTMLElement, store: Store): void {
  const columns = store.state.frame.knows.map((knows) =>
    h("div", { class: "knower" },
      h("h3", {}, knows.machine),
      h("ul", {}, ...knows.facts.map((fact) =>
        h("li", { class: fact.fresh ? "fresh" : "" }, say(fact.text), fact.fresh ? h("em", {}, ui("knows.fresh")) : null)))),
  );
  root.replaceChildren(h("h2", {}, ui("knows.heading")), h("div", { class: "knowers" }, ...columns));
}
