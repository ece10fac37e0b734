// The libraries that draw the page, in one place. A value in a template becomes text or an element, never markup.
import { h, render } from "/vendor/preact.mjs";
import htm from "/vendor/htm.module.js";

export { h, render };
export { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "/vendor/hooks.mjs";
export const html = htm.bind(h);
