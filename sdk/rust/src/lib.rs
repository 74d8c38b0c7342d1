//! Plugins of Ananas in Rust, without dependencies and without std; the feature `alloc`, which is on by default, needs an allocator. docs/module-abi.md says what this does, octet for octet; it is version 1.
//!
//! ```ignore
//! struct Block;
//!
//! impl ananas::Plugin for Block {
//!     fn start() -> Result<Self, i32> { Ok(Block) }
//!     fn query(&mut self, q: &ananas::Query, v: &mut ananas::Verdict) {
//!         if q.name.within(b"\x07example\x03com\x00") { v.nxdomain(60) }
//!     }
//! }
//!
//! ananas::plugin!(Block);
//! ```
//!
//! The verdict lets the query go on until something else is said. Names are in wire form: labels behind their lengths, the root's 0 at the end.
#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod host;
#[cfg(feature = "alloc")]
mod zones;
#[cfg(feature = "alloc")]
pub use zones::Zones;

/// A plugin. An instance of it answers many queries, one after the other; several instances run at once, and know nothing of each other.
pub trait Plugin: Sized {
    /// Makes an instance, of the settings. The error is a number of its own, for who wrote them.
    fn start() -> Result<Self, i32>;

    /// Phase query: before anything is looked for.
    fn query(&mut self, _q: &Query, _v: &mut Verdict) {}

    /// Phase answer: before the answer is written.
    fn answer(&mut self, _a: &Answer, _v: &mut Verdict) {}

    /// Phase log: one line of what was answered, beside the path.
    fn log(&mut self, _l: &Line) {}
}

/// Types of records.
pub mod rtype {
    pub const A: u16 = 1;
    pub const CNAME: u16 = 5;
    pub const SOA: u16 = 6;
    pub const TXT: u16 = 16;
    pub const AAAA: u16 = 28;
    pub const HTTPS: u16 = 65;
}

/// What is asked.
pub struct Query<'a> {
    /// In small letters.
    pub name: Name<'a>,
    pub rtype: u16,
    pub recursion_desired: bool,
    pub checking_disabled: bool,
    pub authentic_data: bool,
    pub dnssec_ok: bool,
    pub transport: Transport,
    /// 4 octets, 16, or none where nobody may know.
    pub client: &'a [u8],
    /// How many bits of it are shown: without the grant `client` not all. The others are 0.
    pub client_bits: u8,
    /// Of the client's tenant.
    pub tenant: &'a [u8],
}

/// How a query came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
    Https,
    Quic,
    Other,
}

/// A name in wire form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name<'a>(pub &'a [u8]);

impl<'a> Name<'a> {
    /// Tells whether it is the zone, or below it.
    pub fn within(&self, zone: &[u8]) -> bool {
        self.suffixes().any(|s| s == zone)
    }

    /// The name, the name without its first label, and so on; not the root.
    pub fn suffixes(&self) -> Suffixes<'a> {
        Suffixes(self.0)
    }

    /// How many labels it has, without the root's.
    pub fn labels(&self) -> usize {
        self.suffixes().count()
    }

    /// The suffixes with at most so many labels. Who looks them up in a set knows its deepest name: a query may have 127 labels, and to look them all up takes more fuel than a call has.
    pub fn suffixes_of(&self, most: usize) -> impl Iterator<Item = &'a [u8]> {
        self.suffixes().skip(self.labels().saturating_sub(most))
    }
}

/// See [Name::suffixes].
pub struct Suffixes<'a>(&'a [u8]);

impl<'a> Iterator for Suffixes<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let whole = self.0;
        let label = *whole.first()? as usize;
        if label == 0 {
            return None;
        }
        self.0 = whole.get(label + 1..).unwrap_or(&[]);
        Some(whole)
    }
}

/// Reads a name as people write it, small letters or large, with or without the dot at the end, and without backslashes. The part of out that it fills is the name.
pub fn parse_name<'a>(text: &[u8], out: &'a mut [u8; 255]) -> Option<&'a [u8]> {
    let text = text.strip_suffix(b".").unwrap_or(text);
    if text.is_empty() || text.len() > 253 {
        return None;
    }
    let mut label = 0; // where its length goes
    for (i, &c) in text.iter().chain(b".").enumerate() {
        if c == b'.' {
            let n = i - label;
            if n == 0 || n > 63 {
                return None;
            }
            out[label] = n as u8;
            label = i + 1;
        } else if c <= b' ' || c > b'~' || c == b'\\' {
            return None;
        } else {
            out[i + 1] = c.to_ascii_lowercase();
        }
    }
    out[label] = 0;
    Some(&out[..=label])
}

