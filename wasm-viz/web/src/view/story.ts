// What the scenario is about, what came of the run, and what was changed about it.

import { byId, h } from "../dom";
import { say, ui } from "../i18n";
import type { Store } from "../store";

/** Outcomes that fall short of a direct path. */
const SHORT: readonly string[] = ["relayed", "failed"];

export function storyView(root: HTMLElement, store: Store): void {
  const { page, notice } = store.state;
  const branch = page.branches[page.branch];
  const edits = (branch?.edits ?? []).map((edit, index) =>
    h("li", {}, say(edit.text), h("button", {
      type: "button",
      class: "remove",
      "aria-label": ui("story.remove", { edit: edit.text }),
      click: () => store.change((core) => core.unedit(index)),
    }, "✕")),
  );
  const branches = page.branches.length < 2 ? null : h("div", { class: "branches", role: "group", "aria-label": ui("story.branches") });
  page.branches.forEach((other, index) => {
    branches?.append(h("button", {
      type: "button",
      "aria-pressed": String(index === page.branch),
      title: other.edits.map((edit) => say(edit.text)).join("; ") || ui("story.unchanged"),
      click: () => store.change((core) => core.enter(index)),
    }, ui("story.run", { number: String(index + 1) })));
  });
  const opened = root.querySelector("details")?.open ?? false;
  root.replaceChildren(
    h("p", { class: "line" }, say(page.story)),
    h("div", { class: "where" },
      h("span", { class: `outcome ${branch?.outcome.kind ?? "none"}` }, branch === undefined ? "" : say(branch.outcome.text)),
      branch === undefined || !SHORT.includes(branch.outcome.kind) ? null : h("button", {
        type: "button",
        id: "remedies",
        click: () => store.set({ dialog: "remedies" }),
      }, ui("story.remedies")),
      h("ul", { class: "edits", "aria-label": ui("story.edits") }, ...edits),
      branches,
      page.errata.length === 0 ? null : h("details", { class: "errata", open: opened },
        h("summary", {}, ui("story.errata", { count: String(page.errata.length) })),
        h("ul", {}, ...page.errata.map((slip) => h("li", {}, say(slip))))),
    ),
  );
  byId("source").replaceChildren(page.source);
  if (notice !== null) {
    root.append(h("p", { class: "notice", role: "alert" }, say(notice), h("button", {
      type: "button",
      "aria-label": ui("story.dismiss"),
      click: () => store.set({ notice: null }),
    }, "✕")));
  }
}
