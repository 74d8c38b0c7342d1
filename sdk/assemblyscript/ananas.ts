// ananas.ts: plugins of Ananas in AssemblyScript. docs/module-abi.md says what it does, octet for octet; this is version 1.
//
//     export { ananas_buffer } from "./ananas/ananas";
//     import { asked, begin, end, Type } from "./ananas/ananas";
//
//     export function ananas_query(length: i32): i32 {
//       const v = begin();
//       if (asked().type == Type.TXT) v.nodata(60);
//       return end(v);
//     }
//
// The verdict lets the query go on until something else is said. Names are addresses of octets in wire form (labels behind their lengths, the root's 0 at the end) with a length. Nothing here
// allocates after the settings were read, but for strings.

// Functions of the host. All but setting and complain need a grant, and a plugin that calls one without it is not loaded.
@external("ananas", "setting") declare function hostSetting(key: usize, keyLen: i32, out: usize, outLen: i32): i32;
@external("ananas", "complain") declare function hostComplain(why: usize, whyLen: i32): i32;
@external("ananas", "log") declare function hostLog(level: i32, text: usize, textLen: i32): i32;
@external("ananas", "data_open") declare function hostDataOpen(name: usize, nameLen: i32): i32;
@external("ananas", "data_find") declare function hostDataFind(data: i32, how: i32, key: usize, keyLen: i32): i32;
@external("ananas", "counter") declare function hostCounter(name: usize, nameLen: i32): i32;
@external("ananas", "count") declare function hostCount(counter: i32, n: i64): i32;
@external("ananas", "histogram") declare function hostHistogram(name: usize, nameLen: i32): i32;
@external("ananas", "observe") declare function hostObserve(histogram: i32, value: i64): i32;
@external("ananas", "resolve") declare function hostResolve(name: usize, nameLen: i32, type: i32, out: usize, outLen: i32): i32;
@external("ananas", "now") declare function hostNow(): i64;
@external("ananas", "random") declare function hostRandom(out: usize, outLen: i32): i32;

/** Errors of the host's functions. */
export enum Fault { Absent = -1, Bounds = -2, Room = -3, Denied = -4, Limit = -5, Failed = -6, Malformed = -7 }

// The largest setting that there may be.
const MAX_SETTING: i32 = 64 << 10;

/** Returns a setting as its octets; none if there is no such setting. */
export function setting(key: string): Uint8Array {
  const k = String.UTF8.encode(key);
  for (let room = 256; room <= MAX_SETTING; room *= 4) {
    const out = new Uint8Array(room);
    const size = hostSetting(changetype<usize>(k), k.byteLength, out.dataStart, room);
    if (size >= 0) return out.subarray(0, size);
    if (size != Fault.Room) break;
  }
  return new Uint8Array(0);
}

export enum Level { Debug, Info, Warning, Error }

/** Says, in ananas_start, why that is about to return a number that is not 0: it is shown with the error. It needs no grant. Returns the number. */
export function wrong(why: string, n: i32): i32 {
  const t = String.UTF8.encode(why);
  hostComplain(changetype<usize>(t), t.byteLength);
  return n;
}

/** Writes a line to the node's log. */
export function log(level: Level, text: string): i32 {
  const t = String.UTF8.encode(text);
  return hostLog(level, changetype<usize>(t), t.byteLength);
}

/** How a data set is asked: a name, a name or one above it, a prefix that covers an address. */
export enum How { Exact, Suffix, Prefix }

/** Opens a data set, in ananas_start; what it returns is for find. It needs the grant data/NAME. */
export function open(name: string): i32 {
  const t = String.UTF8.encode(name);
  return hostDataOpen(changetype<usize>(t), t.byteLength);
}

/** What find returns of a list that is a response policy zone: what the zone wants done. Local is an answer of the zone's own; the list does not have its records. */
export enum RPZ { NXDomain = 1, NoData, Passthru, Drop, TCPOnly, Local }

/** Asks a data set. Returns the value of what is found, 0 if it has none; less than 0 if nothing is. */
export function find(data: i32, how: How, key: usize, length: i32): i32 { return hostDataFind(data, how, key, length); }

/** Opens a counter of the plugin's own, in ananas_start; what it returns is for count. */
export function counter(name: string): i32 {
  const t = String.UTF8.encode(name);
  return hostCounter(changetype<usize>(t), t.byteLength);
}

