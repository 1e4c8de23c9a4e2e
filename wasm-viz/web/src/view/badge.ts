// The sign of a packet: the same number in the same shape wherever the packet is spoken of.

import { h } from "../dom";
import type { Page } from "../frame";

/** The number that the scenario's text gives a packet, else the one in which order it was made. */
export function numberOf(page: Page, journey: number): string {
  const step = page.milestones.find((mark) => mark.journey === journey)?.step ?? "-";
  return step === "-" ? `#${journey}` : step;
}

export function badge(number: string, marked: boolean): HTMLElement {
  return h("b", { class: marked ? "badge marked" : "badge" }, number);
}