/// The words of a list as people write it: with blanks, commas or line ends between them.
pub fn words(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&c| c <= b' ' || c == b',').filter(|w| !w.is_empty())
}

/// Sections of an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Section {
    Answer,
    Authority,
    Additional,
}

/// A record.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// Those that are put are all of the answer section.
    pub section: Section,
    pub name: &'a [u8],
    pub rtype: u16,
    /// In seconds.
    pub ttl: u32,
    /// As on the wire, names in it whole.
    pub data: &'a [u8],
}

/// What is known of whether an answer is true (RFC 4035 section 4.3).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Security {
    Indeterminate,
    Insecure,
    Secure,
}

/// The answer that a plugin of phase answer is shown.
pub struct Answer<'a> {
    pub query: Query<'a>,
    pub rcode: u16,
    pub security: Security,
    pub cached: bool,
    pub stale: bool,
    /// Here: by a module of phase query, or since the name is a special one.
    pub made: bool,
    counts: [u16; 3],
    records: &'a [u8],
}

impl<'a> Answer<'a> {
    /// The records, in their order.
    pub fn records(&self) -> Records<'a> {
        Records { left: self.counts, rest: self.records }
    }
}

/// See [Answer::records].
pub struct Records<'a> {
    left: [u16; 3],
    rest: &'a [u8],
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let n = self.left.iter().position(|&n| n > 0)?;
        self.left[n] -= 1;
        let mut head = 0;
        while *self.rest.get(head)? != 0 {
            head += 1 + self.rest[head] as usize;
        }
        head += 1;
        let h = self.rest.get(head..head + 10)?;
        let end = head + 10 + u16::from_be_bytes([h[8], h[9]]) as usize;
        let r = Record {
            section: [Section::Answer, Section::Authority, Section::Additional][n],
            name: &self.rest[..head],
            rtype: u16::from_be_bytes([h[0], h[1]]),
            ttl: u32::from_be_bytes([h[4], h[5], h[6], h[7]]),
            data: self.rest.get(head + 10..end)?,
        };
        self.rest = &self.rest[end..];
        Some(r)
    }
}

/// What was answered, as a plugin of phase log is shown it.
pub struct Line<'a> {
    pub query: Query<'a>,
    pub rcode: u16,
    pub cached: bool,
    pub stale: bool,
    /// A plugin has ended it.
    pub blocked: bool,
    /// When, in nanoseconds since 1970.
    pub time: i64,
    /// How long it took, in microseconds.
    pub took: u32,
    /// What plugins said of it, with commas between.
    pub tags: &'a [u8],
}

/// Room of the buffer: what phases answer and log need.
const ROOM: usize = 73_728;
const HEAD: usize = 24;
const BODY: usize = ROOM - HEAD - 1024 - 2 * 63;

/// What is to become of a query. Texts and records that have no room are cut or left out.
pub struct Verdict {
    action: u8,
    flags: u8,
    ede: u16,
    ttl: u32,
    text_len: usize,
    group_len: usize,
    tag_len: usize,
    data_len: usize,
    text: [u8; 1024],
    group: [u8; 63],
    tag: [u8; 63],
    data: [u8; BODY],
}

impl Verdict {
    const fn new() -> Verdict {
        Verdict { action: 0, flags: 0, ede: 0, ttl: 0, text_len: 0, group_len: 0, tag_len: 0, data_len: 0, text: [0; 1024], group: [0; 63], tag: [0; 63], data: [0; BODY] }
    }

    fn act(&mut self, action: u8, ttl: u32) {
        self.action = action;
        self.ttl = ttl;
        self.data_len = 0;
    }

    fn put_octets(&mut self, b: &[u8]) {
        self.data[self.data_len..self.data_len + b.len()].copy_from_slice(b);
        self.data_len += b.len();
    }

    /// As if the plugin were not there.
    pub fn go_on(&mut self) {
        self.act(0, 0)
    }

    /// The name does not exist. The TTL of what the node makes is in seconds, here and below.
    pub fn nxdomain(&mut self, ttl: u32) {
        self.act(2, ttl)
    }

    /// The name has no such records.
    pub fn nodata(&mut self, ttl: u32) {
        self.act(3, ttl)
    }

    /// These addresses, up to 32 of each kind, and no records of other types.
    pub fn address(&mut self, ttl: u32, v4: &[[u8; 4]], v6: &[[u8; 16]]) {
        self.act(4, ttl);
        self.put_octets(&[v4.len().min(32) as u8, v6.len().min(32) as u8]);
        v4.iter().take(32).for_each(|a| self.put_octets(a));
        v6.iter().take(32).for_each(|a| self.put_octets(a));
    }

