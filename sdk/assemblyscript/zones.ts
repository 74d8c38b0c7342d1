// zones.ts: names as people write them, and sets of zones.

/** Reads a name, small letters or large, with or without the dot at the end, and without backslashes, and writes it to out, which has room for 255 octets. Returns its length; 0 if it is none. */
export function parseName(text: usize, length: i32, out: usize): i32 {
  if (length > 0 && load<u8>(text + length - 1) == 0x2e) length--;
  if (length == 0 || length > 253) return 0;
  let label = 0; // where its length goes
  for (let i = 0; i <= length; i++) {
    const c = i < length ? load<u8>(text + i) : <u8>0x2e;
    if (c == 0x2e) {
      const n = i - label;
      if (n == 0 || n > 63) return 0;
      store<u8>(out + label, n);
      label = i + 1;
    } else if (c <= 0x20 || c > 0x7e || c == 0x5c) {
      return 0;
    } else {
      store<u8>(out + i + 1, c >= 0x41 && c <= 0x5a ? c + 0x20 : c);
    }
  }
  store<u8>(out + label, 0);
  return label + 1;
}

/** How many labels a name has, without the root's. */
function labels(name: usize): i32 {
  let n = 0;
  for (let label = load<u8>(name); label != 0; label = load<u8>(name)) {
    name += 1 + <usize>label;
    n++;
  }
  return n;
}

/** A set of zones: a hash table over names that lie one behind the other. */
export class Zones {
  private slots: StaticArray<u32> = new StaticArray<u32>(64); // where a name is, 0: nowhere; a power of two
  private names: StaticArray<u8> = new StaticArray<u8>(1024);
  private used: i32 = 0;
  private count: i32 = 0;
  private deepest: i32 = 0; // the most labels of one

  /** Adds the zones of a list: names with blanks, commas or line ends between them. Returns 0, or which of them, from 1, is no name. */
  addList(list: Uint8Array): i32 {
    const name = changetype<usize>(new StaticArray<u8>(256));
    const end = list.dataStart + list.length;
    let n = 0;
    for (let at = list.dataStart; at < end; at++) {
      const from = at;
      while (at < end && load<u8>(at) > 0x20 && load<u8>(at) != 0x2c) at++;
      if (at == from) continue;
      n++;
      const length = parseName(from, <i32>(at - from), name);
      if (length == 0) return n;
      this.add(name, length);
    }
    return 0;
  }

  /** Adds a zone in wire form, small letters. */
  add(name: usize, length: i32): void {
    if (2 * this.count >= this.slots.length) this.grow();
    const slot = this.slot(name, length);
    if (unchecked(this.slots[slot]) != 0) return;
    if (this.used + 1 + length > this.names.length) {
      const more = new StaticArray<u8>(2 * this.names.length);
      memory.copy(changetype<usize>(more), changetype<usize>(this.names), this.used);
      this.names = more;
    }
    const at = changetype<usize>(this.names) + this.used;
    store<u8>(at, length);
    memory.copy(at + 1, name, length);
    unchecked(this.slots[slot] = this.used + 1);
    this.used += 1 + length;
    this.count++;
    this.deepest = max(this.deepest, labels(name));
  }

  /** Tells whether a name is one of the zones, or below one. */
  covers(name: usize, length: i32): bool {
    for (let depth = labels(name); depth > 0; depth--) { // of a name with 127 labels most are not looked up: that would take more fuel than a call has
      if (depth <= this.deepest && unchecked(this.slots[this.slot(name, length)]) != 0) return true;
      const label = 1 + <i32>load<u8>(name);
      name += label;
      length -= label;
    }
    return false;
  }

  private slot(name: usize, length: i32): i32 {
    let h: u32 = 2166136261; // FNV-1a, its upper bits folded in
    for (let i = 0; i < length; i++) h = (h ^ load<u8>(name + i)) * 16777619;
    const mask = this.slots.length - 1;
    let s = <i32>(h ^ (h >> 15)) & mask;
    while (true) {
      const there = unchecked(this.slots[s]);
      if (there == 0) break;
      const at = changetype<usize>(this.names) + there;
      if (load<u8>(at - 1) == <u8>length && memory.compare(at, name, length) == 0) break;
      s = (s + 1) & mask;
    }
    return s;
  }

  private grow(): void {
    const names = changetype<usize>(this.names);
    this.slots = new StaticArray<u32>(4 * this.slots.length);
    for (let at = 0; at < this.used; at += 1 + <i32>load<u8>(names + at)) {
      unchecked(this.slots[this.slot(names + at + 1, load<u8>(names + at))] = at + 1);
    }
  }
}
