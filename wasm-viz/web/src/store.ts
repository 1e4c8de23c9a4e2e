// The page's own state: what is selected and shown. Everything else is the core's.

import { Core, Refused } from "./core";
import type { Edit, Frame, Happening, Ladder, Page, Text } from "./frame";
import { type Language, setLanguage } from "./i18n";

export type Theme = "auto" | "light" | "dark";
export type Panel = "map" | "ladder" | "tables" | "bytes";
export const PANELS: readonly Panel[] = ["map", "ladder", "tables", "bytes"];

export interface State {
  page: Page;
  frame: Frame;
  ladder: Ladder;
  /** The packet that is marked in every panel. */
  journey: number | null;
  /** Every packet in the ladder, or the numbered steps only. */
  all: boolean;
  panel: Panel;
  language: Language;
  theme: Theme;
  predicting: boolean;
  /** A branch shown beside the current one. */
  beside: number | null;
  dialog: "help" | "matrix" | "export" | "race" | "remedies" | null;
  /** The NAT or the peer that is open for changes. */
  nat: string | null;
  notice: Text | null;
  /** Shows the step before the one that the open question is about. */
  asking: number | null;
}

type Listener = (state: State) => void;

export class Store {
  readonly #listeners: Listener[] = [];
  state: State;

  constructor(readonly core: Core, fragment: string) {
    const page = core.open(fragment);
    const all = page.view["all"] === "1";
    this.state = {
      page,
      frame: core.seek(page.cursor),
      ladder: core.ladder(all),
      journey: null,
      all,
      panel: PANELS.find((panel) => panel === page.view["p"]) ?? "ladder",
      language: page.view["l"] === "zh" ? "zh" : "en",
      theme: page.view["m"] === "light" || page.view["m"] === "dark" ? page.view["m"] : "auto",
      predicting: false,
      beside: null,
      dialog: null,
      nat: null,
      notice: page.notices[0] ?? null,
      asking: null,
    };
    this.state.journey = this.telling(this.state.frame)?.journey ?? null;
    const wanted = page.view["j"];
    if (wanted !== undefined) {
      try {
        core.bytes(Number(wanted));
        this.state.journey = Number(wanted);
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        this.state.notice = { key: "notice.link-value", with: { key: "j", value: wanted } };
      }
    }
    setLanguage(this.state.language);
  }

  listen(listener: Listener): void {
    this.#listeners.push(listener);
  }

  set(change: Partial<State>): void {
    this.state = { ...this.state, ...change };
    if (change.language !== undefined) setLanguage(change.language);
    for (const listener of this.#listeners) listener(this.state);
  }

  /** Goes to a step and marks the packet that it is about. */
  seek(index: number): void {
    const frame = this.core.seek(Math.max(0, index));
    const journey = this.telling(frame)?.journey ?? this.state.journey;
    this.set({ frame, journey, page: { ...this.state.page, cursor: frame.index }, asking: null });
  }

  /** On to the next step; where one predicts, to the question before it, and from there on to the step. */
  step(): void {
    const { frame, predicting, asking } = this.state;
    const question = predicting && asking === null ? this.core.question(frame.index + 1) : null;
    if (question === null) this.seek(frame.index + 1);
    else this.set({ asking: question.index, journey: question.journey });
  }

  /** The happening that a step is about: what was decided, else what was sent. */
  telling(frame: Frame): Happening | undefined {
    return frame.happenings.find((happening) => happening.verdict !== "sent") ?? frame.happenings[0];
  }

  /** Does something that changes the run; a refusal becomes a notice. */
  change(act: (core: Core) => Page): void {
    try {
      this.show(act(this.core));
    } catch (error) {
      this.refuse(error);
    }
  }

  /** Says why something was refused; what else went wrong goes on. */
  refuse(error: unknown): void {
    if (!(error instanceof Refused)) throw error;
    this.set({ notice: error.text, dialog: null });
  }

  show(page: Page): void {
    const frame = this.core.seek(page.cursor);
    const ladder = this.core.ladder(this.state.all);
    const journey = this.telling(frame)?.journey ?? null;
    this.set({ page, frame, ladder, journey, notice: page.notices[0] ?? null, asking: null });
  }

  edit(edits: Edit[]): void {
    this.change((core) => core.edit(edits));
  }

  showAll(all: boolean): void {
    this.set({ all, ladder: this.core.ladder(all) });
  }

  fragment(): string {
    const { all, language, theme, panel, journey } = this.state;
    const view: Record<string, string> = { l: language, p: panel };
    if (all) view["all"] = "1";
    if (theme !== "auto") view["m"] = theme;
    if (journey !== null) view["j"] = String(journey);
    return this.core.fragment(view);
  }
}
