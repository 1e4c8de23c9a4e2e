// Where everything on the map is: machines below the network that they are in, and the ways between them.

import type { Machine } from "../frame";

export interface Point {
  x: number;
  y: number;
}

/** A machine on the map: its box, and where it touches the network that it is in and the one that it makes. */
interface Spot extends Point {
  /** From the box to the network outside. */
  out: [Point, Point];
  /** From the box to the network inside. */
  into: [Point, Point];
}

export interface Plan {
  width: number;
  height: number;
  box: { width: number; height: number };
  spots: Map<string, Spot>;
  /** The networks, each as a line. */
  nets: [Point, Point][];
}

const HEIGHT = 44;
const STUB = 24;
/** The widest letters of an address and of a name. */
const LETTER = 7.7;
const NAME = 9;
const INDENT = 30;

/** Places everything: side by side below the networks where there is room for it, else one below the other. */
export function plan(machines: Machine[], width: number): Plan {
  const longest = Math.max(...machines.flatMap((machine) => [machine.id.length * NAME, (machine.addresses[0] ?? "").length * LETTER]));
  const box = { width: Math.max(72, Math.ceil(longest) + 14), height: HEIGHT };
  const members = (realm: string | null): Machine[] => machines.filter((machine) => machine.realm === realm);
  const outermost = machines.filter((machine) => !machines.some((other) => other.inside !== null && other.inside === machine.realm));
  const leaves = (machine: Machine): number =>
    Math.max(1, members(machine.inside).reduce((sum, inner) => sum + leaves(inner), 0));
  const columns = outermost.reduce((sum, machine) => sum + leaves(machine), 0);
  const pitch = Math.min(width / columns, box.width * 2);
  const spots = new Map<string, Spot>();
  const nets: [Point, Point][] = [];
  const beside = box.width + 8 <= pitch;

  /** Puts machines below their network from column `column` on; the deepest edge that they reach. */
  const below = (list: Machine[], column: number, bus: number): number => {
    const middle = width / 2 - (columns * pitch) / 2;
    let deepest = bus;
    for (const machine of list) {
      const span = leaves(machine);
      const x = middle + (column + span / 2) * pitch;
      const y = bus + STUB;
      const foot = y + HEIGHT;
      spots.set(machine.id, {
        x: x - box.width / 2, y,
        out: [{ x, y }, { x, y: bus }],
        into: [{ x, y: foot }, { x, y: foot + STUB }],
      });
      const inner = machine.inside === null ? [] : members(machine.inside);
      deepest = Math.max(deepest, inner.length === 0 ? foot : below(inner, column, foot + STUB));
      if (inner.length > 0) {
        const ends = inner.map((below) => spots.get(below.id)?.out[1].x ?? x);
        nets.push([{ x: Math.min(x, ...ends), y: foot + STUB }, { x: Math.max(x, ...ends), y: foot + STUB }]);
      }
      column += span;
    }
    return deepest;
  };

  /** Puts machines to the right of their network, one below the other; the line that comes after them. */
  const after = (list: Machine[], bus: number, top: number): number => {
    for (const machine of list) {
      const x = bus + STUB;
      const y = top + HEIGHT / 2;
      const inner = machine.inside === null ? [] : members(machine.inside);
      spots.set(machine.id, {
        x, y: top,
        out: [{ x, y }, { x: bus, y }],
        into: [{ x: bus + INDENT + STUB / 2, y: top + HEIGHT }, { x: bus + INDENT + STUB / 2, y: top + HEIGHT + 4 }],
      });
      top += HEIGHT + 10;
      if (inner.length === 0) continue;
      const from = top;
      top = after(inner, bus + INDENT + STUB / 2, top);
      const last = spots.get(inner.at(-1)?.id ?? "")?.out[1].y ?? from;
      nets.push([{ x: bus + INDENT + STUB / 2, y: from - 10 }, { x: bus + INDENT + STUB / 2, y: last }]);
    }
    return top;
  };

  if (beside) {
    const bus = 16;
    nets.push([{ x: 8, y: bus }, { x: width - 8, y: bus }]);
    return { width, height: below(outermost, 0, bus) + 4, box, spots, nets };
  }
  const bus = 12;
  const height = after(outermost, bus, 22);
  const last = outermost.at(-1);
  nets.push([{ x: bus, y: 4 }, { x: bus, y: (last === undefined ? undefined : spots.get(last.id)?.out[1].y) ?? height }]);
  return { width, height, box, spots, nets };
}

/** The way from one machine to another in the network that they share. */
export function way(machines: Machine[], plan: Plan, from: string, to: string): Point[] {
  const [a, b] = [from, to].map((id) => machines.find((machine) => machine.id === id));
  const [start, end] = [plan.spots.get(from), plan.spots.get(to)];
  if (a === undefined || b === undefined || start === undefined || end === undefined) return [];
  const leave = a.inside !== null && a.inside === b.realm ? start.into : start.out;
  const enter = b.inside !== null && b.inside === a.realm ? end.into : end.out;
  return [...leave, ...enter.toReversed()];
}

/** A way beside the line instead of on it, so that those that go the same way are told apart. */
export function beside(points: Point[], lane: number): Point[] {
  const away = [0, 7, -7][lane % 3] ?? 0;
  return points.map(({ x, y }, at) => {
    const next = points[at === 0 ? 1 : at - 1];
    const inner = at > 0 && at < points.length - 1;
    // The ends keep to the edge of their machine.
    return { x: inner || next?.x === x ? x + away : x, y: inner || next?.x !== x ? y + away : y };
  });
}

/** The point after `part` of a way's length, and the way up to there. */
export function along(points: Point[], part: number): Point[] {
  const whole = length(points);
  let left = whole * part;
  const walked: Point[] = points.slice(0, 1);
  for (let next = 1; next < points.length; next += 1) {
    const [a, b] = [points[next - 1], points[next]];
    if (a === undefined || b === undefined) break;
    const step = Math.hypot(b.x - a.x, b.y - a.y);
    if (step >= left) {
      const share = step === 0 ? 0 : left / step;
      return [...walked, { x: a.x + (b.x - a.x) * share, y: a.y + (b.y - a.y) * share }];
    }
    left -= step;
    walked.push(b);
  }
  return walked;
}

function length(points: Point[]): number {
  return points.slice(1).reduce((sum, point, at) => {
    const before = points[at] ?? point;
    return sum + Math.hypot(point.x - before.x, point.y - before.y);
  }, 0);
}
