// A machine to be changed: a NAT by the draft's kinds and every field behind them, a peer by what it may try.

import { h } from "../dom";
import type { Nat, NatField } from "../frame";
import { say, ui } from "../i18n";
import type { Store } from "../store";

export function natView(root: HTMLElement, store: Store): void {
  const { nat: name, page } = store.state;
  if (name === null || !page.machines.some((machine) => machine.id === name)) {
    root.replaceChildren();
    delete root.dataset["nat"];
    return;
  }
  const nat = page.nats.find((known) => known.nat === name);
  const fresh = root.dataset["nat"] !== name;
  root.dataset["nat"] = name;
  const heading = ui("nat.heading", { nat: name });
  const dialog = h("div", { class: "sheet", role: "dialog", "aria-modal": "false", "aria-label": heading },
    h("div", { class: "title" },
      h("h2", {}, heading),
      h("button", { type: "button", class: "close", "aria-label": ui("dialog.close"), click: () => store.set({ nat: null }) }, "✕")),
    ...(nat === undefined ? strategies(name, store) : [
      h("p", { class: "vector" }, h("b", {}, say(nat.kind)), ": ", nat.vector.map(say).join(" · ")),
      presets(nat, store),
      h("button", { type: "button", id: "reboot", click: () => store.edit([{ at: now(store), action: { do: "reboot", nat: name } }]) }, ui("nat.reboot")),
      h("div", { class: "nat-fields" }, ...nat.fields.map((field) => control(nat, field, store))),
    ]),
  );
  const scrolled = root.firstElementChild?.scrollTop ?? 0;
  root.replaceChildren(dialog);
  dialog.scrollTop = fresh ? 0 : scrolled;
  if (fresh) dialog.querySelector<HTMLElement>("button.preset")?.focus();
}

/** The moment of the step that is shown. */
const now = (store: Store): number => store.state.frame.time;

/** Leaves a peer one strategy; taking the edit back leaves it those that it had. */
function strategies(host: string, store: Store): HTMLElement[] {
  return store.core.catalogue().strategies.map((strategy) =>
    h("button", {
      type: "button",
      class: "choice preset",
      id: `strategy-${strategy}`,
      click: () => store.edit([{ at: 0, action: { do: "set-strategies", host, strategies: [strategy] } }]),
    }, ui("action.set-strategies", { host, strategies: strategy })));
}

function presets(nat: Nat, store: Store): HTMLElement {
  const buttons = store.core.catalogue().presets.map((preset) =>
    h("button", {
      type: "button",
      class: "preset",
      id: `preset-${preset.id}`,
      "data-preset": preset.id,
      "aria-pressed": String(say(preset.name) === say(nat.kind)),
      click: () => store.change((core) => core.preset(nat.nat, preset.id)),
    }, say(preset.name)),
  );
  return h("div", { class: "presets", role: "group", "aria-label": ui("nat.presets") }, ...buttons);
}

function control(nat: Nat, field: NatField, store: Store): HTMLElement {
  const set = (value: string): void => store.edit([{ at: 0, action: { do: "set-field", nat: nat.nat, field: field.id, value } }]);
  const id = `field-${field.id}`;
  const label = h("label", { for: id }, say(field.name), h("small", {}, field.source));
  if (field.values.length > 0) {
    const select = h("select", { id, change: (event) => set((event.target as HTMLSelectElement).value) });
    for (const value of field.values) {
      const option = h("option", { value: value.value }, say(value.name));
      option.selected = value.value === field.value;
      select.append(option);
    }
    return h("div", { class: "control" }, label, select);
  }
  return h("div", { class: "control" }, label,
    h("input", { id, type: "text", inputmode: field.range === null ? "text" : "numeric", value: field.value, change: (event) => set((event.target as HTMLInputElement).value.trim()) }));
}
