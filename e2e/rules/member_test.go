package rules_test

import (
	"fmt"
	"testing"
	"time"
)

// zoned is a node by one probe of one observer, with a label beside node or not.
func (p *play) zoned(observer, probe, node, zone, fault string) {
	id := []string{"job", "probe", "instance", node + ":" + probe, "observer", observer, "probe", probe, "service", "shop", "role", "node", "node", node}
	if zone != "" {
		id = append(id, "zone", zone)
	}
	p.add("probe_last_run_timestamp_seconds", "0+5x"+fmt.Sprint(p.ticks), id...)
	id = append(id[:len(id):len(id)], "signal", "availability")
	p.add("ksigma_fault", p.always(fault), id...)
	p.add("ksigma_fault_start_timestamp_seconds", p.always(fault), id...)
}

func TestAMemberIsOneWhateverItsLabels(t *testing.T) {
	for name, c := range map[string]struct {
		observers []string
		nodes     func(p *play)
		want      []string
		members   float64
	}{
		"of two probes one knows the zone": {[]string{"a"}, func(p *play) {
			for _, n := range []string{"n1", "n2", "n3"} {
				bad := map[string]string{"n2": "1"}[n] + "0"
				p.zoned("a", "http", n, "z"+n, bad[:1])
				p.zoned("a", "tcp", n, "", bad[:1])
			}
		}, []string{"node n2"}, 3},
		"of two probes the other knows it": {[]string{"a"}, func(p *play) {
			for _, n := range []string{"n1", "n2", "n3", "n4"} {
				bad := map[string]string{"n1": "1", "n2": "1"}[n] + "0"
				p.zoned("a", "http", n, "", bad[:1])
				p.zoned("a", "tcp", n, map[string]string{"n1": "za", "n2": "za"}[n]+"zb", "0")
			}
		}, []string{"zone zazb"}, 4},
		"a node moves, and one observer knows it first": {[]string{"a", "b"}, func(p *play) {
			for _, o := range []string{"a", "b"} {
				p.zoned(o, "http", "n1", "za", "0")
				p.zoned(o, "http", "n3", "zb", "0")
			}
			p.zoned("a", "http", "n2", "za", "1") // a tie is no fault
			p.zoned("b", "http", "n2", "zb", "0")
		}, nil, 3},
		"a node has moved, and is bad": {[]string{"a", "b"}, func(p *play) {
			for _, o := range []string{"a", "b"} {
				p.zoned(o, "http", "n1", "za", "0")
				p.zoned(o, "http", "n3", "zb", "0")
			}
			p.zoned("a", "http", "n2", "za", "1")
			p.zoned("b", "http", "n2", "zb", "1")
		}, []string{"node n2"}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := mapped(t, c.observers...)
			c.nodes(p)
			p.gives(time.Minute, "count(onefiveten:member_fault:bool)", map[string]float64{"{}": c.members})
			p.located(time.Minute, c.want...)
			p.gives(time.Minute, `count(ALERTS{alertname="FaultLocated"})`, map[string]float64{"{}": 1})
			if c.want == nil {
				p.checks = p.checks[:len(p.checks)-1]
				p.gives(time.Minute, `ALERTS{alertname="FaultDetected"}`, nil)
			}
			s := spec("shop", 5, 2, 5, 1, c.observers...)
			s.Services[0].Dimensions = []string{"node", "zone"}
			p.run(s)
		})
	}
}
