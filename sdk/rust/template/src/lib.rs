//! MODULE_NAME: names of its zones do not exist.
use ananas::{host, Plugin, Query, Verdict};
use std::collections::HashSet;

struct Block {
    zones: HashSet<Vec<u8>>,
}

impl Plugin for Block {
    fn start() -> Result<Self, i32> {
        let mut list = vec![0; 64 << 10]; // the largest that settings may be
        let n = host::setting("zones", &mut list).unwrap_or(0);
        let list = String::from_utf8_lossy(&list[..n]);
        let mut zones = HashSet::new();
        for (n, word) in (1..).zip(ananas::words(&list)) {
            zones.insert(ananas::parse_name(word, &mut [0; 255]).ok_or(n)?.to_vec());
        }
        Ok(Block { zones })
    }

    fn query(&mut self, q: &Query, v: &mut Verdict) {
        if q.name.suffixes().any(|s| self.zones.contains(s)) {
            v.nxdomain(60);
            v.why(15, "blocked by MODULE_NAME");
        }
    }
}

ananas::plugin!(Block);
