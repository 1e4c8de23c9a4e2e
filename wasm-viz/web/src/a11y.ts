// What a screen reader hears: one sentence for each step, and none for the ones that were passed in a hurry.

import { byId } from "./dom";
import { say, ui } from "./i18n";
import type { State } from "./store";

let waiting: number | undefined;
const QUIET_MS = 150;

export function announce(state: State): void {
  const { frame, page, asking } = state;
  clearTimeout(waiting);
  waiting = window.setTimeout(() => {
    const at = ui("live.step", { index: String(frame.index + 1), length: String(page.length) });
    const text = asking === null ? `${at} ${say(frame.event)}` : at;
    const live = byId("live");
    if (live.textContent !== text) live.textContent = text;
  }, QUIET_MS);
}