/** Adds to a counter. */
export function count(counter: i32, n: u32): i32 { return hostCount(counter, n); }

/** Opens a histogram of the plugin's own, in ananas_start; what it returns is for observe. */
export function histogram(name: string): i32 {
  const t = String.UTF8.encode(name);
  return hostHistogram(changetype<usize>(t), t.byteLength);
}

/** Observes a value, in a unit of the plugin's own. */
export function observe(histogram: i32, value: u64): i32 { return hostObserve(histogram, value); }

/** The time of the query, in nanoseconds since 1970. */
export function now(): i64 { return hostNow(); }

/** Fills octets with random numbers, which are not for secrets. */
export function random(out: Uint8Array): i32 { return hostRandom(out.dataStart, out.length); }

/** Types of records. */
export enum Type { A = 1, CNAME = 5, SOA = 6, TXT = 16, AAAA = 28, HTTPS = 65 }

// Room of the buffer: what phases answer and log need.
const ROOM: i32 = 73728;
const HEAD: i32 = 24;
const DATA: i32 = ROOM - HEAD - 1024 - 2 * 63;

const memory_ = memory.data(ROOM, 8);
const text_ = memory.data(1024);
const group_ = memory.data(63);
const tag_ = memory.data(63);
const data_ = memory.data(DATA, 8);

/** The plugin exports it again. */
export function ananas_buffer(size: i32): usize { return size <= ROOM ? memory_ : 0; }

export enum Transport { UDP, TCP, TLS, HTTPS, QUIC }

/** What is asked. It is valid until the function returns. */
export class Query {
  /** Where its record is. */
  at: usize = memory_;

  @inline get type(): i32 { return load<u16>(this.at, 4); }
  @inline get transport(): Transport { return load<u8>(this.at, 2); }
  @inline get recursionDesired(): bool { return (load<u8>(this.at, 3) & 1) != 0; }
  @inline get checkingDisabled(): bool { return (load<u8>(this.at, 3) & 2) != 0; }
  @inline get authenticData(): bool { return (load<u8>(this.at, 3) & 4) != 0; }
  @inline get dnssec(): bool { return (load<u8>(this.at, 3) & 8) != 0; }
  /** Where the name is, in small letters, and its length. */
  @inline get name(): usize { return this.at + load<u16>(this.at); }
  @inline get nameLength(): i32 { return load<u16>(this.at, 10); }
  /** Where the tag of the client's tenant is. */
  @inline get tenant(): usize { return this.name + this.nameLength; }
  @inline get tenantLength(): i32 { return load<u16>(this.at, 12); }
  /** Where the client's address is: of family 4, 6, or 0 where nobody may know. Without the grant client not all of its bits are shown, and the others are 0. */
  @inline get client(): usize { return this.at + 16; }
  @inline get clientFamily(): i32 { return load<u8>(this.at, 8); }
  @inline get clientBits(): i32 { return load<u8>(this.at, 9); }
}

/** What is known of whether an answer is true (RFC 4035 section 4.3). */
export enum Security { Indeterminate, Insecure, Secure }
export enum Section { Answer, Authority, Additional }

/** A record. Those that are put are all of the answer section. */
export class Record {
  section: Section = Section.Answer;
  type: i32 = 0;
  ttl: u32 = 0;
  name: usize = 0;
  nameLength: i32 = 0;
  data: usize = 0;
  dataLength: i32 = 0;
}

/** The answer that a plugin of phase answer is shown, or that another question got (see Reply). */
export class Answer extends Query {
  protected base_: usize = memory_; // where its record is
  private next_: usize = 0;
  private end_: usize = 0;
  private read_: i32 = 0;

  get rcode(): u16 { return load<u16>(this.base_, 2); }
  get security(): Security { return load<u8>(this.base_, 4); }
  get cached(): bool { return (load<u8>(this.base_, 5) & 1) != 0; }
  get stale(): bool { return (load<u8>(this.base_, 5) & 2) != 0; }
  /** Here: by a module of phase query, or since the name is a special one. */
  get made(): bool { return (load<u8>(this.base_, 5) & 4) != 0; }

  /** Goes back to the first record. */
  rewind(): void {
    this.at = this.base_ + load<u16>(this.base_);
    this.next_ = this.at + load<u16>(this.base_, 6);
    this.end_ = this.next_ + load<u32>(this.base_, 16);
    this.read_ = 0;
  }

