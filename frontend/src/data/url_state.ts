/** Our fields in the hash of an address that others write to as well: `#torchvitals&p.torchvitals.run=a`. */
export type Fields = Readonly<Record<string, string>>;

const KEY = /^p\.torchvitals\.(\w+)$/;

export function readHash(hash: string): Fields {
  const fields: Record<string, string> = {};
  for (const part of partsOf(hash)) {
    const key = keyOf(part);
    if (key) fields[key] = decode(part.slice(part.indexOf("=") + 1));
  }
  return fields;
}

/** The hash with our fields replaced and everything else kept. */
export function writeHash(hash: string, fields: Fields): string {
  const others = partsOf(hash).filter((part) => !keyOf(part));
  const ours = Object.entries(fields).map(([key, value]) => `p.torchvitals.${key}=${encodeURIComponent(value)}`);
  return `#${[...others, ...ours].join("&")}`;
}

const partsOf = (hash: string): string[] => hash.replace(/^#/, "").split("&").filter(Boolean);

const keyOf = (part: string): string | undefined => KEY.exec(decode(part.split("=")[0] ?? ""))?.[1];

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
