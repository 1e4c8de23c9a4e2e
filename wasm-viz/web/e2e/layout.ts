// What a picture of the page must not show, found by measuring what the browser drew.

import type { Page } from "@playwright/test";

/** The smallest text, in pixels as drawn. */
export const SMALLEST = 13;
/** The most words in the first view. */
export const MOST_WORDS = 60;

/**
 * What is wrong with what the page shows. Looked at are all lines of text in the document, not only those in
 * the window:
 *
 * - *overlap*: two lines of different texts, or a text and an arrow, share more than a pixel or two;
 * - *clipped*: a text reaches beyond a box that hides what is outside it, or beyond the machine that it names;
 * - *small*: a text is drawn with less than `SMALLEST` pixels, whatever scales it;
 * - *sideways*: the document or a part of it must be scrolled to the side;
 * - *wordy*: more than `MOST_WORDS` words are in the first view. A word is a run of letters; two Chinese
 *   characters count as one. Numbers, addresses and machines called by one letter are none, and what is in a
 *   table does not count: the tables of the NATs, the ladder, the checks of the receipt.
 */
export async function problems(page: Page): Promise<string[]> {
  return page.evaluate(measure, { smallest: SMALLEST, most: MOST_WORDS });
}

interface Limits {
  smallest: number;
  most: number;
}

