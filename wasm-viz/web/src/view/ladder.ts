// The ladder: a row for each packet, a column for each machine. Only the rows in sight are in the document.

import { h, keyed, svg } from "../dom";
import type { Hop, Ladder, LadderRow, PacketRow } from "../frame";
import { say, ui } from "../i18n";
import { dropMarked, fault } from "../keys";
import type { Store } from "../store";
import { traceLadderView } from "./traceladder";

const ROW = 34;
const MARGIN = 12;
const SHAPES: Record<Hop["fate"], string> = {
  sent: "➤", passed: "➤", delivered: "●", dropped: "✖", answered: "⚡", lost: "◌",
};

export function ladderView(root: HTMLElement, store: Store): void {
  const { state } = store;
  if (state.page.trace !== null) return traceLadderView(root, store);
  const other = state.beside === null ? null : store.core.besideLadder(state.beside, state.all);
  const parts: HTMLElement[] = [
    h("div", { class: "title" },
      h("h2", {}, ui("ladder.heading")),
      h("label", {}, h("input", {
        type: "checkbox",
        checked: state.all,
        change: (event) => store.showAll((event.target as HTMLInputElement).checked),
      }), ui("ladder.all")),
    ),
    actions(store),
    drawn("here", state.ladder, state.frame.index, store),
  ];
  if (other !== null && state.beside !== null) {
    const parted = store.core.divergence(state.beside);
    parts.push(
      h("p", { class: "parted" }, ui("ladder.beside", { number: String(state.beside + 1) }),
        parted === null ? null : h("button", { type: "button", click: () => store.seek(parted) }, ui("ladder.parted", { step: String(parted + 1) }))),
      drawn("there", other, state.frame.index, store),
    );
  }
  const scrolled = root.querySelector(".rows")?.scrollTop ?? 0;
  root.replaceChildren(...parts);
  const list = root.querySelector<HTMLElement>(".rows");
  if (list !== null) {
    list.scrollTop = scrolled;
    follow(list, state.ladder, state.frame.index, store);
  }
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
  const fill = (): void => {
    const height = rows.clientHeight || 420;
    const from = Math.max(0, Math.floor(rows.scrollTop / ROW) - 6);
    const to = Math.min(ladder.rows.length, from + Math.ceil(height / ROW) + 12);
    above.style.height = `${from * ROW}px`;
    below.style.height = `${(ladder.rows.length - to) * ROW}px`;
    keyed(inner, ladder.rows.slice(from, to), (row) => keyOf(row), (row) => rowOf(row, ladder, store), (row) => versionOf(row, cursor, store));
  };
  rows.append(above, inner, below);
  rows.addEventListener("scroll", fill, { passive: true });
  fill();
  return h("div", { class: "ladder" }, head, rows);
}

/** Keeps the packet of the step in sight. */
function follow(list: HTMLElement, ladder: Ladder, cursor: number, store: Store): void {
  const at = ladder.rows.findIndex((row) => row.row === "packet" && row.journey === store.state.journey);
  const index = at >= 0 ? at : ladder.rows.findLastIndex((row) => row.index <= cursor);
  if (index < 0) return;
  const top = index * ROW;
  if (top < list.scrollTop || top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top - list.clientHeight / 2;
}

const keyOf = (row: LadderRow): string => (row.row === "folded" ? `f${row.index}` : `p${row.journey}`);

function versionOf(row: LadderRow, cursor: number, store: Store): string {
  const { journey, language } = store.state;
  if (row.row === "folded") return `${row.count} ${language}`;
  const seen = row.hops.filter((hop) => hop.sent <= cursor).length;
  const arrived = row.hops.filter((hop) => hop.arrived !== null && hop.arrived <= cursor).length;
  return `${seen} ${arrived} ${row.journey === journey} ${language}`;
}

function rowOf(row: LadderRow, ladder: Ladder, store: Store): Element {
  if (row.row === "folded") {
    return h("li", { class: "folded" }, h("button", { type: "button", click: () => store.showAll(true) }, ui("ladder.folded", { count: String(row.count) })));
  }
  const { frame, journey } = store.state;
  const cursor = frame.index;
  const future = row.index > cursor;
  const last = row.hops.at(-1);
  const over = last !== undefined && last.arrived !== null && last.arrived <= cursor;
  const spoken = ui("ladder.row", {
    step: row.step ?? "", name: row.name, from: row.hops[0]?.from ?? "", to: last?.to ?? "",
    fate: over ? (last.text ?? { key: "fate.passed" }) : { key: future ? "fate.later" : "fate.under-way" },
  });
  return h("li", { class: `packet-row${row.journey === journey ? " marked" : ""}${future ? " future" : ""}`, "data-journey": row.journey },
    h("button", {
      type: "button",
      class: "cover",
      "aria-label": spoken,
      "aria-current": row.journey === journey ? "true" : null,
      click: () => store.seek(row.ended ?? row.index),
    }),
    arrows(row, ladder, cursor),
    h("span", { class: "label" },
      row.step === null ? null : h("b", {}, `${row.step}.`),
      say(row.name),
      h("small", {}, `${(row.time / 1000).toFixed(1)} ms`)),
  );
}

function arrows(row: PacketRow, ladder: Ladder, cursor: number): SVGElement {
  const count = ladder.columns.length;
  const width = 100 * count;
  const x = (name: string): number => (ladder.columns.indexOf(name) + 0.5) * 100;
  const picture = svg("svg", { class: "arrows", viewBox: `0 0 ${width} ${ROW}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const ends = svg("svg", { class: "ends", "aria-hidden": "true" });
  ladder.columns.forEach((_, column) => {
    picture.append(svg("line", { class: "life", x1: (column + 0.5) * 100, x2: (column + 0.5) * 100, y1: 0, y2: ROW }));
  });
  for (const hop of row.hops) {
    if (hop.sent > cursor) continue;
    const arrived = hop.arrived !== null && hop.arrived <= cursor;
    const from = x(hop.from);
    const to = hop.to === "" ? from : x(hop.to);
    const end = arrived ? to : from + (to - from) * 0.6;
    const fate = arrived ? hop.fate : "sent";
    const gap = from < to ? -MARGIN : MARGIN;
    picture.append(svg("line", { class: `hop ${fate}`, x1: from, x2: end + (arrived ? gap : 0), y1: ROW - 9, y2: ROW - 9, "vector-effect": "non-scaling-stroke" }));
    const flip = fate === "sent" || fate === "passed" ? from > to : false;
    ends.append(svg("text", {
      class: `end ${fate}`,
      x: `${((end + (arrived ? gap : 0)) / width) * 100}%`,
      y: ROW - 4,
      "text-anchor": "middle",
    }, flip ? "◀" : SHAPES[fate] === "➤" ? "▶" : SHAPES[fate]));
  }
  return wrap(picture, ends);
}

/** The lines are stretched with the panel, their ends are not. */
function wrap(picture: SVGElement, ends: SVGElement): SVGElement {
  const outer = svg("svg", { class: "way", width: "100%", height: ROW, "aria-hidden": "true" });
  outer.append(picture, ends);
  return outer;
}
