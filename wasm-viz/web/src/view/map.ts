// The networks as a picture: machines, the lines between them, what is on the lines and what was just decided.

import { h, svg } from "../dom";
import type { Fate, Flight, Machine } from "../frame";
import { say, ui } from "../i18n";
import type { Store } from "../store";
import { badge, numberOf } from "./badge";
import { type Plan, type Point, along, beside, plan, way } from "./place";
import { sign } from "./sign";
import { traceView } from "./trace";

const LEAST = 300;
let watched: HTMLElement | null = null;

export function mapView(root: HTMLElement, store: Store): void {
  watch(root, store);
  const { page, frame, asking } = store.state;
  if (page.trace !== null) return traceView(root, page, page.trace);
  const style = getComputedStyle(root);
  const room = root.clientWidth - Number.parseFloat(style.paddingLeft) - Number.parseFloat(style.paddingRight);
  const here = plan(page.machines, Math.max(LEAST, Math.floor(room)));
  const picture = svg("svg", { width: here.width, height: here.height, role: "group", "aria-label": ui("map.title") });
  for (const [a, b] of here.nets) picture.append(svg("line", { class: "net", x1: a.x, y1: a.y, x2: b.x, y2: b.y }));
  for (const machine of page.machines) picture.append(...wires(machine, here, page.machines));
  const telling = asking === null ? store.telling(frame) : undefined;
  const told = telling === undefined || telling.verdict === "sent" ? [] : way(page.machines, here, telling.from, telling.machine);
  const badges = new Badges(here);
  const lanes: string[] = [];
  const trails: SVGElement[] = [];
  const numbers: SVGElement[] = [];
  if (telling !== undefined && told.length > 0) {
    lanes.push(`${telling.from} ${telling.machine}`);
    trails.push(...trail(told, telling.verdict));
    numbers.push(...badges.put(told, 0.5, numberOf(page, telling.journey), telling.journey, store));
  }
  for (const flight of frame.flights) {
    const lane = `${flight.from} ${flight.to}`;
    if (!lanes.includes(lane)) lanes.push(lane);
    const points = beside(way(page.machines, here, flight.from, flight.to), lanes.indexOf(lane));
    if (points.length === 0) continue;
    const part = Math.min(0.8, Math.max(0.2, flight.progress / 1000));
    trails.unshift(...trail(points, "sent"));
    numbers.push(...badges.put(points, part, numberOf(page, flight.journey), flight.journey, store));
  }
  picture.append(...trails);
  for (const machine of page.machines) picture.append(box(machine, here, store));
  picture.append(...numbers);
  root.replaceChildren(h("h2", { class: "unseen" }, ui("map.heading")), picture, flightList(frame.flights, store));
}

/** Draws anew where the panel becomes wider or narrower. */
function watch(root: HTMLElement, store: Store): void {
  if (watched === root) return;
  watched = root;
  let width = root.clientWidth;
  new ResizeObserver(() => {
    if (root.clientWidth === width) return;
    width = root.clientWidth;
    mapView(root, store);
  }).observe(root);
}

function wires(machine: Machine, { spots }: Plan, machines: Machine[]): SVGElement[] {
  const spot = spots.get(machine.id);
  if (spot === undefined) return [];
  const wire = ([a, b]: [Point, Point]): SVGElement => svg("line", { class: "wire", x1: a.x, y1: a.y, x2: b.x, y2: b.y });
  const inhabited = machine.inside !== null && machines.some((other) => other.realm === machine.inside);
  return inhabited ? [wire(spot.out), wire(spot.into)] : [wire(spot.out)];
}