  /** Reads the next record; false behind the last, and where what is left is none. */
  next(r: Record): bool {
    const first = <i32>load<u16>(this.base_, 8), second = first + <i32>load<u16>(this.base_, 10);
    if (this.read_ == second + <i32>load<u16>(this.base_, 12)) return false;
    r.section = this.read_ < first ? Section.Answer : this.read_ < second ? Section.Authority : Section.Additional;
    this.read_++;
    let at = this.next_;
    r.name = at;
    while (at < this.end_ && load<u8>(at) != 0) at += 1 + <usize>load<u8>(at);
    if (++at + 10 > this.end_) return false;
    r.nameLength = <i32>(at - r.name);
    r.type = bswap<u16>(load<u16>(at));
    r.ttl = bswap<u32>(load<u32>(at, 4));
    r.dataLength = bswap<u16>(load<u16>(at, 8));
    r.data = at + 10;
    this.next_ = r.data + r.dataLength;
    return this.next_ <= this.end_;
  }
}

/** The answer to a question of the plugin's own. Make one outside of functions: it has room for the largest. */
export class Reply extends Answer {
  private octets_: StaticArray<u8> = new StaticArray<u8>(ROOM);

  /** Asks for a name, within the client's budget, and waits. Returns 0, and the answer is here until the next question; or a Fault. It needs the grant resolve. */
  resolve(name: usize, length: i32, type: i32): i32 {
    this.base_ = changetype<usize>(this.octets_);
    const size = hostResolve(name, length, type, this.base_, ROOM);
    if (size < 0) return size;
    this.rewind();
    return 0;
  }
}

/** What was answered, as a plugin of phase log is shown it: line by line. */
export class Line extends Query {
  private line_: usize = 0;
  private next_: usize = 0;
  private end_: usize = 0;

  get rcode(): u16 { return load<u16>(this.line_, 2); }
  get cached(): bool { return (load<u8>(this.line_, 4) & 1) != 0; }
  get stale(): bool { return (load<u8>(this.line_, 4) & 2) != 0; }
  /** A plugin has ended it. */
  get blocked(): bool { return (load<u8>(this.line_, 4) & 4) != 0; }
  /** When, in nanoseconds since 1970. */
  get time(): i64 { return load<i64>(this.line_, 8); }
  /** How long it took, in microseconds. */
  get took(): u32 { return load<u32>(this.line_, 16); }
  /** Where the tags that plugins gave it are, with commas between them, and their length. */
  get tags(): usize { return this.at + load<u16>(this.line_, 20); }
  get tagsLength(): i32 { return load<u16>(this.line_, 22); }

  /** Goes before the first line of so many octets. */
  rewind(length: i32): void {
    this.next_ = memory_ + 4;
    this.end_ = memory_ + min(length, ROOM);
  }

  /** Goes to the next line; false behind the last. */
  next(): bool {
    if (this.next_ + 36 > this.end_) return false;
    this.line_ = this.next_ + 4;
    this.next_ = this.line_ + load<u32>(this.next_);
    this.at = this.line_ + load<u16>(this.line_);
    return this.next_ <= this.end_ && this.tags + this.tagsLength <= this.next_;
  }
}

/** What is to become of a query. Texts that have no room are cut. */
export class Verdict {
  action: u8 = 0;
  flags: u8 = 0;
  ede: u16 = 0;
  ttl: u32 = 0;
  textLength: i32 = 0;
  groupLength: i32 = 0;
  tagLength: i32 = 0;
  dataLength: i32 = 0;

  act(action: u8, ttl: u32): void {
    this.action = action;
    this.ttl = ttl;
    this.dataLength = 0;
  }

  private putOctets(from: usize, length: i32): void {
    memory.copy(data_ + this.dataLength, from, length);
    this.dataLength += length;
  }

