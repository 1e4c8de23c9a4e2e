// What the core says: the shapes of its JSON. Times are microseconds of virtual time, indexes count the
// steps of a run. Every sentence is a `Text`: a key and what goes into its template.

export interface Text {
  key: string;
  with?: Record<string, string | Text | Text[]>;
}

export interface Catalogue {
  scenarios: { id: string; title: Text; source: string }[];
  presets: Choice[];
  /** What a peer may be left to try. */
  strategies: string[];
  lessons: Lesson[];
}

/** Scenarios to learn from, the main one first; those of no lesson come last, without a number. */
export interface Lesson {
  number: number | null;
  title: Text;
  scenarios: string[];
}

export interface Choice {
  id: string;
  name: Text;
}

export interface Page {
  scenario: string;
  title: Text;
  story: Text;
  source: string;
  errata: Text[];
  machines: Machine[];
  nats: Nat[];
  branches: Branch[];
  branch: number;
  length: number;
  milestones: Milestone[];
  cursor: number;
  view: Record<string, string>;
  notices: Text[];
  trace: Trace | null;
}

/** A trace of a real program, where that is shown instead of a scenario. */
export interface Trace {
  file: string;
  facts: Text[];
}

export interface Machine {
  id: string;
  kind: "peer" | "server" | "nat" | "host";
  addresses: string[];
  realm: string;
  inside: string | null;
}

export interface Nat {
  nat: string;
  kind: Text;
  vector: Text[];
  fields: NatField[];
}

export interface NatField {
  id: string;
  name: Text;
  source: string;
  value: string;
  shown: Text;
  values: { value: string; name: Text }[];
  range: [number, number] | null;
  optional: boolean;
}

export interface Branch {
  parent: number | null;
  edits: { text: Text; at: number }[];
  outcome: Outcome;
  length: number;
  digest: string;
}

export interface Outcome {
  kind: "direct" | "relayed" | "failed" | "none" | "unknown";
  text: Text;
}

export interface Milestone {
  index: number;
  journey: number;
  step: string;
  text: Text;
}

export type Fate = "sent" | "passed" | "delivered" | "dropped" | "answered" | "lost";

export interface Frame {
  index: number;
  time: number;
  event: Text;
  happenings: Happening[];
  flights: Flight[];
  tables: Table[];
  knows: Knows[];
  server: Text | null;
}

export interface Happening {
  id: number;
  journey: number;
  machine: string;
  from: string;
  packet: PacketLine;
  verdict: Fate;
  text: Text;
  checks: Check[];
  row: string | null;
  column: "remotes" | "external" | null;
}

export interface Check {
  held: boolean;
  decisive: boolean;
  text: Text;
  found: Text;
  against: Text;
  source: string;
}

export interface PacketLine {
  name: Text;
  source: string;
  destination: string;
  octets: number;
  transport: string;
}

export interface Flight {
  journey: number;
  from: string;
  to: string;
  packet: PacketLine;
  progress: number;
}

export interface Table {
  nat: string;
  rows: Row[];
}

export type RowState = "created" | "refreshed" | "standing" | "expiring" | "expired";

export interface Row {
  id: string;
  transport: string;
  internal: string;
  external: string;
  key: Text;
  state: RowState;
  left: number;
  sessions: { remote: string; state: RowState; left: number }[];
}

export interface Knows {
  machine: string;
  facts: { text: Text; fresh: boolean }[];
}

export interface Ladder {
  columns: string[];
  rows: LadderRow[];
  length: number;
}

export type TraceRow = PacketRow | { row: "note"; index: number; time: number; text: Text };

export type LadderRow = PacketRow | { row: "folded"; count: number; index: number; first: number; last: number };

export interface PacketRow {
  row: "packet";
  journey: number;
  index: number;
  ended: number | null;
  time: number;
  step: string | null;
  title: Text | null;
  name: Text;
  transport: string;
  hops: Hop[];
}

export interface Hop {
  from: string;
  to: string;
  sent: number;
  arrived: number | null;
  source: string;
  destination: string;
  fate: Fate;
  record: number;
  text: Text | null;
}

export interface Bytes {
  journey: number;
  name: Text;
  captures: { place: Text; index: number; octets: string; layers: Field[]; changed: [number, number][] }[];
  opened: { by: string; octets: string; fields: Field[] } | null;
  closed: Text | null;
}

export interface Field {
  name: string;
  at: number;
  length: number;
  value: string;
  parts?: Field[];
}

export interface Edit {
  at: number;
  action: Record<string, unknown>;
}

export interface Suggestion {
  text: Text;
  edits: Edit[];
  fate: Fate;
}

export interface Arrival {
  journey: number;
  text: Text;
  edits: Edit[];
}

export interface Question {
  index: number;
  journey: number;
  text: Text;
  choices: { text: Text }[];
}

export interface Graded {
  right: boolean;
  answer: number;
  text: Text;
}

export interface Cell {
  a: string;
  b: string;
  outcome: Outcome;
  digest: string;
  fragment: string;
}