function box(machine: Machine, { spots, box: size }: Plan, store: Store): SVGElement {
  const { page, frame, asking } = store.state;
  const spot = spots.get(machine.id);
  const telling = asking === null ? store.telling(frame) : undefined;
  const nat = page.nats.find((known) => known.nat === machine.id);
  const here = telling?.machine === machine.id ? ` here ${telling.verdict}` : "";
  const group = svg("g", {
    class: `machine ${machine.kind}${here}`,
    transform: `translate(${spot?.x ?? 0} ${spot?.y ?? 0})`,
    "data-machine": machine.id,
    "data-box": true,
  });
  const middle = size.width / 2;
  group.append(
    svg("rect", { width: size.width, height: size.height, rx: machine.kind === "nat" ? 2 : 12 }),
    svg("text", { class: "name", x: middle, y: 18, "text-anchor": "middle" }, machine.id),
    svg("text", { class: "address", x: middle, y: 36, "text-anchor": "middle" }, machine.addresses[0] ?? ""),
  );
  if (nat !== undefined || machine.kind === "peer") {
    const open = (): void => store.set({ nat: machine.id });
    const change = ui("map.change", { nat: machine.id, kind: nat?.kind ?? { key: "machine.peer" } });
    group.append(svg("rect", {
      class: "cover-nat",
      id: `map-${machine.id}`,
      width: size.width,
      height: size.height,
      role: "button",
      tabindex: 0,
      "aria-label": change,
      click: open,
      keydown: (event) => {
        const { key } = event as KeyboardEvent;
        if (key !== "Enter" && key !== " ") return;
        event.preventDefault();
        event.stopPropagation();
        open();
      },
    }, svg("title", {}, change)));
  }
  return group;
}

/** The way of a packet with a sign at its end; dashed where it is not over. */
function trail(points: Point[], fate: Fate): SVGElement[] {
  const whole = along(points, fate === "lost" ? 0.6 : 1);
  const end = whole.at(-1);
  const before = whole.at(-2);
  if (end === undefined || before === undefined) return [];
  const turn = (Math.atan2(end.y - before.y, end.x - before.x) * 180) / Math.PI;
  return [
    svg("polyline", { class: `trail ${fate}`, points: whole.map((point) => `${point.x},${point.y}`).join(" ") }),
    svg("g", { transform: `translate(${end.x} ${end.y}) rotate(${turn})` }, sign(fate, "stop")),
  ];
}

/** Where the numbers of packets are: on their ways, and never over a machine or over one another. */
class Badges {
  readonly #taken: { x: number; y: number; width: number; height: number }[];

  constructor({ spots, box }: Plan) {
    this.#taken = Array.from(spots.values(), (spot) => ({ x: spot.x, y: spot.y, ...box }));
  }

  /** Puts one as near to its place as there is room; without room there is none, and the list has it. */
  put(points: Point[], part: number, text: string, journey: number, store: Store): SVGElement[] {
    const size = { width: Math.max(22, text.length * 8 + 10), height: 20 };
    for (const away of [0, 0.08, -0.08, 0.16, -0.16, 0.24, -0.24, 0.32, -0.32]) {
      const at = along(points, Math.min(0.92, Math.max(0.08, part + away))).at(-1);
      if (at === undefined) return [];
      const spot = { x: at.x - size.width / 2, y: Math.max(1, at.y - size.height / 2), ...size };
      if (this.#taken.some((other) => meet(other, spot))) continue;
      this.#taken.push(spot);
      const marked = journey === store.state.journey;
      return [svg("g", {
        class: marked ? "flight marked" : "flight",
        transform: `translate(${spot.x} ${spot.y})`,
        "data-journey": journey,
        "data-box": true,
        "data-on-line": true,
        click: () => store.set({ journey }),
      }, svg("rect", { ...size, rx: 10 }), svg("text", { x: size.width / 2, y: 15, "text-anchor": "middle" }, text))];
    }
    return [];
  }
}

function meet(a: { x: number; y: number; width: number; height: number }, b: typeof a): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

/** What is on the lines, in the order in which it arrives. */
function flightList(flights: Flight[], store: Store): HTMLElement {
  const { page, journey } = store.state;
  const items = flights.slice(0, 4).map((flight) =>
    h("li", {}, h("button", {
      type: "button",
      class: flight.journey === journey ? "packet marked" : "packet",
      title: `${flight.from} → ${flight.to}`,
      click: () => store.set({ journey: flight.journey }),
    }, badge(numberOf(page, flight.journey), flight.journey === journey), ` ${say(flight.packet.name)}`, h("span", { class: "unseen" }, ` ${flight.from} → ${flight.to}`))),
  );
  const more = flights.length - items.length;
  const rest = more > 0 ? h("li", { class: "more" }, ui("map.more", { count: String(more) })) : null;
  const none = flights.length === 0 ? h("li", { class: "more" }, ui("map.none")) : null;
  return h("div", { class: "flights" }, h("span", { class: "more" }, ui("map.flights")), h("ul", { "aria-label": ui("map.flights") }, ...items, rest, none));
}
