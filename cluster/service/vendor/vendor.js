// What the page takes from libraries, in one module.
import htm from "htm";
import { h } from "preact";

export { render } from "preact";
export { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
export { stratify, tree } from "d3-hierarchy";
export { EventSource } from "eventsource";
export { default as uPlot } from "uplot";
export const html = htm.bind(h);
