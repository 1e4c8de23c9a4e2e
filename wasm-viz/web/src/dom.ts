// Small helpers over the document: elements by description, and lists that keep their elements.

type Attributes = Record<string, string | number | boolean | null | undefined | ((event: Event) => void)>;
type Child = Node | string | null | undefined | false;

const SVG = "http://www.w3.org/2000/svg";

function fill(element: Element, attributes: Attributes, children: Child[]): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  for (const child of children) if (child !== null && child !== undefined && child !== false) element.append(child);
}

export function h<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  fill(element, attributes, children);
  return element;
}

export function svg<K extends keyof SVGElementTagNameMap>(
  name: K,
  attributes: Attributes = {},
  ...children: Child[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS(SVG, name);
  fill(element, attributes, children);
  return element;
}

/** A sign drawn in lines, in a field of 18 by 18. */
export function icon(d: string): SVGElement {
  return svg("svg", { class: "icon", viewBox: "0 0 18 18", width: 18, height: 18, "aria-hidden": "true" }, svg("path", { d }));
}

/** Replaces the children of `parent`, keeping those whose key and version are the same as before. */
export function keyed<T>(
  parent: Element,
  items: readonly T[],
  key: (item: T) => string,
  make: (item: T) => Element,
  version: (item: T) => string,
): void {
  const before = new Map<string, Element>();
  for (const child of Array.from(parent.children)) {
    const name = child.getAttribute("data-key");
    if (name !== null) before.set(name, child);
  }
  const children = items.map((item) => {
    const name = key(item);
    const wanted = version(item);
    const old = before.get(name);
    if (old?.getAttribute("data-version") === wanted) return old;
    const element = make(item);
    element.setAttribute("data-key", name);
    element.setAttribute("data-version", wanted);
    return element;
  });
  let at = parent.firstChild;
  for (const child of children) {
    if (child === at) at = at.nextSibling;
    else parent.insertBefore(child, at);
  }
  while (at !== null) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

export function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no #${id}`);
  return element;
}