/** Runs in the page, which is why everything that it uses is inside it. */
function measure({ smallest, most }: Limits): string[] {
  interface Box {
    left: number;
    top: number;
    right: number;
    bottom: number;
  }
  interface Line {
    box: Box;
    text: string;
    node: Node;
    layer: Element;
  }
  const found: string[] = [];
  const short = (text: string): string => `“${text.trim().replace(/\s+/g, " ").slice(0, 40)}”`;
  const at = (box: Box): string => `at ${Math.round(box.left)},${Math.round(box.top)}`;
  const report = (what: string): void => {
    if (!found.includes(what)) found.push(what);
  };

  /** The part of the page that stays in the window while the rest moves, or the document. */
  const layerOf = (element: Element): Element => {
    for (let up: Element | null = element; up !== null; up = up.parentElement) {
      const { position } = getComputedStyle(up);
      if (position === "fixed" || position === "sticky") return up;
    }
    return document.documentElement;
  };
  /** How much an element is drawn larger than it is laid out. */
  const scaleOf = (element: Element): number => {
    if (element instanceof SVGGraphicsElement) {
      const matrix = element.getScreenCTM();
      return matrix === null ? 1 : Math.sqrt(Math.abs(matrix.a * matrix.d - matrix.b * matrix.c));
    }
    // A laid out width is whole pixels, which is only good enough for wide boxes.
    for (let up: Element | null = element; up instanceof HTMLElement; up = up.parentElement) {
      if (up.offsetWidth >= 100) return up.getBoundingClientRect().width / up.offsetWidth;
    }
    return 1;
  };
  /** Whether an element is for screen readers alone, or not there at all. */
  const unseen = (element: Element): boolean => {
    if (!element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) return true;
    for (let up: Element | null = element; up !== null; up = up.parentElement) if (getComputedStyle(up).clipPath !== "none") return true;
    return false;
  };
  /** What is left of a box within everything that cuts it off; a cut that scrolling does not undo is reported. */
  const cut = (whole: Box, element: Element, text: string): Box | null => {
    const box = { ...whole };
    for (let up: Element | null = element; up !== null && up !== document.documentElement; up = up.parentElement) {
      const style = getComputedStyle(up);
      if (style.display === "inline" || (style.overflowX === "visible" && style.overflowY === "visible")) continue;
      const edge = up.getBoundingClientRect();
      const scrolls = style.overflowY === "auto" || style.overflowY === "scroll";
      if (box.left < edge.left - 1 || box.right > edge.right + 1) report(`clipped: ${short(text)} ${at(whole)}`);
      if (!scrolls && (box.top < edge.top - 1 || box.bottom > edge.bottom + 1)) report(`clipped: ${short(text)} ${at(whole)}`);
      box.top = Math.max(box.top, edge.top);
      box.bottom = Math.min(box.bottom, edge.bottom);
      if (box.bottom - box.top < 2) return null;
    }
    return box;
  };

  const lines: Line[] = [];
  let words = 0;
  // The bar at the bottom of the window hides what is behind it.
  const bar = document.querySelector("footer")?.getBoundingClientRect().top ?? innerHeight;
  const inWindow = (box: Box, layer: Element): boolean =>
    box.top < (layer === document.documentElement ? bar : innerHeight) - 4 && box.bottom > 0 && box.left < innerWidth && box.right > 0;
  const count = (text: string): number =>
    Math.ceil((text.match(/\p{Script=Han}/gu)?.length ?? 0) / 2) +
    (text.match(/(?!\p{Script=Han})\p{L}[^\s\p{Script=Han}]*/gu) ?? []).filter((word) => !/^[A-Z]\p{P}?$/u.test(word)).length;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const element = node.parentElement;
    const text = node.textContent ?? "";
    if (element === null || text.trim() === "" || element.closest("option, script, style, title") !== null || unseen(element)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const layer = layerOf(element);
    let inView = false;
    for (const rect of range.getClientRects()) {
      if (rect.width < 1 || rect.height < 1) continue;
      const box = cut({ left: rect.left, top: rect.top, right: rect.right, bottom: rect.bottom }, element, text);
      if (box === null) continue;
      lines.push({ box, text, node, layer });
      inView ||= inWindow(box, layer);
      const frame = element.closest("[data-box]")?.querySelector("rect")?.getBoundingClientRect();
      const outside = frame !== undefined && (rect.left < frame.left || rect.right > frame.right || rect.top < frame.top || rect.bottom > frame.bottom);
      if (outside) report(`clipped: ${short(text)} is wider than its box, ${at(box)}`);
    }
    const size = Number.parseFloat(getComputedStyle(element).fontSize) * scaleOf(element);
    if (size < smallest - 0.1) report(`small: ${short(text)} is drawn with ${size.toFixed(1)} px`);
    if (inView && element.closest("table, [role=table], .ladder") === null) words += count(text);
  }
  for (const element of document.querySelectorAll<HTMLElement>("select, input:not([type=range]):not([type=checkbox])")) {
    if (unseen(element)) continue;
    const style = getComputedStyle(element);
    const text = element instanceof HTMLSelectElement ? (element.selectedOptions[0]?.text ?? "") : (element as HTMLInputElement).value;
    const size = Number.parseFloat(style.fontSize) * scaleOf(element);
    if (size < smallest - 0.05) report(`small: ${short(text)} is drawn with ${size.toFixed(1)} px`);
    const pen = document.createElement("canvas").getContext("2d");
    if (pen === null) continue;
    pen.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
    const arrow = element instanceof HTMLSelectElement && style.appearance !== "none" ? 18 : 0;
    const room = element.clientWidth - Number.parseFloat(style.paddingLeft) - Number.parseFloat(style.paddingRight) - arrow;
    if (pen.measureText(text).width > room + 1) report(`clipped: ${short(text)} in a field`);
    if (element.getBoundingClientRect().top < innerHeight) words += count(text);
  }
  for (const element of document.body.querySelectorAll<HTMLElement>("*")) {
    if (!(element instanceof HTMLElement) || element.clientWidth === 0 || unseen(element)) continue;
    const { overflowX, display } = getComputedStyle(element);
    if (display === "inline" || element.scrollWidth <= element.clientWidth + 1) continue;
    if (overflowX === "auto" || overflowX === "scroll") report(`sideways: ${element.id || element.className} is ${element.scrollWidth} px in ${element.clientWidth}`);
    else if (overflowX !== "visible") report(`clipped: ${element.id || element.className} shows ${element.clientWidth} of ${element.scrollWidth} px`);
  }
  const page = document.documentElement;
  if (page.scrollWidth > page.clientWidth) report(`sideways: the page is ${page.scrollWidth} px in ${page.clientWidth}`);

  /** The boxes of a drawn thing: one for each straight piece of a way, which has no width of its own. */
  const pieces = (mark: SVGGraphicsElement): Box[] => {
    const between = (a: { x: number; y: number }, b: { x: number; y: number }): Box => ({
      left: Math.min(a.x, b.x) - 1, right: Math.max(a.x, b.x) + 1, top: Math.min(a.y, b.y) - 1, bottom: Math.max(a.y, b.y) + 1,
    });
    const matrix = mark.getScreenCTM();
    if (mark instanceof SVGPolylineElement && matrix !== null) {
      const points = Array.from(mark.points, (point) => point.matrixTransform(matrix));
      return points.slice(1).map((point, index) => between(points[index] ?? point, point));
    }
    const { left, right, top, bottom } = mark.getBoundingClientRect();
    return mark instanceof SVGLineElement ? [between({ x: left, y: top }, { x: right, y: bottom })] : [{ left, right, top, bottom }];
  };
  // A line's box has room above and below its letters.
  const letters = ({ top, bottom, left, right }: Box): Box => ({ left, right, top: top + (bottom - top) * 0.17, bottom: bottom - (bottom - top) * 0.17 });
  const meet = (a: Box, b: Box, slack: number): boolean =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > slack && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > slack;
  lines.sort((a, b) => a.box.top - b.box.top);
  lines.forEach((line, index) => {
    for (let other = index + 1; other < lines.length; other += 1) {
      const next = lines[other];
      if (next === undefined || next.box.top > line.box.bottom) break;
      if (next.node === line.node || next.layer !== line.layer) continue;
      if (meet(letters(line.box), letters(next.box), 1)) report(`overlap: ${short(line.text)} and ${short(next.text)} ${at(next.box)}`);
    }
  });
  for (const mark of document.querySelectorAll<SVGGraphicsElement>("svg :is(line.hop, .end, .trail, .stop)")) {
    const layer = layerOf(mark);
    const scroller = mark.closest(".rows")?.getBoundingClientRect();
    for (const part of pieces(mark)) {
      const box = scroller === undefined ? part : { ...part, top: Math.max(part.top, scroller.top), bottom: Math.min(part.bottom, scroller.bottom) };
      for (const line of lines) {
        if (line.layer !== layer || line.node.parentElement?.closest("[data-on-line]") !== null) continue;
        if (meet(letters(line.box), box, 1)) report(`overlap: ${short(line.text)} and an arrow ${at(line.box)}`);
      }
    }
  }
  if (words > most) report(`wordy: ${words} words in the first view`);
  return found;
}
