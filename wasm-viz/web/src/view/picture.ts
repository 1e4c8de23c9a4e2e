// The ladder as a picture that stands alone.

import { svg } from "../dom";
import type { Ladder } from "../frame";
import { say } from "../i18n";
import { turned } from "./turn";

const COLUMN = 170;
const ROW = 40;
const COLOURS: Record<string, string> = { dropped: "#b3261e", answered: "#b3261e", lost: "#8a5a00" };
const SIGNS: Record<string, string> = { dropped: "✖", answered: "⚡", lost: "◌", delivered: "●" };

export function ladderPicture(ladder: Ladder): string {
  const width = COLUMN * ladder.columns.length;
  const height = ROW * (ladder.rows.length + 2);
  const x = (name: string): number => (ladder.columns.indexOf(name) + 0.5) * COLUMN;
  const picture = svg("svg", { xmlns: "http://www.w3.org/2000/svg", viewBox: `0 0 ${width} ${height}`, width, height, "font-family": "sans-serif", "font-size": 13 });
  picture.append(svg("rect", { width, height, fill: "#ffffff" }));
  for (const column of ladder.columns) {
    picture.append(
      svg("text", { x: x(column), y: 22, "text-anchor": "middle", "font-weight": "bold" }, column),
      svg("line", { x1: x(column), x2: x(column), y1: 32, y2: height - 8, stroke: "#b0b7c3" }));
  }
  ladder.rows.forEach((row, index) => {
    const y = ROW * (index + 1.6);
    if (row.row === "folded") {
      picture.append(svg("text", { x: 8, y, fill: "#5b6472", "data-row": "folded" }, `+${row.count}`));
      return;
    }
    const group = svg("g", { "data-row": "packet" });
    const label = `${row.step === null ? "" : `${row.step}. `}${say(row.title ?? row.name)}`;
    const first = row.hops[0];
    const left = first === undefined ? 0 : Math.min(...row.hops.flatMap((hop) => [x(hop.from), hop.to === "" ? x(hop.from) : x(hop.to)]));
    group.append(svg("text", { x: left + 6, y: y - 6 }, label));
    const below = turned(row.hops, ladder.columns);
    for (const [number, hop] of row.hops.entries()) {
      const at = y + (below[number] ?? 0);
      const to = hop.to === "" ? x(hop.from) : x(hop.to);
      const end = to + (to > x(hop.from) ? -8 : 8);
      const colour = COLOURS[hop.fate] ?? "#1f5fa8";
      group.append(svg("line", { x1: x(hop.from), x2: end, y1: at, y2: at, stroke: colour, "stroke-width": 1.6 }));
      const sign = SIGNS[hop.fate] ?? (to > x(hop.from) ? "▶" : "◀");
      group.append(svg("text", { x: end, y: at + 5, "text-anchor": "middle", fill: colour }, sign));
    }
    picture.append(group);
  });
  return new XMLSerializer().serializeToString(picture);
}
