// The frame of the page: what is where, and who listens to whom.

import { announce } from "./a11y";
import type { Core } from "./core";
import { byId } from "./dom";
import { ui } from "./i18n";
import { onKey } from "./keys";
import { Store } from "./store";
import { acceptDrops } from "./trace";
import { bytesView } from "./view/bytes";
import { dialogView } from "./view/dialog";
import { headerView } from "./view/header";
import { knowsView } from "./view/knows";
import { ladderView } from "./view/ladder";
import { mapView } from "./view/map";
import { natView } from "./view/nat";
import { receiptView } from "./view/receipt";
import { storyView } from "./view/story";
import { tablesView } from "./view/tables";
import { transportView } from "./view/transport";

type View = (root: HTMLElement, store: Store) => void;

/** The panels in the order of reading, with the part of the page that each is in. */
const VIEWS: readonly [string, View][] = [
  ["header", headerView],
  ["story", storyView],
  ["map", mapView],
  ["ladder", ladderView],
  ["receipt", receiptView],
  ["tables", tablesView],
  ["knows", knowsView],
  ["bytes", bytesView],
  ["nat", natView],
  ["transport", transportView],
  ["dialog", dialogView],
];

export function start(core: Core): void {
  const store = new Store(core, location.hash);
  let opener = "";
  const draw = (): void => {
    const held = document.activeElement;
    if (held?.closest(".sheet") === null && held.id !== "") opener = held.id;
    document.documentElement.dataset["theme"] = store.state.theme;
    document.body.dataset["panel"] = store.state.panel;
    document.body.toggleAttribute("data-trace", store.state.page.trace !== null);
    document.title = ui("page.title");
    for (const [id, view] of VIEWS) view(byId(id), store);
    for (const part of document.body.children) part.toggleAttribute("inert", store.state.dialog !== null && part.id !== "dialog");
    // The focus stays where it was, though what had it was made anew; from a sheet it goes back to what opened that.
    if (held?.isConnected === false && document.activeElement === document.body) {
      (document.getElementById(held.id) ?? document.getElementById(opener))?.focus();
    }
    announce(store.state);
  };
  store.listen(draw);
  store.listen(() => {
    // A trace is nowhere but on this machine: no address leads to it.
    if (store.state.page.trace !== null) return;
    const fragment = `#${store.fragment()}`;
    if (fragment !== location.hash) history.replaceState(null, "", fragment);
  });
  addEventListener("hashchange", () => {
    const next = new Store(core, location.hash).state;
    store.set(next);
  });
  addEventListener("keydown", (event) => onKey(event, store));
  matchMedia("print").addEventListener("change", draw);
  acceptDrops(store);
  draw();
}
