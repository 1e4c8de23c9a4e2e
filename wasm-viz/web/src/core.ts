// The core: the project's own Rust, as WebAssembly. One call, JSON in and JSON out.

import type {
  Arrival, Bytes, Catalogue, Cell, Edit, Frame, Graded, Ladder, Page, Question, Suggestion, Text, TraceRow,
} from "./frame";

/** What the wasm module exports, as wasm-bindgen writes it. */
export interface Viz {
  call(method: string, argument: string): string;
  any(method: string, argument: string): string;
  octets(kind: string): Uint8Array;
  open_trace(name: string, file: Uint8Array): string;
}

/** A refusal of the core, which says why. */
export class Refused extends Error {
  constructor(readonly text: Text) {
    super(text.key);
  }
}

export class Core {
  readonly #viz: Viz;
  readonly #load: () => Promise<unknown>;
  #loaded = false;
  #kind: "call" | "any" = "call";

  /** `load` brings what the calls need that read or write files. */
  constructor(viz: Viz, load: () => Promise<unknown>) {
    this.#viz = viz;
    this.#load = load;
  }

  catalogue = (): Catalogue => this.#call("catalogue", null);
  /** Opens what an address fragment names; `notices` says what of it was not understood. */
  open = (fragment: string): Page => this.#call("open", fragment);
  seek = (index: number): Frame => this.#call("seek", index);
  ladder = (all: boolean): Ladder => this.#call("ladder", all);
  bytes = (journey: number): Bytes => this.#call("bytes", journey);
  /** Makes a branch with more edits and goes there. */
  edit = (edits: Edit[]): Page => this.#call("edit", edits);
  /** Makes a branch without an edit and goes there. */
  unedit = (edit: number): Page => this.#call("unedit", edit);
  preset = (nat: string, preset: string): Page => this.#call("preset", [nat, preset]);
  enter = (branch: number): Page => this.#call("enter", branch);
  divergence = (branch: number): number | null => this.#call("divergence", branch);
  beside = (branch: number, index: number): Frame | null => this.#call("beside", [branch, index]);
  besideLadder = (branch: number, all: boolean): Ladder | null => this.#call("beside_ladder", [branch, all]);
  suggestions = (record: number): Suggestion[] => this.#call("suggestions", record);
  /** The smallest changes that would have made the run end in a direct path. */
  remedies = (): Suggestion[] => this.#call("remedies", null);
  arrivals = (): Arrival[] => this.#call("arrivals", null);
  question = (index: number): Question | null => this.#call("question", index);
  grade = (index: number, choice: number): Graded => this.#call("grade", [index, choice]);
  cell = (a: string, b: string): Cell => this.#call("cell", [a, b]);
  fragment = (view: Record<string, string>): string => this.#call("fragment", view);
  text = (all: boolean): string => this.#call("text", all);
  capture = async (): Promise<Uint8Array> => {
    await this.#files();
    const file = this.#viz.octets("pcapng");
    if (file.length === 0) throw new Refused({ key: "notice.trace.fixed" });
    return file;
  };
  digest = (): string => this.#call("digest", null);
  /** Opens a trace; what makes it none is a refusal, and nothing changes. */
  import = async (name: string, file: Uint8Array): Promise<Page> => {
    await this.#files();
    this.#kind = "any";
    return answer(this.#viz.open_trace(name, file));
  };
  /** The most octets of a trace. */
  traceLimit = (): number => this.#call("trace_limit", null);
  /** The rows of a trace's ladder from one to before another. */
  rows = (from: number, to: number): TraceRow[] => this.#call("rows", [from, to]);
  /** Closes the trace; the scenario is as it was. */
  close = (): Page => this.#call("close", null);

  /** Makes sure that files can be read and written; that they cannot is a refusal, and the next call tries again. */
  async #files(): Promise<void> {
    try {
      if (!this.#loaded) await this.#load();
      this.#loaded = true;
    } catch {
      throw new Refused({ key: "notice.part" });
    }
  }

  #call<T>(method: string, argument: unknown): T {
    return answer(this.#viz[this.#kind](method, JSON.stringify(argument)));
  }
}

function answer<T>(json: string): T {
  const found = JSON.parse(json) as { ok: T } | { refused: Text };
  if ("refused" in found) throw new Refused(found.refused);
  return found.ok;
}
