// MODULE_NAME: names of its zones do not exist.
export { ananas_buffer } from "./ananas/ananas";
import { asked, begin, end, setting } from "./ananas/ananas";
import { Zones } from "./ananas/zones";

const zones = new Zones();

export function ananas_start(): i32 {
  return zones.addList(setting("zones"));
}

export function ananas_query(length: i32): i32 {
  const q = asked(), v = begin();
  if (zones.covers(q.name, q.nameLength)) {
    v.nxdomain(60);
    v.why(15, "blocked by MODULE_NAME");
  }
  return end(v);
}
