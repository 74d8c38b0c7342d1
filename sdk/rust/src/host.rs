//! Functions of the host. All but [setting] and [complain] need a grant, and a plugin that calls one without it is not loaded.
mod sys {
    #[link(wasm_import_module = "ananas")]
    extern "C" {
        pub fn setting(key: *const u8, key_len: usize, out: *mut u8, out_len: usize) -> i32;
        pub fn complain(why: *const u8, why_len: usize) -> i32;
        pub fn log(level: i32, text: *const u8, text_len: usize) -> i32;
        pub fn data_open(name: *const u8, name_len: usize) -> i32;
        pub fn data_find(data: i32, how: i32, key: *const u8, key_len: usize) -> i32;
        pub fn counter(name: *const u8, name_len: usize) -> i32;
        pub fn count(counter: i32, n: i64) -> i32;
        pub fn histogram(name: *const u8, name_len: usize) -> i32;
        pub fn observe(histogram: i32, value: i64) -> i32;
        pub fn resolve(name: *const u8, name_len: usize, rtype: i32, out: *mut u8, out_len: usize) -> i32;
        pub fn now() -> i64;
        pub fn random(out: *mut u8, out_len: usize) -> i32;
    }
}

/// Why the host did not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    Absent,
    Bounds,
    Room,
    Denied,
    Limit,
    Failed,
    Malformed,
}

fn result(n: i32) -> Result<usize, Error> {
    match n {
        -1 => Err(Error::Absent),
        -2 => Err(Error::Bounds),
        -3 => Err(Error::Room),
        -4 => Err(Error::Denied),
        -5 => Err(Error::Limit),
        -7 => Err(Error::Malformed),
        n if n < 0 => Err(Error::Failed),
        n => Ok(n as usize),
    }
}

/// Writes a setting into out, and returns how many octets it has. The largest that there may be has 64 KiB.
pub fn setting(key: &str, out: &mut [u8]) -> Result<usize, Error> {
    result(unsafe { sys::setting(key.as_ptr(), key.len(), out.as_mut_ptr(), out.len()) })
}

/// Says, in [start](crate::Plugin::start), why that fails: it is shown with the error. It needs no grant.
pub fn complain(why: &str) {
    unsafe { sys::complain(why.as_ptr(), why.len()) };
}

/// The same with a number behind it, as of the word that is wrong, which it returns: `.map_err(|n| host::wrong_at("zones: not a name: word ", n))`.
pub fn wrong_at(why: &str, n: i32) -> i32 {
    let mut text = [0; 160];
    let mut len = why.len().min(text.len() - 10);
    text[..len].copy_from_slice(&why.as_bytes()[..len]);
    let (mut rest, mut digits) = (n.unsigned_abs(), 1);
    while rest > 9 {
        rest /= 10;
        digits += 1;
    }
    rest = n.unsigned_abs();
    for k in (0..digits).rev() {
        text[len + k] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    len += digits;
    unsafe { sys::complain(text.as_ptr(), len) };
    n
}

#[derive(Clone, Copy)]
pub enum Level {
    Debug,
    Info,
    Warning,
    Error,
}

/// Writes a line to the node's log.
pub fn log(level: Level, text: &str) -> Result<(), Error> {
    result(unsafe { sys::log(level as i32, text.as_ptr(), text.len()) }).map(|_| ())
}

/// A data set. What it has for what is listed is a value: 0 if the list has none, and one of [rpz] if it is a response policy zone.
#[derive(Clone, Copy)]
pub struct Data(i32);

/// What a response policy zone wants done with a name that it lists.
pub mod rpz {
    pub const NXDOMAIN: u8 = 1;
    pub const NODATA: u8 = 2;
    pub const PASSTHRU: u8 = 3;
    pub const DROP: u8 = 4;
    pub const TCP_ONLY: u8 = 5;
    /// An answer of the zone's own; the list does not have its records.
    pub const LOCAL: u8 = 6;
}

impl Data {
    /// Opens one: in [start](crate::Plugin::start). It needs the grant `data/NAME`.
    pub fn open(name: &str) -> Result<Data, Error> {
        result(unsafe { sys::data_open(name.as_ptr(), name.len()) }).map(|n| Data(n as i32))
    }

    /// The value of a name that is listed.
    pub fn exact(&self, name: &[u8]) -> Option<u8> {
        self.find(0, name)
    }

    /// The value of a name that is listed, or of one above it.
    pub fn suffix(&self, name: &[u8]) -> Option<u8> {
        self.find(1, name)
    }

    /// The value of a prefix that covers an address of 4 octets or 16.
    pub fn prefix(&self, address: &[u8]) -> Option<u8> {
        self.find(2, address)
    }

    fn find(&self, how: i32, key: &[u8]) -> Option<u8> {
        result(unsafe { sys::data_find(self.0, how, key.as_ptr(), key.len()) }).ok().map(|n| n as u8)
    }
}

/// A counter of the plugin's own.
#[derive(Clone, Copy)]
pub struct Counter(i32);

impl Counter {
    /// Opens one: in [start](crate::Plugin::start).
    pub fn open(name: &str) -> Result<Counter, Error> {
        result(unsafe { sys::counter(name.as_ptr(), name.len()) }).map(|n| Counter(n as i32))
    }

    /// Adds to it.
    pub fn add(&self, n: u32) {
        unsafe { sys::count(self.0, n as i64) };
    }
}

/// A histogram of the plugin's own, of whole numbers in a unit of its own.
#[derive(Clone, Copy)]
pub struct Histogram(i32);

impl Histogram {
    /// Opens one: in [start](crate::Plugin::start).
    pub fn open(name: &str) -> Result<Histogram, Error> {
        result(unsafe { sys::histogram(name.as_ptr(), name.len()) }).map(|n| Histogram(n as i32))
    }

    /// Observes a value.
    pub fn observe(&self, value: u64) {
        unsafe { sys::observe(self.0, value as i64) };
    }
}

/// Asks for a name in wire form, within the client's budget, and waits. The answer lies in out, and is [Error::Room] where that is too small: 66,000 octets hold all answers.
pub fn resolve<'a>(name: &[u8], rtype: u16, out: &'a mut [u8]) -> Result<crate::Answer<'a>, Error> {
    let n = result(unsafe { sys::resolve(name.as_ptr(), name.len(), rtype as i32, out.as_mut_ptr(), out.len()) })?;
    Ok(crate::abi::answer_of(out.get(..n).ok_or(Error::Room)?))
}

/// The time of the query, in nanoseconds since 1970.
pub fn now() -> i64 {
    unsafe { sys::now() }
}

/// Fills out with random numbers, which are not for secrets.
pub fn random(out: &mut [u8]) -> Result<(), Error> {
    result(unsafe { sys::random(out.as_mut_ptr(), out.len()) }).map(|_| ())
}
