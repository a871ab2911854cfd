/** What has not changed stays the same object, so that what is drawn from it need not be looked at again. Pure. */

/** `next`, with every part that equals its counterpart in `before` replaced by it: `before` itself where all do. */
export function shared<T>(before: T | undefined, next: T): T {
  if (Object.is(before, next) || !isObject(before) || !isObject(next) || Array.isArray(before) !== Array.isArray(next)) return next;
  const [old, fresh] = [before as Record<string, unknown>, next as Record<string, unknown>];
  const keys = Object.keys(fresh);
  let isSame = keys.length === Object.keys(old).length;
  const parts = keys.map((key) => {
    const part = shared(old[key], fresh[key]);
    isSame &&= key in old && Object.is(part, old[key]);
    return part;
  });
  if (isSame) return before;
  if (Array.isArray(next)) return parts as T;
  return Object.fromEntries(keys.map((key, index) => [key, parts[index]])) as T;
}

/** Plain ones alone are compared: a map, say, has no keys to go by. */
function isObject(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === Array.prototype;
}