    /// REFUSED.
    pub fn refuse(&mut self) {
        self.act(5, 0)
    }

    /// No answer at all.
    pub fn drop_query(&mut self) {
        self.act(6, 0)
    }

    /// The records that are put from now on are the answer; at phase answer they stand in place of all that there are.
    pub fn answer(&mut self) {
        self.act(1, 0)
    }

    /// What another name has, behind an alias to it. Phase query.
    pub fn rewrite(&mut self, ttl: u32, name: &[u8]) {
        self.act(7, ttl);
        self.put_octets(&name[..name.len().min(255)])
    }

    /// Puts a record; false if there is no room for it.
    pub fn put(&mut self, r: &Record) -> bool {
        let (name, data) = (r.name.len(), r.data.len());
        if name > 255 || data > 65535 || name + 10 + data > BODY - self.data_len {
            return false;
        }
        let (t, d, ttl) = (r.rtype.to_be_bytes(), (data as u16).to_be_bytes(), r.ttl.to_be_bytes());
        self.put_octets(r.name);
        self.put_octets(&[t[0], t[1], 0, 1, ttl[0], ttl[1], ttl[2], ttl[3], d[0], d[1]]);
        self.put_octets(r.data);
        true
    }

    /// The extended error that says why (RFC 8914): 15 is blocked, 16 censored, 17 filtered.
    pub fn why(&mut self, code: u16, text: &str) {
        self.ede = code.wrapping_add(1);
        self.text_len = copy(&mut self.text, text.as_bytes());
    }

    /// The group of servers that is to resolve the query, if it goes on or is rewritten: one of the node's settings. Phase query.
    pub fn group(&mut self, name: &str) {
        self.group_len = copy(&mut self.group, name.as_bytes());
    }

    /// A word for logs and views.
    pub fn tag(&mut self, text: &str) {
        self.tag_len = copy(&mut self.tag, text.as_bytes());
    }

    /// Neither what is cached nor what would be kept is used for this query.
    pub fn no_cache(&mut self) {
        self.flags |= 1
    }

    fn end(&self, out: &mut [u8]) -> i32 {
        if self.action == 0 && self.flags == 0 && self.ede == 0 && self.group_len == 0 && self.tag_len == 0 {
            return 0;
        }
        out[..HEAD].fill(0);
        out[0] = HEAD as u8;
        out[2] = self.action;
        out[3] = self.flags;
        out[4..6].copy_from_slice(&self.ede.to_le_bytes());
        out[6..8].copy_from_slice(&(self.text_len as u16).to_le_bytes());
        out[8..12].copy_from_slice(&self.ttl.to_le_bytes());
        out[12..14].copy_from_slice(&(self.group_len as u16).to_le_bytes());
        out[14..16].copy_from_slice(&(self.tag_len as u16).to_le_bytes());
        out[16..20].copy_from_slice(&(self.data_len as u32).to_le_bytes());
        let mut at = HEAD;
        for part in [&self.text[..self.text_len], &self.group[..self.group_len], &self.tag[..self.tag_len], &self.data[..self.data_len]] {
            out[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        at as i32
    }
}

fn copy(to: &mut [u8], from: &[u8]) -> usize {
    let n = from.len().min(to.len());
    to[..n].copy_from_slice(&from[..n]);
    n
}

/// What [plugin!] calls. Not for plugins.
#[doc(hidden)]
pub mod abi {
    use super::*;

    #[repr(align(8))]
    struct Buffer([u8; ROOM]);

    static mut BUFFER: Buffer = Buffer([0; ROOM]);
    static mut VERDICT: Verdict = Verdict::new();

    #[allow(unused_unsafe)] // newer compilers need none
    pub fn buffer(size: i32) -> usize {
        if size as usize > ROOM {
            return 0;
        }
        unsafe { core::ptr::addr_of!(BUFFER) as usize }
    }

    // A guest has one thread, and the host calls no function while another one runs: nobody else has these when they are taken.
    fn take() -> (&'static mut [u8], &'static mut Verdict) {
        let (b, v) = unsafe { (&mut (*core::ptr::addr_of_mut!(BUFFER)).0, &mut *core::ptr::addr_of_mut!(VERDICT)) };
        v.act(0, 0);
        v.flags = 0;
        v.ede = 0;
        v.text_len = 0;
        v.group_len = 0;
        v.tag_len = 0;
        (b, v)
    }

    fn le16(b: &[u8], at: usize) -> usize {
        u16::from_le_bytes([b[at], b[at + 1]]) as usize
    }

    fn le32(b: &[u8], at: usize) -> usize {
        u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]) as usize
    }

