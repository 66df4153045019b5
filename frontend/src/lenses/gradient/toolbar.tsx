/** The controls of this lens alone. */
import { into, Switch } from "../../views/controls";
import { colour, compare } from "./shown";

export function ColourSwitch() {
  return (
    <Switch
      label="Colour"
      testid="colour"
      chosen={colour.value}
      onChoose={into(colour)}
      options={[
        ["value", "Absolute", "Colour by the value"],
        ["relative", "Relative", "Colour by the ratio to the row's own median"],
      ]}
    />
  );
}

export function CompareSwitch() {
  return (
    <Switch
      label="Compare"
      testid="compare"
      chosen={compare.value}
      onChoose={into(compare)}
      options={[
        ["difference", "Difference", "The first run, A, against the second, B"],
        ["beside", "Beside", "A above B in each row"],
      ]}
    />
  );
}
