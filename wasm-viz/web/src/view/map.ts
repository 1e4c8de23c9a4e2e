// The networks as a picture: machines, the lines between them, and what is on the lines.

import { h, svg } from "../dom";
import type { Flight, Machine } from "../frame";
import { say, ui } from "../i18n";
import type { Store } from "../store";
import { traceView } from "./trace";

interface Spot {
  x: number;
  y: number;
}

/** What a machine needs beside its neighbours, and the least for all of them. */
const COLUMN = 144;
const LEAST = 720;
const ROW = 92;
const BOX = { width: 132, height: 52 };

export function mapView(root: HTMLElement, store: Store): void {
  const { page, frame, journey } = store.state;
  if (page.trace !== null) return traceView(root, page, page.trace);
  const width = Math.max(LEAST, COLUMN * page.machines.length);
  const spots = place(page.machines, width);
  const height = Math.max(...Array.from(spots.values(), (spot) => spot.y)) + BOX.height + 6;
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": ui("map.title") });
  for (const machine of page.machines) {
    const upper = page.machines.find((other) => other.inside !== null && other.inside === machine.realm);
    const from = spots.get(machine.id);
    const to = upper === undefined ? null : spots.get(upper.id);
    if (from !== undefined && to !== null && to !== undefined) picture.append(line(from, to));
  }
  const top = page.machines.filter((machine) => !page.machines.some((other) => other.inside === machine.realm));
  const bus = 20;
  picture.append(svg("line", { class: "net", x1: 20, x2: width - 20, y1: bus, y2: bus }));
  picture.append(svg("text", { class: "net-name", x: width - 20, y: bus - 6, "text-anchor": "end" }, ui("map.internet")));
  for (const machine of top) {
    const spot = spots.get(machine.id);
    if (spot !== undefined) picture.append(line(spot, { x: spot.x, y: bus - BOX.height / 2 }));
  }
  for (const machine of page.machines) {
    const spot = spots.get(machine.id);
    if (spot !== undefined) picture.append(box(machine, spot, store));
  }
  for (const flight of frame.flights) picture.append(...dot(flight, spots, flight.journey === journey, store));
  root.replaceChildren(h("h2", {}, ui("map.heading")), picture, flightList(frame.flights, store));
}

/** Machines of the internet in the first row; each network behind a NAT one row below it. */
function place(machines: Machine[], width: number): Map<string, Spot> {
  const depth = (machine: Machine): number => {
    const upper = machines.find((other) => other.inside !== null && other.inside === machine.realm);
    return upper === undefined ? 0 : depth(upper) + 1;
  };
  const spots = new Map<string, Spot>();
  machines.forEach((machine, column) => {
    const x = ((column + 0.5) / machines.length) * width;
    spots.set(machine.id, { x, y: 44 + depth(machine) * ROW });
  });
  return spots;
}

function line(from: Spot, to: Spot): SVGElement {
  const half = BOX.height / 2;
  return svg("line", { class: "wire", x1: from.x, y1: from.y + half, x2: to.x, y2: to.y + half });
}

function box(machine: Machine, spot: Spot, store: Store): SVGElement {
  const { page, frame } = store.state;
  const telling = store.telling(frame);
  const nat = page.nats.find((known) => known.nat === machine.id);
  const group = svg("g", {
    class: `machine ${machine.kind}${telling?.machine === machine.id ? " here" : ""}`,
    transform: `translate(${spot.x - BOX.width / 2} ${spot.y})`,
    "data-machine": machine.id,
  });
  group.append(
    svg("rect", { width: BOX.width, height: BOX.height, rx: machine.kind === "nat" ? 2 : 10 }),
    svg("text", { class: "name", x: BOX.width / 2, y: 20, "text-anchor": "middle" }, machine.id),
    svg("text", { class: "address", x: BOX.width / 2, y: 40, "text-anchor": "middle" }, machine.addresses[0] ?? ""),
  );
  if (nat !== undefined) {
    const open = (): void => store.set({ nat: machine.id });
    group.append(svg("rect", {
      class: "cover-nat",
      width: BOX.width,
      height: BOX.height,
      role: "button",
      tabindex: 0,
      "aria-label": ui("map.change", { nat: machine.id, kind: nat.kind }),
      click: open,
      keydown: (event) => {
        const { key } = event as KeyboardEvent;
        if (key !== "Enter" && key !== " ") return;
        event.preventDefault();
        event.stopPropagation();
        open();
      },
    }));
  }
  return group;
}

function dot(flight: Flight, spots: Map<string, Spot>, marked: boolean, store: Store): SVGElement[] {
  const from = spots.get(flight.from);
  const to = spots.get(flight.to);
  if (from === undefined || to === undefined) return [];
  const part = Math.min(0.85, Math.max(0.15, flight.progress / 1000));
  const half = BOX.height / 2;
  const x = from.x + (to.x - from.x) * part;
  const y = from.y + (to.y - from.y) * part + half + 30;
  const group = svg("g", { class: `flight${marked ? " marked" : ""}`, click: () => store.set({ journey: flight.journey }) });
  group.append(
    svg("circle", { cx: x, cy: y, r: marked ? 8 : 6 }),
    svg("title", {}, `${say(flight.packet.name)} ${flight.packet.source} → ${flight.packet.destination}`),
  );
  return [group];
}

function flightList(flights: Flight[], store: Store): HTMLElement {
  const items = flights.slice(0, 6).map((flight) =>
    h("li", {}, h("button", {
      type: "button",
      class: flight.journey === store.state.journey ? "packet marked" : "packet",
      click: () => store.set({ journey: flight.journey }),
    }, `${say(flight.packet.name)}: ${flight.from} → ${flight.to}`)),
  );
  const more = flights.length - items.length;
  const rest = more > 0 ? h("li", { class: "more" }, ui("map.more", { count: String(more) })) : null;
  return h("ul", { class: "flights", "aria-label": ui("map.flights") }, ...items, rest);
}
