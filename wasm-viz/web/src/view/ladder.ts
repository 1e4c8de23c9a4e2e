// The ladder: a row for each packet, a column for each machine. Only the rows in sight are in the document.

import { h, keyed, svg } from "../dom";
import type { Ladder, LadderRow, PacketRow } from "../frame";
import { say, ui } from "../i18n";
import { dropMarked, fault, part } from "../keys";
import type { Store } from "../store";
import { badge, numberOf } from "./badge";
import { sign } from "./sign";
import { traceLadderView } from "./traceladder";
import { turned } from "./turn";

const ROW = 42;
/** What stands for packets that are not shown. */
const FOLDED = 28;
/** Where the arrow is in its row. */
const LINE = 32;

export function ladderView(root: HTMLElement, store: Store): void {
  const { state } = store;
  if (state.page.trace !== null) return traceLadderView(root, store);
  const other = state.beside === null ? null : store.core.besideLadder(state.beside, state.all);
  const parts: HTMLElement[] = [
    h("div", { class: "title" },
      h("h2", {}, ui("ladder.heading")),
      actions(store),
      h("label", {}, h("input", {
        type: "checkbox",
        checked: state.all,
        change: (event) => store.showAll((event.target as HTMLInputElement).checked),
      }), ui("ladder.all")),
    ),
    drawn("here", state.ladder, state.frame.index, store),
  ];
  if (other !== null && state.beside !== null) {
    const parted = store.core.divergence(state.beside);
    parts.push(
      h("p", { class: "parted" }, ui("ladder.beside", { number: String(state.beside + 1) }), " ",
        parted === null ? null : h("button", { type: "button", click: () => part(store) }, ui("ladder.parted", { step: String(parted + 1) }))),
      drawn("there", other, state.frame.index, store),
    );
  }
  const scrolled = Array.from(root.querySelectorAll(".rows"), (list) => list.scrollTop);
  root.replaceChildren(...parts);
  root.querySelectorAll<HTMLElement>(".rows").forEach((list, number) => {
    list.scrollTop = scrolled[number] ?? 0;
    follow(list, number === 0 ? state.ladder : (other ?? state.ladder), state.frame.index, store);
  });
}

/** What may be done to the marked packet. */
function actions(store: Store): HTMLElement {
  const { journey } = store.state;
  const act = (key: string, effect: unknown): HTMLElement =>
    h("button", {
      type: "button",
      id: key,
      disabled: journey === null,
      click: () => {
        if (journey !== null) store.edit([{ at: 0, action: fault(journey, effect) }]);
      },
    }, ui(`ladder.${key}`));
  return h("div", { class: "actions", role: "group", "aria-label": ui("ladder.actions") },
    h("button", { type: "button", id: "drop", disabled: journey === null, click: () => dropMarked(store) }, ui("ladder.drop")),
    act("delay", { delay: { ms: 60 } }),
    act("duplicate", { duplicate: { ms: 5 } }),
    act("reorder", { reorder: { ms: 100 } }),
  );
}

function drawn(name: string, ladder: Ladder, cursor: number, store: Store): HTMLElement {
  const head = h("div", { class: "columns", "aria-hidden": "true" });
  ladder.columns.forEach((column) => head.append(h("span", {}, column)));
  const rows = h("div", { class: "rows", "data-ladder": name, tabindex: 0, role: "group", "aria-label": ui("ladder.list") });
  const inner = h("ol", {});
  const above = h("div", {});
  const below = h("div", {});
  const tops = topsOf(ladder);
  const whole = tops.at(-1) ?? 0;
  const fill = (): void => {
    const from = Math.max(0, tops.findIndex((top) => top > rows.scrollTop) - 6);
    // Paper does not scroll.
    const end = matchMedia("print").matches ? whole : rows.scrollTop + (rows.clientHeight || 400);
    const past = tops.findIndex((top) => top > end);
    const to = Math.min(ladder.rows.length, (past < 0 ? ladder.rows.length : past) + 6);
    above.style.height = `${tops[from] ?? 0}px`;
    below.style.height = `${whole - (tops[to] ?? whole)}px`;
    keyed(inner, ladder.rows.slice(from, to), (row) => keyOf(row), (row) => rowOf(row, ladder, store), (row) => versionOf(row, cursor, store));
  };
  rows.append(above, inner, below);
  rows.addEventListener("scroll", fill, { passive: true });
  fill();
  return h("div", { class: "ladder" }, head, rows);
}

/** Where each row begins, and where the last one ends. */
function topsOf(ladder: Ladder): number[] {
  const tops = [0];
  for (const row of ladder.rows) tops.push((tops.at(-1) ?? 0) + (row.row === "folded" ? FOLDED : ROW));
  return tops;
}

/** Keeps the packet of the step in sight, with what comes before and after it. */
function follow(list: HTMLElement, ladder: Ladder, cursor: number, store: Store): void {
  const at = ladder.rows.findIndex((row) => marked(row, store));
  const index = at >= 0 ? at : ladder.rows.findLastIndex((row) => row.index <= cursor);
  if (index < 0) return;
  const top = topsOf(ladder)[index] ?? 0;
  const near = top - ROW < list.scrollTop || top + 3 * ROW > list.scrollTop + list.clientHeight;
  if (near) list.scrollTop = top - list.clientHeight / 2;
}

