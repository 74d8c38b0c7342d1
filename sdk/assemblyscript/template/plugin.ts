// MODULE_NAME: names of its zones do not exist.
export { ananas_buffer } from "./ananas/ananas";
import { asked, begin, end, wrong, setting } from "./ananas/ananas";
import { Zones } from "./ananas/zones";

const zones = new Zones();

export function ananas_start(): i32 {
  const word = zones.addList(setting("zones"));
  return word == 0 ? 0 : wrong(`zones: not a name: word ${word}`, word);
}

export function ananas_query(length: i32): i32 {
  const q = asked(), v = begin();
  if (zones.covers(q.name, q.nameLength)) {
    v.nxdomain(60);
    v.why(15, "blocked by MODULE_NAME");
  }
  return end(v);
}
