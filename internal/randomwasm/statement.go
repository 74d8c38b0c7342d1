package randomwasm

// statement puts code that leaves no value.
func (m *maker) statement(depth int) {
	m.spent++
	if depth <= 0 || m.spent > 400 {
		return
	}
	switch m.roll(12) {
	case 0:
		m.put(0x01)
	case 1:
		t := numbers[m.roll(4)]
		m.value(t, depth-1)
		l := m.local(t)
		m.op(0x21, l[m.roll(len(l))])
	case 2:
		g := m.roll(3)
		m.value([]byte{i32, i64, f64}[g], depth-1)
		m.op(0x24, g)
	case 3:
		m.address()
		if m.roll(2) == 0 {
			m.value(i32, depth-1)
			m.put(0x36, 0, byte(m.roll(128)))
		} else {
			m.value(i64, depth-1)
			m.put(0x3c+byte(m.roll(3)), 0, byte(m.roll(128)))
		}
	case 4:
		m.value(i32, depth-1)
		m.put(0x04, 0x40)
		m.inside([]byte{}, depth)
		if m.roll(2) == 1 {
			m.put(0x05)
			m.inside([]byte{}, depth)
		}
		m.put(0x0b)
	case 5:
		m.put(0x02, 0x40)
		m.inside([]byte{}, depth)
		m.put(0x0b)
	case 6:
		m.loop(depth)
	case 7:
		m.branch(depth)
	case 8:
		m.call(depth)
	case 9:
		m.bulk()
	case 10: // blocks with more than one result, and with parameters
		m.value(i32, depth-1)
		m.put(0x02, countFunctions)
		m.inside([]byte{i32, i32}, depth)
		m.constant(i32)
		m.put(0x0b, 0x6a)
		m.put(0x02, countFunctions+1)
		m.inside([]byte{i32}, depth)
		m.put(0x0b)
		m.op(0x24, 0)
	case 11:
		m.value(i32, depth-1)
		m.put(0x1a)
	}
}

// inside puts statements in a block that a branch leaves with some values.
func (m *maker) inside(label []byte, depth int) {
	m.labels = append(m.labels, label)
	for range 1 + m.roll(3) {
		m.statement(depth - 1)
	}
	m.labels = m.labels[:len(m.labels)-1]
}

// loop puts one of at most 5 rounds.
func (m *maker) loop(depth int) {
	if m.inLoop == loopCounters {
		return
	}
	counter := len(m.locals) + m.inLoop
	m.inLoop++
	m.put(0x41, byte(1+m.roll(5)))
	m.op(0x21, counter)
	m.put(0x03, 0x40)
	m.op(0x20, counter)
	m.put(0x41, 1, 0x6b)
	m.op(0x21, counter)
	m.labels = append(m.labels, nil)
	for range 1 + m.roll(3) {
		m.statement(depth - 1)
		if m.roll(4) == 3 { // again, early
			m.op(0x20, counter)
			m.op(0x0d, 0)
		}
	}
	m.labels = m.labels[:len(m.labels)-1]
	m.op(0x20, counter)
	m.op(0x0d, 0)
	m.put(0x0b)
	m.inLoop--
}

// branch puts one out of blocks, and statements that nothing runs.
func (m *maker) branch(depth int) {
	to := m.roll(len(m.labels))
	types := m.labels[len(m.labels)-1-to]
	if types == nil { // a loop
		return
	}
	switch m.roll(5) {
	case 0:
		m.values(types, depth-1)
		m.value(i32, depth-1)
		m.op(0x0d, to)
		for range types {
			m.put(0x1a)
		}
		return
	case 1:
		m.value(i32, depth-1)
		m.put(0x04, 0x40)
		m.labels = append(m.labels, []byte{})
		m.values(types, depth-1)
		m.labels = m.labels[:len(m.labels)-1]
		m.op(0x0c, to+1)
		m.put(0x0b)
		return
	case 2:
		m.value(i32, depth-1)
		m.put(0x04, 0x40)
		m.labels = append(m.labels, []byte{})
		m.values(m.functions[m.index].Results, depth-1)
		m.put(0x0f)
		m.statement(depth - 1) // dead
		m.labels = m.labels[:len(m.labels)-1]
		m.put(0x0b)
		return
	case 3:
		m.table(to, types, depth)
	case 4:
		if m.roll(8) == 7 {
			m.put(0x00)
		} else {
			m.put(0x02, 0x40, 0x0c, 0, 0x41, 1, 0x1a, 0x0b)
		}
	}
}

// table puts a br_table to the block just opened here, and to another if it takes nothing.
func (m *maker) table(to int, types []byte, depth int) {
	m.put(0x02, 0x40)
	m.labels = append(m.labels, []byte{})
	m.value(i32, depth-1)
	if len(types) == 0 {
		m.put(0x0e, 2, 0)
		m.put(byte(to+1), 0)
	} else {
		m.put(0x0e, 1, 0, 0)
	}
	m.statement(depth - 1) // dead
	m.labels = m.labels[:len(m.labels)-1]
	m.put(0x0b)
}

// call puts a call of a later function, or of one of the table, and drops what it returns.
func (m *maker) call(depth int) {
	if m.inLoop > 0 || m.index >= firstLeaf {
		return
	}
	to := m.index + 1 + m.roll(countFunctions-m.index-1)
	m.values(m.functions[to].Params, depth-1)
	if to >= firstLeaf && m.roll(2) == 1 {
		m.value(i32, depth-1)
		m.put(0x41, 7, 0x71) // of 6 entries some are empty
		m.put(0x11, byte(to), 0)
	} else {
		m.op(0x10, to)
	}
	for range m.functions[to].Results {
		m.put(0x1a)
	}
}

// bulk puts an operation on many octets or entries.
func (m *maker) bulk() {
	switch m.roll(9) {
	case 0:
		m.address()
		m.value(i32, 1)
		m.value(i32, 1)
		m.put(0xfc, 11, 0)
	case 1:
		m.address()
		m.address()
		m.value(i32, 1)
		m.put(0xfc, 10, 0, 0)
	case 2:
		m.address()
		m.put(0x41, byte(m.roll(16)), 0x41, byte(m.roll(16)), 0xfc, 8, 1, 0)
	case 3:
		m.put(0xfc, 9, 1)
	case 4:
		m.put(0x41, byte(m.roll(8)), 0x41, byte(m.roll(8)), 0x41, byte(m.roll(4)), 0xfc, 14, 0, 0)
	case 5:
		m.put(0x41, byte(m.roll(8)), 0x41, byte(m.roll(4)), 0x41, byte(m.roll(4)), 0xfc, 12, 1, 0)
	case 6:
		m.put(0x41, byte(m.roll(8)), 0xd0, 0x70, 0x41, byte(m.roll(4)), 0xfc, 17, 0)
	case 7:
		m.put(0xd0, 0x70, 0x41, byte(m.roll(4)), 0xfc, 15, 0, 0x24, 0)
	case 8:
		m.put(0x41, byte(m.roll(8)), 0x41, byte(m.roll(8)), 0x25, 0, 0x26, 0)
	}
}