    fn query_of(b: &[u8]) -> Query<'_> {
        let (name, flags) = (le16(b, 0), b[3]);
        let tenant = name + le16(b, 10);
        Query {
            name: Name(&b[name..tenant]),
            rtype: le16(b, 4) as u16,
            recursion_desired: flags & 1 != 0,
            checking_disabled: flags & 2 != 0,
            authentic_data: flags & 4 != 0,
            dnssec_ok: flags & 8 != 0,
            transport: match b[2] {
                0 => Transport::Udp,
                1 => Transport::Tcp,
                2 => Transport::Tls,
                3 => Transport::Https,
                4 => Transport::Quic,
                _ => Transport::Other,
            },
            client: match b[8] {
                4 => &b[16..20],
                6 => &b[16..32],
                _ => &[],
            },
            client_bits: b[9],
            tenant: &b[tenant..tenant + le16(b, 12)],
        }
    }

    pub fn query<P: Plugin>(p: &mut P) -> i32 {
        let (b, v) = take();
        p.query(&query_of(b), v);
        v.end(b)
    }

    pub(crate) fn answer_of(b: &[u8]) -> Answer<'_> {
        let (asked, query_len) = (le16(b, 0), le16(b, 6));
        let records = asked + query_len;
        Answer {
            query: query_of(&b[asked..records]),
            rcode: le16(b, 2) as u16,
            security: match b[4] {
                1 => Security::Insecure,
                2 => Security::Secure,
                _ => Security::Indeterminate,
            },
            cached: b[5] & 1 != 0,
            stale: b[5] & 2 != 0,
            made: b[5] & 4 != 0,
            counts: [le16(b, 8) as u16, le16(b, 10) as u16, le16(b, 12) as u16],
            records: &b[records..records + le32(b, 16)],
        }
    }

    pub fn answer<P: Plugin>(p: &mut P) -> i32 {
        let (b, v) = take();
        p.answer(&answer_of(b), v);
        v.end(b)
    }

    fn line_of(b: &[u8]) -> Line<'_> {
        let asked = le16(b, 0);
        let tags = asked + le16(b, 20);
        let mut time = [0; 8];
        time.copy_from_slice(&b[8..16]);
        Line {
            query: query_of(&b[asked..tags]),
            rcode: le16(b, 2) as u16,
            cached: b[4] & 1 != 0,
            stale: b[4] & 2 != 0,
            blocked: b[4] & 4 != 0,
            time: i64::from_le_bytes(time),
            took: le32(b, 16) as u32,
            tags: &b[tags..tags + le16(b, 22)],
        }
    }

    pub fn log<P: Plugin>(p: &mut P, len: i32) -> i32 {
        let (b, _) = take();
        let mut rest = &b[4..len as usize];
        while rest.len() >= 4 {
            let (line, behind) = rest[4..].split_at(le32(rest, 0));
            p.log(&line_of(line));
            rest = behind;
        }
        0
    }
}

/// Exports a type that is a [Plugin] as the module's.
#[macro_export]
macro_rules! plugin {
    ($type:ty) => {
        static mut ANANAS_PLUGIN: Option<$type> = None;

        #[no_mangle]
        pub extern "C" fn ananas_buffer(size: i32) -> usize {
            $crate::abi::buffer(size)
        }

        #[no_mangle]
        pub extern "C" fn ananas_start() -> i32 {
            match <$type as $crate::Plugin>::start() {
                Ok(p) => unsafe {
                    ANANAS_PLUGIN = Some(p);
                    0
                },
                Err(n) => n,
            }
        }

        #[no_mangle]
        pub extern "C" fn ananas_query(_len: i32) -> i32 {
            match unsafe { &mut *core::ptr::addr_of_mut!(ANANAS_PLUGIN) } {
                Some(p) => $crate::abi::query(p),
                None => -1,
            }
        }

        #[no_mangle]
        pub extern "C" fn ananas_answer(_len: i32) -> i32 {
            match unsafe { &mut *core::ptr::addr_of_mut!(ANANAS_PLUGIN) } {
                Some(p) => $crate::abi::answer(p),
                None => -1,
            }
        }

        #[no_mangle]
        pub extern "C" fn ananas_log(len: i32) -> i32 {
            match unsafe { &mut *core::ptr::addr_of_mut!(ANANAS_PLUGIN) } {
                Some(p) => $crate::abi::log(p, len),
                None => -1,
            }
        }
    };
}
