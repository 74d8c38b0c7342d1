// See cases.txt.
export { ananas_buffer } from "./ananas/ananas";
import { asked, begin, count, counter, end, find, histogram, How, Level, log, logged, now, observe, open, Query, random, Record, Reply, Section, Security, setting, shown, Transport, Type, Verdict } from "./ananas/ananas";
import { parseName } from "./ananas/zones";

let red = false, list = 0, calls = 0, took = 0;
const reply = new Reply();
const record = new Record();
const four = new Uint8Array(4), sixteen = new Uint8Array(16), drawn = new Uint8Array(16);
const www = new Uint8Array(255);
let wwwLength = 0;

export function ananas_start(): i32 {
  if (setting("refuse").length > 0) return 7;
  const color = setting("color");
  red = color.length == 3 && color[0] == 0x72;
  four[0] = 192; four[2] = 2; four[3] = 1;
  sixteen[0] = 0x20; sixteen[1] = 1; sixteen[2] = 0xd; sixteen[3] = 0xb8; sixteen[15] = 1;
  const text = String.UTF8.encode("WWW.example");
  wwwLength = parseName(changetype<usize>(text), text.byteLength, www.dataStart);
  list = open("list");
  calls = counter("asked");
  took = histogram("took");
  return list < 0 || calls < 0 || took < 0 ? 1 : 0;
}

function is(q: Query, label: string): bool {
  if (<i32>load<u8>(q.name) != label.length) return false;
  for (let i = 0; i < label.length; i++) if (load<u8>(q.name + i + 1) != label.charCodeAt(i)) return false;
  return true;
}

function hostWorks(): bool {
  let zeros = 0;
  if (count(calls, 1) != 0 || observe(took, 5000000000) != 0 || log(Level.Info, "asked") != 0 || random(drawn) != 0) return false;
  for (let i = 0; i < drawn.length; i++) if (drawn[i] == 0) zeros++;
  return zeros < 8 && now() == 1767225600000000000;
}

function resolve(q: Query, v: Verdict, name: usize, length: i32): void {
  const fault = reply.resolve(name, length, Type.A);
  if (fault < 0) {
    v.nodata(-fault);
    return;
  }
  v.answer();
  while (reply.next(record)) {
    record.name = q.name; record.nameLength = q.nameLength;
    v.put(record);
  }
}

export function ananas_query(length: i32): i32 {
  const q = asked(), v = begin();
  if (is(q, "nxdomain")) v.nxdomain(60);
  if (is(q, "nodata")) v.nodata(61);
  if (is(q, "why")) {
    v.why(15, "it is said so");
    v.nxdomain(60);
    v.tag("seen");
  }
  if (is(q, "address")) {
    v.address(30, four, sixteen);
    v.tag("addresses");
  }
  if (is(q, "refuse")) v.refuse();
  if (is(q, "drop")) v.drop();
  if (is(q, "rewrite")) v.rewrite(300, www.dataStart, wwwLength);
  if (is(q, "nocache")) v.noCache();
  if (is(q, "group")) v.group("filtered");
  if (is(q, "all")) {
    v.rewrite(300, www.dataStart, wwwLength);
    v.tag("seen");
    v.group("filtered");
    v.why(17, "elsewhere");
  }
  if (is(q, "tenant") && q.tenantLength == 6 && load<u8>(q.tenant) == 111 && load<u8>(q.tenant, 5) == 101) v.nodata(1); // o, e
  if (is(q, "tag")) v.tag("seen");
  if (is(q, "records")) {
    const data = new Uint8Array(4), r = record;
    data[0] = 192; data[2] = 2; data[3] = 7;
    r.name = q.name; r.nameLength = q.nameLength; r.type = Type.A; r.ttl = 60; r.data = data.dataStart; r.dataLength = 4;
    v.answer();
    v.put(r);
    data[3] = 8;
    v.put(r);
  }
  if (is(q, "zone") || is(q, "outside")) {
    const soa = new Uint8Array(22), r = record; // two names that are the root, and five numbers
    soa[21] = 30;
    r.name = q.name + 5; r.nameLength = q.nameLength - 5; r.type = Type.SOA; r.ttl = 60; r.data = soa.dataStart; r.dataLength = 22;
    if (is(q, "outside")) { r.name = www.dataStart; r.nameLength = wwwLength; }
    v.nxdomain(0);
    v.put(r);
  }
  if (is(q, "type") && q.type == Type.TXT) v.nodata(1);
  if (is(q, "flags") && q.dnssec && q.checkingDisabled && q.authenticData && q.recursionDesired && q.transport == Transport.TCP) v.nodata(1);
  if (is(q, "client") && q.clientFamily == 4 && q.clientBits == 32 && load<u8>(q.client, 3) == 9) v.nodata(1);
  if (is(q, "client") && q.clientFamily == 6 && q.clientBits == 128 && load<u8>(q.client, 15) == 9) v.nodata(2);
  if (is(q, "setting") && red) v.nodata(1);
  if (is(q, "data") && find(list, How.Suffix, q.name, q.nameLength) >= 0) v.nxdomain(1);
  if (is(q, "host") && hostWorks()) v.nodata(1);
  if (is(q, "resolve")) resolve(q, v, www.dataStart, wwwLength);
  if (is(q, "noname")) resolve(q, v, www.dataStart, 2);
  if (is(q, "trap")) unreachable();
  while (is(q, "loop")) { }
  return end(v);
}

export function ananas_answer(length: i32): i32 {
  const a = shown(), v = begin(), r = record;
  if (a.rcode == 3 && a.type == Type.A) v.nodata(9);
  if (a.rcode == 3 || a.made || (a.security == Security.Secure && a.cached)) return end(v);
  v.answer();
  while (a.next(r)) {
    if (r.section != Section.Answer || r.type == Type.TXT) continue;
    r.ttl = min<u32>(r.ttl, 10);
    v.put(r);
  }
  return end(v);
}

export function ananas_log(length: i32): i32 {
  const l = logged(length);
  while (l.next()) {
    const right = is(l, "logged") && l.type == Type.TXT && l.rcode == 3 && l.cached && l.stale && l.blocked && l.time == 1767225600000000001 && l.took == 1500;
    if (!right) { // a call may ask the host 64 times, and sees 32 lines
      count(calls, 1);
      observe(took, l.took);
    }
    if (right) log(Level.Info, String.UTF8.decodeUnsafe(l.tags, l.tagsLength));
    else if (l.took == 0) log(Level.Error, "another line");
  }
  return 0;
}
