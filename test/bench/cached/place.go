//go:build linux

package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// place says which processor does what.
type place struct {
	Server    int // the one worker of each server
	Second    int // the second loop of a server with two
	Load      int // the load generator
	Authority int // NSD
	Remarks   []string
}

// allot gives processors their work. A server shares its processor with nobody, nor the other half of a core, as far as there are enough;
// the load comes next, then the second loop, and NSD, which hardly works while cached answers are measured, goes last.
func allot(cpus []int, siblings func(a, b int) bool) place {
	p := place{Server: cpus[0]}
	taken := []int{p.Server}
	next := func() (int, bool) {
		for _, strict := range []bool{true, false} {
			for _, c := range cpus {
				if !slices.Contains(taken, c) && !(strict && slices.ContainsFunc(taken, func(t int) bool { return siblings(t, c) })) {
					taken = append(taken, c)
					return c, true
				}
			}
		}
		return taken[len(taken)-1], false
	}
	var own bool
	if p.Load, own = next(); !own {
		p.Remarks = append(p.Remarks, "one processor for all: latencies and rates mean nothing, CPU per query little")
	} else if siblings(p.Server, p.Load) {
		p.Remarks = append(p.Remarks, "server and load share a core: each slows the other down")
	}
	if p.Second, own = next(); !own {
		p.Remarks = append(p.Remarks, "the second of two loops shares a processor with the load")
	}
	if p.Authority, own = next(); !own {
		p.Authority = p.Load
	}
	return p
}

// told is another place if somebody said where servers and load are to be; NSD and the second loop are then with the load.
func (p place) told(server, load int) place {
	if server == p.Server && load == p.Load {
		return p
	}
	return place{Server: server, Load: load, Second: load, Authority: load, Remarks: []string{"as told"}}
}

func (p place) String() string {
	s := fmt.Sprintf("servers on processor %d, load on %d, NSD on %d, second loop on %d", p.Server, p.Load, p.Authority, p.Second)
	for _, r := range p.Remarks {
		s += "; " + r
	}
	return s
}

// all are the processors in use, each once.
func (p place) all() []int {
	all := []int{p.Server, p.Second, p.Load, p.Authority}
	slices.Sort(all)
	return slices.Compact(all)
}

// envCPUs tells the second execution of the program what the first one could use: the rig moves to one processor in between.
const envCPUs = "ANANAS_BENCH_CPUS"

// usable lists the processors that this process may use.
func usable() (cpus []int, err error) {
	if told := os.Getenv(envCPUs); told != "" {
		for _, word := range strings.Split(told, ",") {
			n, err := strconv.Atoi(word)
			if err != nil {
				return nil, fmt.Errorf("reading %s: %w", envCPUs, err)
			}
			cpus = append(cpus, n)
		}
		return cpus, nil
	}
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, os.NewSyscallError("sched_getaffinity", err)
	}
	var words []string
	for n := range len(set) * 64 {
		if set.IsSet(n) {
			cpus = append(cpus, n)
			words = append(words, strconv.Itoa(n))
		}
	}
	return cpus, os.Setenv(envCPUs, strings.Join(words, ","))
}

// siblings tells whether two processors are halves of one core.
func siblings(a, b int) bool {
	text, _ := os.ReadFile(fmt.Sprintf("/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", a))
	for _, part := range strings.Split(strings.TrimSpace(string(text)), ",") {
		first, last, isRange := strings.Cut(part, "-")
		low, err := strconv.Atoi(first)
		if err != nil {
			continue
		}
		high := low
		if isRange {
			if high, err = strconv.Atoi(last); err != nil {
				continue
			}
		}
		if low <= b && b <= high {
			return true
		}
	}
	return false
}
