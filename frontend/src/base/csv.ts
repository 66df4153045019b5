/** Comma-separated text, and handing it to the browser as a file. */

export function csvLine(fields: readonly (string | number)[]): string {
  return fields.map(csvField).join(",");
}

function csvField(field: string | number): string {
  const text = String(field);
  // A cell that begins like a formula is one to a spreadsheet: a layer name must not run anything there.
  const formula = typeof field === "string" && /^[=+@\t\r-]/.test(text) && Number.isNaN(Number(text));
  const safe = formula ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function download(name: string, text: string, type = "text/csv"): void {
  downloadBlob(name, new Blob([text], { type: `${type};charset=utf-8` }));
}

export function downloadBlob(name: string, blob: Blob): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** A name that any file system takes, without its extension. */
export function fileStem(...parts: string[]): string {
  return parts.map((p) => p.replace(/[^\w.-]+/g, "_").slice(0, 80)).join("-");
}
