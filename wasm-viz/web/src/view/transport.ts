// Where one is in the run, and how to move.

import { h } from "../dom";
import { say, ui } from "../i18n";
import { KEYS } from "../keys";
import type { Store } from "../store";

let playing: number | undefined;
const PLAY_MS = 700;

export function transportView(root: HTMLElement, store: Store): void {
  const { frame, page, asking } = store.state;
  const press = (id: string, key: string, sign: string, name = id): HTMLElement =>
    h("button", { type: "button", id, "aria-label": ui(`transport.${name}`), title: ui(`transport.${name}`), click: () => KEYS[key]?.(store) }, sign);
  const spoken = asking === null ? say(frame.event) : "";
  const play = press("play", " ", playing === undefined ? "▶" : "❚❚", playing === undefined ? "play" : "pause");
  play.setAttribute("aria-pressed", String(playing !== undefined));
  const slider = h("input", {
    type: "range",
    id: "slider",
    min: 0,
    max: Math.max(0, page.length - 1),
    value: frame.index,
    "aria-label": ui("transport.slider"),
    "aria-valuetext": `${ui("live.step", { index: String(frame.index + 1), length: String(page.length) })} ${spoken}`,
    input: (event) => store.seek(Number((event.target as HTMLInputElement).value)),
  });
  root.replaceChildren(
    press("first", "Home", "|«"),
    press("milestone-back", "Shift+ArrowLeft", "«"),
    press("back", "ArrowLeft", "‹"),
    play,
    press("next", "ArrowRight", "›"),
    press("milestone-next", "Shift+ArrowRight", "»"),
    press("last", "End", "»|"),
    slider,
    h("output", { id: "where" }, ui("transport.where", {
      index: String(frame.index + 1), length: String(page.length), ms: (frame.time / 1000).toFixed(1),
    })),
  );
}

export function toggle(store: Store): void {
  if (playing !== undefined) {
    clearInterval(playing);
    playing = undefined;
    store.set({});
    return;
  }
  playing = window.setInterval(() => {
    store.step();
    const { frame, page, asking } = store.state;
    if (frame.index + 1 >= page.length || asking !== null) toggle(store);
  }, PLAY_MS);
  store.set({});
}

KEYS[" "] = toggle;
