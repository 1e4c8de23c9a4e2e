// Keys and templates, a line each: `vite.config.ts` makes them of `i18n/`.
declare module "virtual:words" {
  export const keys: string;
  export const en: string;
  export const zh: string;
}
