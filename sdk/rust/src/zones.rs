use alloc::{vec, vec::Vec};

/// A set of zones: a hash table over names that lie one behind the other.
pub struct Zones {
    slots: Vec<u32>, // where a name is, and 1; 0: nowhere. A power of two
    names: Vec<u8>,  // each behind its length
    count: usize,
    deepest: usize, // the most labels of one: a query with more of them takes no more look-ups
}

impl Zones {
    /// Reads a list: names with blanks, commas or line ends between them. The error says which of them, from 1, is no name.
    pub fn parse(list: &[u8]) -> Result<Zones, i32> {
        let mut zones = Zones { slots: vec![0; (list.len() / 8).next_power_of_two().max(16)], names: Vec::with_capacity(list.len() + list.len() / 4), count: 0, deepest: 0 };
        let mut name = [0; 255];
        for (n, word) in (1..).zip(crate::words(list)) {
            zones.add(crate::parse_name(word, &mut name).ok_or(n)?);
        }
        Ok(zones)
    }

    /// Adds a zone in wire form, small letters.
    pub fn add(&mut self, name: &[u8]) {
        if 2 * self.count >= self.slots.len() {
            self.grow();
        }
        let slot = self.slot(name);
        if self.slots[slot] != 0 {
            return;
        }
        self.slots[slot] = self.names.len() as u32 + 1;
        self.names.push(name.len() as u8);
        self.names.extend_from_slice(name);
        self.count += 1;
        self.deepest = self.deepest.max(crate::Name(name).labels());
    }

    /// Tells whether a name is one of the zones, or below one.
    pub fn covers(&self, name: crate::Name) -> bool {
        name.suffixes_of(self.deepest).any(|s| self.slots[self.slot(s)] != 0)
    }

    fn slot(&self, name: &[u8]) -> usize {
        let h = name.iter().fold(2166136261, |h: u32, &c| (h ^ c as u32).wrapping_mul(16777619)); // FNV-1a, its upper bits folded in
        let mask = self.slots.len() - 1;
        let mut slot = (h ^ h >> 15) as usize & mask;
        while self.slots[slot] != 0 && !same(self.name_at(self.slots[slot]), name) {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn name_at(&self, at: u32) -> &[u8] {
        let at = at as usize;
        &self.names[at..at + self.names[at - 1] as usize]
    }

    fn grow(&mut self) {
        self.slots = vec![0; 2 * self.slots.len()];
        let mut at = 0;
        while at < self.names.len() {
            let len = self.names[at] as usize;
            let slot = self.slot(&self.names[at + 1..at + 1 + len]);
            self.slots[slot] = at as u32 + 1;
            at += 1 + len;
        }
    }
}

// The comparison of slices calls a function of the library, which costs more than short names do.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x == y)
}
