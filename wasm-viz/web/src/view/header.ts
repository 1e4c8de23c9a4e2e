// The bar on top: which scenario, and what may be done with it.

import { h, icon } from "../dom";
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
  const symbol = (id: string, sign: Node | string, act: () => void, name = ui(`header.${id}`)): HTMLElement =>
    h("button", { type: "button", id, class: "symbol", "aria-label": name, title: name, click: act }, sign);
  root.replaceChildren(
    h("h1", {}, ui("page.name")),
    scenarios,
    button("compare", () => compare(store), state.beside !== null),
    button("predict", () => store.set({ predicting: !state.predicting }), state.predicting),
    button("race", () => store.set({ dialog: "race" })),
    traceButton(store),
    button("matrix", () => store.set({ dialog: "matrix" })),
    symbol("link", icon("M7 9l4-4m-6.5 1.5l-1 1a3.2 3.2 0 0 0 4.5 4.5l2-2m3-4l1-1a3.2 3.2 0 0 0-4.5-4.5l-2 2"), () => void copyLink(store)),
    symbol("export", icon("M9 2v9m-4-4l4 4l4-4M3 15h12"), () => store.set({ dialog: "export" })),
    h("button", {
      type: "button",
      id: "language",
      lang: state.language === "en" ? "zh-Hans" : "en",
      click: () => store.set({ language: state.language === "en" ? "zh" : "en" }),
    }, state.language === "en" ? "中文" : "English"),
    symbol("theme", icon("M9 2.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13M9 2.5v13M9 4l4.5 3M9 7.500l5.500 3M9 11l3.500 2.500"), () => store.set({ theme: THEMES[(THEMES.indexOf(state.theme) + 1) % THEMES.length] ?? "auto" }), ui(`theme.${state.theme}`)),
    symbol("help", "?", () => store.set({ dialog: "help" })),
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
