/** A sentence as the last part of a key: its letters and digits. */
export const slug = (text: string): string => text.toLowerCase().match(/[a-z0-9]+/g)?.join("-") ?? "";
