/** The controls above the ridges. */
import { FORMATS, type Format } from "../../data/formats";
import type { Manifest } from "../../data/manifest";
import { into, Select, Switch } from "../../views/controls";
import { by, format, hist, KIND_LABELS, KINDS, scale } from "./choices";

export interface ChoicesProps {
  readonly manifest: Manifest;
  readonly kind: string;
  /** The format of the row, and the one whose limits are drawn. */
  readonly own: Format | null;
  readonly shown: Format | null;
}

export function Choices({ manifest, kind, own, shown }: ChoicesProps) {
  const recorded = KINDS.filter((k) => manifest.histograms.includes(k));
  const formats = FORMATS.map(
    (f) => [f.id as typeof format.value, f === own ? `${f.label}, its own` : f.label] as const,
  );
  return (
    <>
      <Select
        class="field distribution"
        testid="kind-select"
        label="Distribution of"
        chosen={kind as typeof hist.value}
        onChoose={into(hist)}
        groups={[["", recorded.map((k) => [k, KIND_LABELS[k]])]]}
      />
      <Switch
        label="Ridges"
        chosen={by.value}
        onChoose={into(by)}
        options={[
          ["steps", "Over steps", "One layer, a ridge per record"],
          ["depth", "Over depth", "One step, a ridge per layer"],
        ]}
      />
      <Switch
        label="Value axis"
        chosen={scale.value}
        onChoose={into(scale)}
        options={[
          ["log", "Log", "Every octave gets the same room"],
          ["linear", "Linear"],
        ]}
      />
      <span class="run">
        <span class="muted limits-of" aria-hidden="true">
          Limits of
        </span>
        <Select
          testid="format-select"
          label="Limits of a number format"
          chosen={(shown?.id ?? "none") as typeof format.value}
          onChoose={(id) => {
            format.value = (own ?? FORMATS[0])?.id === id ? "own" : id;
          }}
          groups={[["", [...formats, ["none", "no format"]]]]}
        />
      </span>
    </>
  );
}
