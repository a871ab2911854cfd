/** Rows in the order of `keys`, which a click fixed; new ones at the end, where they push no other aside. */
export function ordered<T extends { key: string }>(rows: readonly T[], keys: readonly string[] | null): T[] {
  if (keys === null) return [...rows];
  const places = new Map(keys.map((key, index) => [key, index]));
  const placeOf = (row: T) => places.get(row.key) ?? keys.length;
  return rows.toSorted((a, b) => placeOf(a) - placeOf(b));
}
