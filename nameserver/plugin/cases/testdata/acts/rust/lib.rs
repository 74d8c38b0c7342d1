//! See cases.txt.
use ananas::{host, rtype, Answer, Line, Plugin, Query, Record, Section, Security, Transport, Verdict};

struct Acts {
    red: bool,
    list: host::Data,
    counter: host::Counter,
    histogram: host::Histogram,
    reply: Vec<u8>,
}

impl Plugin for Acts {
    fn start() -> Result<Self, i32> {
        let mut value = [0; 8];
        if host::setting("refuse", &mut value).is_ok() {
            return Err(7);
        }
        let red = host::setting("color", &mut value) == Ok(3) && &value[..3] == b"red";
        Ok(Acts {
            red,
            list: host::Data::open("list").map_err(|_| 1)?,
            counter: host::Counter::open("asked").map_err(|_| 2)?,
            histogram: host::Histogram::open("took").map_err(|_| 3)?,
            reply: vec![0; 66_000],
        })
    }

    fn query(&mut self, q: &Query, v: &mut Verdict) {
        let label = &q.name.0[1..1 + q.name.0[0] as usize];
        match label {
            b"nxdomain" => v.nxdomain(60),
            b"nodata" => v.nodata(61),
            b"why" => {
                v.why(15, "it is said so");
                v.nxdomain(60);
                v.tag("seen");
            }
            b"address" => {
                v.address(30, &[[192, 0, 2, 1]], &[[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]]);
                v.tag("addresses");
            }
            b"refuse" => v.refuse(),
            b"drop" => v.drop_query(),
            b"rewrite" => v.rewrite(300, b"\x03www\x07example\x00"),
            b"nocache" => v.no_cache(),
            b"group" => v.group("filtered"),
            b"all" => {
                v.rewrite(300, b"\x03www\x07example\x00");
                v.tag("seen");
                v.group("filtered");
                v.why(17, "elsewhere");
            }
            b"tenant" if q.tenant == b"office" => v.nodata(1),
            b"tag" => v.tag("seen"),
            b"records" => {
                v.answer();
                for last in [7, 8] {
                    v.put(&Record { section: Section::Answer, name: q.name.0, rtype: rtype::A, ttl: 60, data: &[192, 0, 2, last] });
                }
            }
            b"zone" | b"outside" => {
                let mut soa = [0; 22]; // two names that are the root, and five numbers
                soa[21] = 30;
                let name = if label == b"zone" { &q.name.0[5..] } else { b"\x03www\x00" };
                v.nxdomain(0);
                v.put(&Record { section: Section::Authority, name, rtype: rtype::SOA, ttl: 60, data: &soa });
            }
            b"type" if q.rtype == rtype::TXT => v.nodata(1),
            b"flags" if q.dnssec_ok && q.checking_disabled && q.authentic_data && q.recursion_desired && q.transport == Transport::Tcp => v.nodata(1),
            b"client" if q.client.len() == 4 && q.client_bits == 32 && q.client[3] == 9 => v.nodata(1),
            b"client" if q.client.len() == 16 && q.client_bits == 128 && q.client[15] == 9 => v.nodata(2),
            b"setting" if self.red => v.nodata(1),
            b"data" if self.list.suffix(q.name.0).is_some() => v.nxdomain(1),
            b"host" if self.host_works() => v.nodata(1),
            b"resolve" => self.resolve(q, v, b"\x03www\x07example\x00"),
            b"noname" => self.resolve(q, v, b"\x3fx"),
            b"loop" => loop {},
            b"trap" => panic!("it was asked to"),
            _ => {}
        }
    }

    fn answer(&mut self, a: &Answer, v: &mut Verdict) {
        if a.rcode == 3 && a.query.rtype == rtype::A {
            v.nodata(9);
        }
        if a.rcode == 3 || a.made || a.security == Security::Secure && a.cached {
            return;
        }
        v.answer();
        for mut r in a.records().filter(|r| r.section == Section::Answer && r.rtype != rtype::TXT) {
            r.ttl = r.ttl.min(10);
            v.put(&r);
        }
    }

    fn log(&mut self, l: &Line) {
        let right = l.query.name.0.starts_with(b"\x06logged") && l.query.rtype == rtype::TXT && l.rcode == 3 && l.cached && l.stale && l.blocked && l.time == 1767225600000000001 && l.took == 1500;
        if !right {
            // A call may ask the host 64 times, and sees 32 lines.
            self.counter.add(1);
            self.histogram.observe(l.took.into());
        }
        let _ = match core::str::from_utf8(l.tags) {
            Ok(tags) if right => host::log(host::Level::Info, tags),
            _ if l.took == 0 => host::log(host::Level::Error, "another line"),
            _ => Ok(()),
        };
    }
}

impl Acts {
    fn resolve(&mut self, q: &Query, v: &mut Verdict, name: &[u8]) {
        match host::resolve(name, rtype::A, &mut self.reply) {
            Ok(answer) => {
                v.answer();
                answer.records().for_each(|r| {
                    v.put(&Record { name: q.name.0, ..r });
                });
            }
            Err(host::Error::Denied) => v.nodata(4),
            Err(host::Error::Failed) => v.nodata(6),
            Err(host::Error::Malformed) => v.nodata(7),
            Err(_) => v.nodata(1),
        }
    }

    fn host_works(&self) -> bool {
        let mut drawn = [0; 16];
        self.counter.add(1);
        self.histogram.observe(5_000_000_000);
        host::log(host::Level::Info, "asked").is_ok()
            && host::random(&mut drawn).is_ok()
            && drawn.iter().filter(|&&b| b == 0).count() < 8
            && host::now() == 1767225600000000000
    }
}

ananas::plugin!(Acts);
