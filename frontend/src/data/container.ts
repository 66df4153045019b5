/**
 * The binary payload of the plugin: uint32 header length, JSON header, little-endian arrays on multiples of 8.
 *
 * Arrays are views of the response where alignment allows, so a large statistic is never copied here.
 */
import { type Json, list, record } from "./json";

export type Numbers = Float32Array | Float64Array | Uint8Array | Uint16Array | Uint32Array | Int32Array;

export interface PackedArray {
  readonly shape: readonly number[];
  readonly data: Numbers;
}

export interface Container {
  readonly header: Json;
  readonly arrays: ReadonlyMap<string, PackedArray>;
}

const TYPES = {
  u1: Uint8Array,
  u2: Uint16Array,
  u4: Uint32Array,
  i4: Int32Array,
  f4: Float32Array,
  f8: Float64Array,
} as const;

export class BrokenPayload extends Error {}

export function decodeContainer(buffer: ArrayBuffer): Container {
  if (buffer.byteLength < 4) throw new BrokenPayload("the answer is empty");
  const start = 4 + new DataView(buffer).getUint32(0, true);
  if (start > buffer.byteLength) throw new BrokenPayload("the answer was cut short");
  let header: Json;
  try {
    header = record(JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, start - 4))));
  } catch {
    throw new BrokenPayload("the answer has no readable header");
  }
  const arrays = new Map<string, PackedArray>();
  for (const entry of list(header.arrays)) {
    const { name, dtype, shape, offset } = entry as { name: string; dtype: string; shape: number[]; offset: number };
    const Type = TYPES[dtype as keyof typeof TYPES];
    if (!Type) throw new BrokenPayload(`unknown number type ${dtype}`);
    const count = shape.reduce((a, b) => a * b, 1);
    const from = start + offset;
    const bytes = count * Type.BYTES_PER_ELEMENT;
    if (count < 0 || offset < 0 || from + bytes > buffer.byteLength) {
      throw new BrokenPayload("the answer was cut short");
    }
    const aligned = from % Type.BYTES_PER_ELEMENT === 0;
    arrays.set(name, {
      shape,
      data: new Type(aligned ? buffer : buffer.slice(from, from + bytes), aligned ? from : 0, count),
    });
  }
  return { header, arrays };
}

/** A named array of one type; an error that names it when it is missing. */
export function arrayOf<T extends Numbers>(
  container: Container,
  name: string,
  Type: abstract new (...args: never[]) => T,
): T {
  const found = container.arrays.get(name)?.data;
  if (!(found instanceof Type)) throw new BrokenPayload(`the answer has no array “${name}”`);
  return found;
}
