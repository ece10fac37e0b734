// Data of the API in a view: loads it, reloads it, and shows the old data until the new is there.
import { useCallback, useEffect, useRef, useState } from "/assets/dom.js";
import { get } from "/assets/api.js";

/** {data, error, reload}. An address of null loads nothing. With `everyMs` it reloads while the page is visible, as long as
 * `still(data)` says that the data may change. */
export function useAnswer(address, everyMs = 0, still = () => true) {
  const [answer, setAnswer] = useState({});
  const requests = useRef(0);
  const known = useRef();
  known.current = answer.data;
  const load = useCallback(async () => {
    if (!address) return;
    const mine = ++requests.current;
    try {
      const data = await get(address);
      if (mine === requests.current) setAnswer({ data, address });
    } catch (error) {
      if (mine === requests.current) setAnswer((before) => ({ data: before.address === address ? before.data : undefined, address, error }));
    }
  }, [address]);
  useEffect(() => {
    load();
    const timer = everyMs && setInterval(() => document.visibilityState === "visible" && still(known.current) && load(), everyMs);
    return () => (requests.current++, clearInterval(timer));
  }, [load, everyMs]);
  const mine = answer.address === address;
  return { data: mine ? answer.data : undefined, error: mine ? answer.error : undefined, reload: load };
}

/** Calls `work` at most once in `ms`, and once more after the last request for it. */
export function useThrottled(work, ms) {
  const latest = useRef(work);
  const timer = useRef(0);
  latest.current = work;
  useEffect(() => () => clearTimeout(timer.current), []);
  return useCallback(() => {
    timer.current = timer.current || setTimeout(() => ((timer.current = 0), latest.current()), ms);
  }, [ms]);
}
