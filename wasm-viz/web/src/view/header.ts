// The bar on top: which scenario, and what may be done with it.

import { h } from "../dom";
import type { Catalogue } from "../frame";
import { say, ui } from "../i18n";
import { compare } from "../keys";
import type { Store, Theme } from "../store";
import { traceButton } from "../trace";

let catalogue: Catalogue | undefined;
const THEMES: readonly Theme[] = ["auto", "light", "dark"];

export function headerView(root: HTMLElement, store: Store): void {
  catalogue ??= store.core.catalogue();
  const { state } = store;
  const scenarios = h("select", {
    id: "scenario",
    "aria-label": ui("header.scenario"),
    change: (event) => open(store, `#v=1&s=${(event.target as HTMLSelectElement).value}`),
  });
  const titles = new Map(catalogue.scenarios.map((entry) => [entry.id, entry.title]));
  for (const { number, title, scenarios: ids } of catalogue.lessons) {
    const group = h("optgroup", { label: number === null ? say(title) : ui("lesson.numbered", { number: String(number), title }) });
    for (const id of ids) {
      const option = h("option", { value: id }, say(titles.get(id) ?? { key: `title.${id}` }));
      option.selected = id === state.page.scenario;
      group.append(option);
    }
    scenarios.append(group);
  }
  if (state.page.trace !== null) scenarios.prepend(h("option", { selected: true, disabled: true }, say(state.page.title)));
  const button = (id: string, act: () => void, pressed?: boolean): HTMLElement =>
    h("button", { type: "button", id, click: act, "aria-pressed": pressed === undefined ? null : String(pressed) }, ui(`header.${id}`));
  root.replaceChildren(
    h("h1", {}, ui("page.name")),
    scenarios,
    button("compare", () => compare(store), state.beside !== null),
    button("predict", () => store.set({ predicting: !state.predicting }), state.predicting),
    button("race", () => store.set({ dialog: "race" })),
    traceButton(store),
    button("matrix", () => store.set({ dialog: "matrix" })),
    button("link", () => void copyLink(store)),
    button("export", () => store.set({ dialog: "export" })),
    h("button", {
      type: "button",
      id: "language",
      lang: state.language === "en" ? "zh-Hans" : "en",
      click: () => store.set({ language: state.language === "en" ? "zh" : "en" }),
    }, state.language === "en" ? "中文" : "English"),
    h("button", {
      type: "button",
      id: "theme",
      click: () => store.set({ theme: THEMES[(THEMES.indexOf(state.theme) + 1) % THEMES.length] ?? "auto" }),
    }, ui(`theme.${state.theme}`)),
    button("help", () => store.set({ dialog: "help" })),
  );
}

/** Opens what a fragment names, with the language and the rest of the view as they are. */
export function open(store: Store, fragment: string): void {
  const { language, theme, panel } = store.state;
  store.show(store.core.open(`${fragment}&l=${language}&m=${theme}&p=${panel}`));
}

async function copyLink(store: Store): Promise<void> {
  const link = `${location.href.split("#")[0] ?? ""}#${store.fragment()}`;
  try {
    await navigator.clipboard.writeText(link);
    store.set({ notice: { key: "notice.copied" } });
  } catch {
    store.set({ notice: { key: "notice.not-copied", with: { link } } });
  }
}
