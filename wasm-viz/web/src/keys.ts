// The keyboard: every function has a key; the ones of a lecturer's clicker are among them.

import { PANELS, type Store } from "./store";

type Act = (store: Store) => void;

/** What a slider takes for itself. */
const MOVES: readonly string[] = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"];

const milestone = (store: Store, way: 1 | -1): void => {
  const { page, frame } = store.state;
  const marks = page.milestones.map((mark) => mark.index);
  const next =
    way === 1 ? marks.find((index) => index > frame.index) : marks.reverse().find((index) => index < frame.index);
  store.seek(next ?? (way === 1 ? page.length - 1 : 0));
};

export const KEYS: Record<string, Act> = {
  ArrowRight: (store) => store.step(),
  ArrowLeft: (store) => store.seek(store.state.frame.index - 1),
  "Shift+ArrowRight": (store) => milestone(store, 1),
  "Shift+ArrowLeft": (store) => milestone(store, -1),
  PageDown: (store) => milestone(store, 1),
  PageUp: (store) => milestone(store, -1),
  ".": (store) => milestone(store, 1),
  Home: (store) => store.seek(0),
  End: (store) => store.seek(store.state.page.length - 1),
  a: (store) => store.showAll(!store.state.all),
  d: (store) => dropMarked(store),
  p: (store) => store.set({ predicting: !store.state.predicting }),
  c: (store) => compare(store),
  x: (store) => part(store),
  m: (store) => store.set({ dialog: "matrix" }),
  r: (store) => store.set({ dialog: "race" }),
  e: (store) => store.set({ dialog: "export" }),
  l: (store) => store.set({ language: store.state.language === "en" ? "zh" : "en" }),
  t: (store) => store.set({ theme: store.state.theme === "dark" ? "light" : "dark" }),
  "?": (store) => store.set({ dialog: "help" }),
  Escape: (store) => store.set({ dialog: null, nat: null, beside: null, asking: null }),
};

/** Drops the packet that is marked, from where it was first put on a line. */
export function dropMarked(store: Store): void {
  const { journey } = store.state;
  if (journey !== null) store.edit([{ at: 0, action: fault(journey, "drop") }]);
}

export function fault(journey: number, effect: unknown, realm?: string): Record<string, unknown> {
  const pick = realm === undefined ? { journey } : { journey, realm };
  return { do: "fault", pick, effect };
}

/** Shows the branch that this one was made from beside it, or ends that. */
export function compare(store: Store): void {
  const { page, beside } = store.state;
  const parent = page.branches[page.branch]?.parent ?? null;
  const other = parent ?? page.branches.findIndex((_, index) => index !== page.branch);
  store.set({ beside: beside === null && other >= 0 ? other : null });
}

/** Goes to the first step in which the run and the one beside it differ. */
export function part(store: Store): void {
  if (store.state.beside === null) compare(store);
  const { beside } = store.state;
  const parted = beside === null ? null : store.core.divergence(beside);
  if (parted !== null) store.seek(parted);
}

export function onKey(event: KeyboardEvent, store: Store): void {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const target = event.target as HTMLElement | null;
  const typing = target?.closest("input, select, textarea") !== null && target?.getAttribute("type") !== "range";
  const sliding = target?.getAttribute("type") === "range" || target?.getAttribute("role") === "slider";
  if (typing && event.key !== "Escape") return;
  const digit = Number.parseInt(event.key, 10);
  if (store.state.asking !== null && digit > 0) {
    document.querySelectorAll<HTMLElement>(".quiz .choice")[digit - 1]?.click();
    return;
  }
  const panel = PANELS[digit - 1];
  if (panel !== undefined) {
    store.set({ panel });
    document.getElementById(panel)?.focus();
    return;
  }
  const name = event.shiftKey && event.key.startsWith("Arrow") ? `Shift+${event.key}` : event.key;
  const act = KEYS[name] ?? KEYS[name.toLowerCase()];
  if (act === undefined || (sliding && MOVES.includes(name))) return;
  event.preventDefault();
  act(store);
}
