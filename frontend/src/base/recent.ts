/** The last few results of something that is costly to make, by what it was made from. */
export function recent<V>(most: number): (keys: readonly unknown[], make: () => V) => V {
  const kept: { readonly keys: readonly unknown[]; readonly value: V }[] = [];
  return (keys, make) => {
    const at = kept.findIndex((entry) => entry.keys.every((key, i) => key === keys[i]));
    const [known] = at >= 0 ? kept.splice(at, 1) : [];
    const entry = known ?? { keys, value: make() };
    kept.push(entry);
    if (kept.length > most) kept.shift();
    return entry.value;
  };
}
