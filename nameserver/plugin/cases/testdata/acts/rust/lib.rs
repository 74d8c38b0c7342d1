//! See cases.txt.
use ananas::{host, rtype, Answer, Plugin, Query, Record, Section, Security, Transport, Verdict};

struct Acts {
    red: bool,
    list: host::Data,
    counter: host::Counter,
}

impl Plugin for Acts {
    fn start() -> Result<Self, i32> {
        let mut value = [0; 8];
        if host::setting("refuse", &mut value).is_ok() {
            return Err(7);
        }
        let red = host::setting("color", &mut value) == Ok(3) && &value[..3] == b"red";
        Ok(Acts { red, list: host::Data::open("list").map_err(|_| 1)?, counter: host::Counter::open("asked").map_err(|_| 2)? })
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
}

impl Acts {
    fn host_works(&self) -> bool {
        let mut drawn = [0; 16];
        self.counter.add(1);
        host::log(host::Level::Info, "asked").is_ok()
            && host::random(&mut drawn).is_ok()
            && drawn.iter().filter(|&&b| b == 0).count() < 8
            && host::now() == 1767225600000000000
    }
}

ananas::plugin!(Acts);
