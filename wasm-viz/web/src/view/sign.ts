// What became of a packet, as a shape: the same in the map and in the ladder, told apart without colour.

import { svg } from "../dom";
import type { Fate } from "../frame";

/** A shape whose tip is at the origin and which points to the right. */
const SHAPES: Record<Fate, string> = {
  sent: "M-9-5L-1 0L-9 5",
  passed: "M-10-5.5L-1 0L-10 5.5Z",
  delivered: "M-11 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0Z",
  dropped: "M-13-6L-1 6M-13 6L-1-6",
  answered: "M-13-6L-1 6M-13 6L-1-6M-16-8V8",
  lost: "M-5-6L5 6M-5 6L5-6",
};

export function sign(fate: Fate, name: string): SVGElement {
  return svg("path", { class: `${name} ${fate}`, d: SHAPES[fate] });
}