const keyOf = (row: LadderRow): string => (row.row === "folded" ? `f${row.index}` : `p${row.journey}`);

/** Whether a row is that of the marked packet, or has it folded away. */
function marked(row: LadderRow, { state: { journey } }: Store): boolean {
  if (row.row === "packet") return row.journey === journey;
  return journey !== null && row.first <= journey && journey <= row.last;
}

function versionOf(row: LadderRow, cursor: number, store: Store): string {
  const { journey, language } = store.state;
  if (row.row === "folded") return `${marked(row, store) && journey} ${row.count} ${language}`;
  const seen = row.hops.filter((hop) => hop.sent <= cursor).length;
  const arrived = row.hops.filter((hop) => hop.arrived !== null && hop.arrived <= cursor).length;
  return `${seen} ${arrived} ${row.journey === journey} ${language}`;
}

function rowOf(row: LadderRow, ladder: Ladder, store: Store): Element {
  if (row.row === "folded") {
    const has = marked(row, store);
    return h("li", { class: has ? "folded marked" : "folded" }, h("button", {
      type: "button",
      "aria-current": has ? "true" : null,
      click: () => store.showAll(true),
    },
    has ? badge(numberOf(store.state.page, store.state.journey ?? 0), true) : null,
    ui("ladder.folded", { count: String(row.count) }),
    h("span", { class: "unseen" }, " ", ui("ladder.unfold", { count: String(row.count) }))));
  }
  const { frame, journey } = store.state;
  const cursor = frame.index;
  const future = row.index > cursor;
  const last = row.hops.at(-1);
  const over = last !== undefined && last.arrived !== null && last.arrived <= cursor;
  const title = row.title ?? row.name;
  const spoken = ui("ladder.row", {
    step: row.step ?? "", name: title, from: row.hops[0]?.from ?? "", to: last?.to ?? "",
    fate: over ? (last.text ?? { key: "fate.passed" }) : { key: future ? "fate.later" : "fate.under-way" },
  });
  return h("li", { class: `packet-row${row.journey === journey ? " marked" : ""}${future ? " future" : ""}`, "data-journey": row.journey },
    h("button", {
      type: "button",
      class: "cover",
      "aria-label": spoken,
      title: say(row.name),
      "aria-current": row.journey === journey ? "true" : null,
      click: () => store.seek(row.ended ?? row.index),
    }),
    arrows(row, ladder, cursor),
    h("span", { class: "label" },
      badge(row.step ?? `#${row.journey}`, row.journey === journey),
      h("span", { class: row.title === null ? null : "titled" }, say(title)),
      h("small", {}, `${(row.time / 1000).toFixed(1)} ms`),
      over ? reason(row) : null),
  );
}

/** Why a packet went no further, in a few words. */
function reason(row: PacketRow): HTMLElement | null {
  const last = row.hops.at(-1);
  const rule = last?.text?.with?.["rule"];
  if (last === undefined || rule === undefined || typeof rule === "string" || Array.isArray(rule)) return null;
  return last.fate === "dropped" || last.fate === "answered" ? h("em", { class: "reason" }, say(rule)) : null;
}

function arrows(row: PacketRow, ladder: Ladder, cursor: number): SVGElement {
  const count = ladder.columns.length;
  const width = 100 * count;
  const x = (name: string): number => (ladder.columns.indexOf(name) + 0.5) * 100;
  const picture = svg("svg", { class: "arrows", viewBox: `0 0 ${width} ${ROW}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const ends = svg("svg", { class: "ends" });
  ladder.columns.forEach((_, column) => {
    picture.append(svg("line", { class: "life", x1: (column + 0.5) * 100, x2: (column + 0.5) * 100, y1: 0, y2: ROW }));
  });
  const below = turned(row.hops, ladder.columns);
  for (const [number, hop] of row.hops.entries()) {
    if (hop.sent > cursor) continue;
    const y = LINE + (below[number] ?? 0);
    const arrived = hop.arrived !== null && hop.arrived <= cursor;
    const from = x(hop.from);
    const to = hop.to === "" ? from + (from > width / 2 ? -60 : 60) : x(hop.to);
    const fate = arrived ? hop.fate : "sent";
    const end = fate === "sent" || fate === "lost" ? from + (to - from) * 0.6 : to;
    picture.append(svg("line", { class: `hop ${fate}`, x1: from, x2: end, y1: y, y2: y, "vector-effect": "non-scaling-stroke" }));
    const tip = svg("g", from > to ? { transform: "scale(-1 1)" } : {}, sign(fate, "end"));
    ends.append(svg("svg", { class: "tip", x: `${(end / width) * 100}%`, y }, tip));
  }
  return wrap(picture, ends);
}

/** The lines are stretched with the panel, their ends are not. */
function wrap(picture: SVGElement, ends: SVGElement): SVGElement {
  const outer = svg("svg", { class: "way", width: "100%", height: ROW, "aria-hidden": "true" });
  outer.append(picture, ends);
  return outer;
}
