// Hops of one packet that run there and back over the same columns.

import type { Hop } from "../frame";

/** How far below its row's line each hop is drawn: the way back does not lie on the way there. */
export function turned(hops: Hop[], columns: string[]): number[] {
  const right = hops.map((hop) => columns.indexOf(hop.to) > columns.indexOf(hop.from));
  if (!right.includes(!right[0])) return hops.map(() => 0);
  return right.map((way) => (way === right[0] ? -TURN : TURN));
}

const TURN = 4;
