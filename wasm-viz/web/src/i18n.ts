// Sentences: a template per key and language, filled with what the core gave.

import { en, keys, zh } from "virtual:words";
import type { Text } from "./frame";
import { slug } from "./slug";

export type Language = "en" | "zh";

let group = "";
const sentences = en.split("\n");
/** A line that ends with a dot begins the keys after it; one that is an equals sign is told by its sentence. */
const names: string[] = [];
for (const line of keys.split("\n")) {
  if (line.endsWith(".")) group = line === "." ? "" : line;
  else names.push(group + (line === "=" ? slug(sentences[names.length] ?? "") : line.replaceAll(" ", "-")));
}
const table = (lines: string): Record<string, string> =>
  Object.fromEntries(lines.split("\n").map((line, index) => [names[index], line]));
const templates: Record<Language, Record<string, string>> = { en: table(en), zh: table(zh) };
let language: Language = "en";

export function setLanguage(next: Language): void {
  language = next;
  document.documentElement.lang = next === "zh" ? "zh-Hans" : "en";
}

export function currentLanguage(): Language {
  return language;
}

/** The sentence of a text. A key without a template shows itself, which a test looks for. */
export function say(text: Text): string {
  const template = templates[language][text.key];
  if (template === undefined) return `⟦${text.key}⟧`;
  const said = template.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = text.with?.[name];
    if (value === undefined) return whole;
    if (typeof value === "string") return value;
    if (Array.isArray(value)) return value.map(say).join(language === "zh" ? "、" : ", ");
    return say(value);
  });
  // The spaces of a template are for Latin words; between Chinese ones there is none.
  return said.replace(/([㐀-鿿）]) (?=[㐀-鿿（])/g, "$1");
}

/** What a name of the registries means, in a language that is not theirs. */
export function meaning(name: string): string {
  return language === "en" ? "" : (templates[language][`octet.${slug(name)}`] ?? "");
}

/** A sentence of the page's own: a button, a heading. */
export function ui(key: string, operands?: Record<string, string | Text | Text[]>): string {
  return say(operands === undefined ? { key } : { key, with: operands });
}
