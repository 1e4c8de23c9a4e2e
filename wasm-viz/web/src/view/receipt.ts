// Why: the checks behind what a machine did, in order, with what was compared; and what would have helped.

import { h } from "../dom";
import type { Check, Happening, Suggestion } from "../frame";
import { say, ui } from "../i18n";
import type { Store } from "../store";
import { badge, numberOf } from "./badge";

const cache = new Map<string, Suggestion[]>();

export function receiptView(root: HTMLElement, store: Store): void {
  const { frame, asking } = store.state;
  const heading = h("h2", { class: "unseen" }, ui("receipt.heading"));
  if (asking !== null) {
    root.replaceChildren(heading, quiz(store, asking));
    return;
  }
  const telling = store.telling(frame);
  if (telling === undefined) {
    root.replaceChildren(heading, h("p", {}, say(frame.event)), next(store));
    return;
  }
  root.replaceChildren(
    heading,
    h("p", { class: "packet-line" },
      badge(numberOf(store.state.page, telling.journey), telling.journey === store.state.journey),
      h("code", {}, `${telling.packet.source} → ${telling.packet.destination}`)),
    h("p", { class: `verdict ${telling.verdict}` }, say(telling.text)),
    telling.checks.length === 0 ? "" : checks(telling.checks),
    helps(telling, store) ?? "",
    next(store),
  );
}

/** The checks as a table: what each says, what the packet has, what that was compared with, where it is written. */
function checks(list: Check[]): HTMLElement {
  const [found, against] = [ui("receipt.found"), ui("receipt.against")];
  const items = list.map((check) =>
    h("li", { class: `${check.held ? "held" : "failed"}${check.decisive ? " decisive" : ""}`, role: "row" },
      h("span", { class: "sign", role: "cell", "aria-label": ui(check.held ? "receipt.held" : "receipt.failed") }, check.held ? "✓" : "✗"),
      h("span", { class: "says", role: "cell" }, say(check.text)),
      h("span", { class: "operand", role: "cell", "data-label": found }, say(check.found)),
      h("span", { class: "operand", role: "cell", "data-label": against }, say(check.against)),
      h("small", { role: "cell" }, check.source)),
  );
  return h("ol", { class: "checks", role: "table", "aria-label": ui("receipt.heading") }, ...items);
}

/** The smallest changes that let the packet pass, each tried. */
function helps(telling: Happening, store: Store): HTMLElement | null {
  if (telling.verdict !== "dropped" && telling.verdict !== "answered") return null;
  const { page } = store.state;
  const key = `${page.scenario} ${page.branches[page.branch]?.digest ?? ""} ${telling.id}`;
  const known = cache.get(key);
  if (known === undefined) {
    return h("button", {
      type: "button",
      id: "why-not",
      click: () => {
        cache.set(key, store.core.suggestions(telling.id));
        store.set({});
      },
    }, ui("receipt.ask"));
  }
  const branch = page.branches[page.branch];
  const items = known.map((suggestion) =>
    h("li", {}, h("button", {
      type: "button",
      class: "suggestion",
      click: () => store.edit(suggestion.edits.slice(branch?.edits.length ?? 0)),
    }, say(suggestion.text))),
  );
  return h("div", { class: "helps" },
    h("h3", {}, ui(items.length === 0 ? "receipt.nothing" : "receipt.helps")),
    h("ul", {}, ...items));
}

/** On to the next step; where one predicts, by way of a question. */
function next(store: Store): HTMLElement {
  const { frame, page, predicting } = store.state;
  if (frame.index + 1 >= page.length) return h("p", { class: "end" }, ui("receipt.end"));
  const question = predicting ? store.core.question(frame.index + 1) : null;
  if (question === null) return h("span", {});
  return h("button", { type: "button", id: "ask", click: () => store.step() }, ui("receipt.predict"));
}

function quiz(store: Store, index: number): HTMLElement {
  const question = store.core.question(index);
  if (question === null) return h("p", {}, ui("receipt.end"));
  const answer = h("p", { class: "answer", role: "status" });
  const choices = question.choices.map((choice, number) =>
    h("li", {}, h("button", {
      type: "button",
      class: "choice",
      click: () => {
        const graded = store.core.grade(index, number);
        answer.className = `answer ${graded.right ? "right" : "wrong"}`;
        answer.replaceChildren(
          ui(graded.right ? "quiz.right" : "quiz.wrong", { answer: question.choices[graded.answer]?.text ?? { key: "question.over" } }),
          " ", say(graded.text), " ",
          h("button", { type: "button", id: "go-on", click: () => store.step() }, ui("quiz.on")),
        );
        answer.querySelector<HTMLElement>("#go-on")?.focus();
      },
    }, say(choice.text))),
  );
  return h("div", { class: "quiz" }, h("p", {}, say(question.text)), h("ol", {}, ...choices), answer);
}
