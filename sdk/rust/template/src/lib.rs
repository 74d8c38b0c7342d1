//! MODULE_NAME: names of its zones do not exist.
use ananas::{host, Plugin, Query, Verdict, Zones};

struct Block {
    zones: Zones,
}

impl Plugin for Block {
    fn start() -> Result<Self, i32> {
        let mut list = vec![0; 64 << 10]; // the largest that settings may be
        let n = host::setting("zones", &mut list).unwrap_or(0);
        let zones = Zones::parse(&list[..n]).map_err(|n| host::wrong_at("zones: not a name: word ", n))?;
        Ok(Block { zones })
    }

    fn query(&mut self, q: &Query, v: &mut Verdict) {
        if self.zones.covers(q.name) {
            v.nxdomain(60);
            v.why(15, "blocked by MODULE_NAME");
        }
    }
}

ananas::plugin!(Block);