  /** As if the plugin were not there. */
  goOn(): void { this.act(0, 0); }
  /** The name does not exist. The TTL of what the node makes is in seconds, here and below. */
  nxdomain(ttl: u32): void { this.act(2, ttl); }
  /** The name has no such records. */
  nodata(ttl: u32): void { this.act(3, ttl); }
  /** These addresses, up to 32 of each kind, and no records of other types: octets one behind the other, 4 or 16 for each. */
  address(ttl: u32, v4: Uint8Array | null, v6: Uint8Array | null): void {
    this.act(4, ttl);
    const n4 = v4 ? min(v4.length / 4, 32) : 0, n6 = v6 ? min(v6.length / 16, 32) : 0;
    store<u8>(data_, n4);
    store<u8>(data_, n6, 1);
    this.dataLength = 2;
    if (v4) this.putOctets(v4.dataStart, 4 * n4);
    if (v6) this.putOctets(v6.dataStart, 16 * n6);
  }
  /** REFUSED. */
  refuse(): void { this.act(5, 0); }
  /** No answer at all. */
  drop(): void { this.act(6, 0); }
  /** The records that are put from now on are the answer; at phase answer they stand in place of all that there are. */
  answer(): void { this.act(1, 0); }
  /** What another name has, behind an alias to it. Phase query. */
  rewrite(ttl: u32, name: usize, length: i32): void {
    this.act(7, ttl);
    this.putOctets(name, min(length, 255));
  }
  /** Puts a record; false if there is no room for it. */
  put(r: Record): bool {
    if (r.nameLength > 255 || r.dataLength > 65535 || r.nameLength + 10 + r.dataLength > DATA - this.dataLength) return false;
    this.putOctets(r.name, r.nameLength);
    const at = data_ + this.dataLength;
    store<u16>(at, bswap<u16>(<u16>r.type));
    store<u16>(at, bswap<u16>(1), 2); // class IN
    store<u32>(at, bswap<u32>(r.ttl), 4);
    store<u16>(at, bswap<u16>(<u16>r.dataLength), 8);
    this.dataLength += 10;
    this.putOctets(r.data, r.dataLength);
    return true;
  }

  /** The extended error that says why (RFC 8914): 15 is blocked, 16 censored, 17 filtered. */
  why(code: u16, text: string): void {
    this.ede = code + 1;
    this.textLength = ascii(text, text_, 1024);
  }
  /** The group of servers that is to resolve the query, if it goes on or is rewritten: one of the node's settings. Phase query. */
  group(name: string): void { this.groupLength = ascii(name, group_, 63); }
  /** A word for logs and views. */
  tag(text: string): void { this.tagLength = ascii(text, tag_, 63); }
  /** Neither what is cached nor what would be kept is used for this query. */
  noCache(): void { this.flags |= 1; }
}

function ascii(text: string, to: usize, room: i32): i32 {
  const n = min(text.length, room);
  for (let i = 0; i < n; i++) store<u8>(to + i, <u8>text.charCodeAt(i));
  return n;
}

const query_ = new Query();
const answer_ = new Answer();
const verdict_ = new Verdict();
const line_ = new Line();

/** What is asked: phase query. */
export function asked(): Query { return query_; }

/** What is shown: phase answer. */
export function shown(): Answer {
  answer_.rewind();
  return answer_;
}

/** What was answered: phase log. The length is the one that ananas_log was called with; next goes to the first line. */
export function logged(length: i32): Line {
  line_.rewind(length);
  return line_;
}

/** A verdict that lets the query go on. */
export function begin(): Verdict {
  const v = verdict_;
  v.act(0, 0);
  v.flags = 0;
  v.ede = 0;
  v.textLength = 0;
  v.groupLength = 0;
  v.tagLength = 0;
  return v;
}

/** Says the verdict: what the plugin's function returns. */
export function end(v: Verdict): i32 {
  if (v.action == 0 && v.flags == 0 && v.ede == 0 && v.groupLength == 0 && v.tagLength == 0) return 0;
  memory.fill(memory_, 0, HEAD);
  store<u16>(memory_, HEAD);
  store<u8>(memory_, v.action, 2);
  store<u8>(memory_, v.flags, 3);
  store<u16>(memory_, v.ede, 4);
  store<u16>(memory_, v.textLength, 6);
  store<u32>(memory_, v.ttl, 8);
  store<u16>(memory_, v.groupLength, 12);
  store<u16>(memory_, v.tagLength, 14);
  store<u32>(memory_, v.dataLength, 16);
  let at = memory_ + HEAD;
  memory.copy(at, text_, v.textLength);
  at += v.textLength;
  memory.copy(at, group_, v.groupLength);
  at += v.groupLength;
  memory.copy(at, tag_, v.tagLength);
  at += v.tagLength;
  memory.copy(at, data_, v.dataLength);
  return <i32>(at + v.dataLength - memory_);
}
