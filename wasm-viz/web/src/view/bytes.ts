// A packet's octets at every place that it passed, what a NAT changed, and what the ends read in it.

import { h } from "../dom";
import type { Bytes, Field } from "../frame";
import { meaning, say, ui } from "../i18n";
import type { Store } from "../store";
import { badge, numberOf } from "./badge";

let shown: { key: string; bytes: Bytes | null } | null = null;

export function bytesView(root: HTMLElement, store: Store): void {
  const { journey, page, language, asking, frame } = store.state;
  const key = `${page.branches[page.branch]?.digest ?? ""} ${journey ?? "-"}`;
  if (shown?.key !== key) shown = { key, bytes: journey === null ? null : store.core.bytes(journey) };
  const { bytes } = shown;
  const drawn = `${key} ${language} ${asking === null ? "" : frame.index}`;
  if (root.dataset["drawn"] === drawn) return;
  root.dataset["drawn"] = drawn;
  const heading = h("h2", {}, journey === null ? null : badge(numberOf(page, journey), true), bytes === null ? ui("bytes.heading") : say(bytes.name));
  if (bytes === null) {
    root.replaceChildren(heading, h("p", {}, ui("bytes.none")));
    return;
  }
  // While one predicts, how a packet goes on is the answer.
  const seen = bytes.captures.filter((capture) => asking === null || capture.index <= frame.index);
  const captures = seen.map((capture) =>
    h("section", { class: "capture" },
      h("h3", {}, say(capture.place)),
      panel(capture.octets, capture.layers, capture.changed)),
  );
  const opened = bytes.opened === null
    ? h("p", {}, bytes.closed === null ? "" : say(bytes.closed))
    : h("section", { class: "capture opened" },
        h("h3", {}, ui("bytes.opened", { machine: bytes.opened.by })),
        panel(bytes.opened.octets, bytes.opened.fields, []));
  root.replaceChildren(heading, h("div", { class: "captures" }, ...captures, opened));
}

/** Octets and fields side by side; pointing at one, or moving there by keys, marks the other. */
function panel(octets: string, fields: Field[], changed: [number, number][]): HTMLElement {
  const count = octets.length / 2;
  const drawn = Math.min(count, MOST);
  const cells = h("code", {
    class: "hex",
    role: "slider",
    tabindex: 0,
    "aria-label": ui("bytes.octets"),
    "aria-valuemin": 0,
    "aria-valuemax": Math.max(0, drawn - 1),
    "aria-valuenow": 0,
  });
  for (let at = 0; at < drawn; at += 1) {
    const differs = changed.some(([from, to]) => at >= from && at < to);
    cells.append(h("span", { "data-at": at, class: differs ? "differs" : null }, octets.slice(at * 2, at * 2 + 2)), " ");
  }
  if (count > drawn) cells.append(`+${count - drawn}`);
  const mark = (field: Field | null): void => {
    for (const cell of cells.querySelectorAll("span")) {
      const at = Number(cell.dataset["at"]);
      cell.classList.toggle("lit", field !== null && at >= field.at && at < field.at + field.length);
    }
  };
  const tree = h("ul", { class: "fields" }, ...fields.map((field) => branch(field, mark, changed)));
  const pointAt = (at: number): void => {
    for (const item of tree.querySelectorAll<HTMLElement>("[data-from]")) {
      const from = Number(item.dataset["from"]);
      item.classList.toggle("lit", at >= from && at < from + Number(item.dataset["length"]));
    }
  };
  cells.addEventListener("mouseover", (event) => pointAt(Number((event.target as HTMLElement).dataset["at"] ?? "-1")));
  cells.addEventListener("mouseleave", () => pointAt(-1));
  cells.addEventListener("blur", () => {
    pointAt(-1);
    mark(null);
  });
  cells.addEventListener("keydown", (event) => {
    const step = MOVES[event.key];
    if (step === undefined) return;
    const at = Math.min(drawn - 1, Math.max(0, Number(cells.getAttribute("aria-valuenow")) + step));
    const names = fields.flatMap((field) => within(field, at));
    cells.setAttribute("aria-valuenow", String(at));
    cells.setAttribute("aria-valuetext", ui("bytes.octet", { at: String(at), octet: octets.slice(at * 2, at * 2 + 2), fields: names.join(", ") }));
    mark({ name: "", value: "", at, length: 1 });
    pointAt(at);
    event.preventDefault();
  });
  return h("div", { class: "octets" }, cells, tree);
}

/** The names of the fields that an octet is in, outside in. */
function within(field: Field, at: number): string[] {
  if (at < field.at || at >= field.at + field.length) return [];
  return [field.name, ...(field.parts ?? []).flatMap((part) => within(part, at))];
}

function branch(field: Field, mark: (field: Field | null) => void, changed: [number, number][]): HTMLElement {
  const parts = field.parts ?? [];
  const differs = parts.length === 0 && changed.some(([from, to]) => field.at < to && field.at + field.length > from);
  const value = field.value.length > 40 ? `${field.value.slice(0, 40)}…` : field.value;
  const means = meaning(field.name);
  const label = h("span", {
    class: differs ? "field differs" : "field",
    tabindex: 0,
    "data-from": field.at,
    "data-length": field.length,
    mouseenter: () => mark(field),
    mouseleave: () => mark(null),
    focus: () => mark(field),
    blur: () => mark(null),
  }, h("b", {}, field.name), means === "" ? null : h("small", {}, means), value === "" ? "" : ` ${value}`, differs ? h("em", {}, ui("bytes.changed")) : null);
  return h("li", {}, label, parts.length === 0 ? null : h("ul", {}, ...parts.map((part) => branch(part, mark, changed))));
}

/** How far a key moves among octets. */
const MOVES: Record<string, number> = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 16, ArrowUp: -16, Home: -1e9, End: 1e9 };

/** The most octets that are drawn; the fields are all there. */
const MOST = 320;
